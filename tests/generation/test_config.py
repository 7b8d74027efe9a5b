"""GenerationConfig, and generation_config.json between both libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from electra import ElectraConfig, ElectraForCausalLM
from electra.generation.generation_config import GenerationConfig
from electra.generation.generation_options import DEFAULTS, FIELDS
from tests.parity.twins import SIZES

SAID: dict[str, Any] = {
    "max_new_tokens": 12,
    "do_sample": True,
    "top_p": 0.9,
    "temperature": 1.5,
    "eos_token_id": [3, 4],
    "bad_words_ids": [[5], [6, 7]],
    "early_stopping": "never",
    "num_beams": 3,
    "stop_strings": ["end"],
}


def test_the_fields_and_defaults_are_those_of_transformers() -> None:
    theirs = transformers.GenerationConfig()
    assert set(FIELDS) <= set(theirs.to_dict())
    assert all(value is None for value in GenerationConfig().to_dict().values())
    expected = theirs._get_default_generation_params()
    assert {name: expected[name] for name in DEFAULTS} == DEFAULTS


def test_each_library_reads_what_the_other_wrote(tmp_path: Path) -> None:
    GenerationConfig(**SAID, sequence_bias={(4, 5): -2.0}).save_pretrained(tmp_path / "ours")
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path / "ours")
    assert {name: getattr(theirs, name) for name in SAID} == SAID
    assert theirs.sequence_bias == [[[4, 5], -2.0]]
    transformers.GenerationConfig(**SAID).save_pretrained(tmp_path / "theirs")
    ours = GenerationConfig.from_pretrained(tmp_path / "theirs")
    assert ours == GenerationConfig(**SAID) == GenerationConfig.of(transformers.GenerationConfig(**SAID))
    assert GenerationConfig.from_pretrained(tmp_path / "theirs", num_beams=5).num_beams == 5
    assert json.loads((tmp_path / "ours" / "generation_config.json").read_text())["num_beams"] == 3


def test_what_is_not_taken_here_is_kept_and_refused_when_it_would_count(tmp_path: Path) -> None:
    theirs = transformers.GenerationConfig(penalty_alpha=0.6, num_beams=4, custom="kept", diversity_penalty=0.0)
    theirs.save_pretrained(tmp_path)
    ours = GenerationConfig.from_pretrained(tmp_path)
    assert ours.further == {"penalty_alpha": 0.6, "custom": "kept", "diversity_penalty": 0.0}
    ours.save_pretrained(tmp_path / "again")
    again = transformers.GenerationConfig.from_pretrained(tmp_path / "again")
    assert (again.penalty_alpha, again.custom, again.num_beams) == (0.6, "kept", 4)
    model = ElectraForCausalLM(ElectraConfig(**SIZES, is_decoder=True)).eval()
    with pytest.raises(ValueError, match=r"does not take penalty_alpha=0\.6"):
        model.generate(torch.tensor([[3]]), ours)
    neutral = {"diversity_penalty": 0.0, "num_beam_groups": 1, "custom": "kept"}
    assert model.generate(torch.tensor([[3]]), GenerationConfig.from_dict({**neutral, "max_length": 3})).shape == (1, 3)


def test_a_model_has_what_its_configuration_says() -> None:
    fields = {**SIZES, "eos_token_id": [5, 6], "bos_token_id": 2, "is_decoder": True}
    ours = ElectraForCausalLM(ElectraConfig(**fields)).generation_config
    theirs = transformers.ElectraForCausalLM(transformers.ElectraConfig(**fields)).generation_config
    assert ours.to_dict() == {name: getattr(theirs, name) for name in FIELDS}
    wrapped = ElectraForCausalLM(ElectraConfig(**{**SIZES, "pad_token_id": -1}))
    assert wrapped.generation_config.pad_token_id == 96
    old = ElectraConfig.from_dict({**SIZES, "max_length": 33, "output_attentions": True})
    read = GenerationConfig.from_model_config(old)
    assert (read.max_length, read.return_dict_in_generate) == (33, True)


def test_files_and_options_that_are_no_config(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"GenerationConfig has no option 'beams'\. Did you mean num_beams\?"):
        GenerationConfig(beams=3)
    with pytest.raises(ValueError, match="max_new_tokens is 0"):
        GenerationConfig(max_new_tokens=0)
    with pytest.raises(OSError, match=r"has no generation_config\.json"):
        GenerationConfig.from_pretrained(tmp_path)
    file = tmp_path / "generation_config.json"
    for text, message in (("[]", "a JSON list"), ("{", "Expecting"), ('{"top_k": -3}', "top_k is -3")):
        file.write_text(text)
        with pytest.raises(ValueError, match=rf"generation_config\.json.*{message}"):
            GenerationConfig.from_pretrained(tmp_path)
    config = GenerationConfig(top_k=3)
    config.top_k = -3
    with pytest.raises(ValueError, match="top_k is -3"):
        config.save_pretrained(tmp_path / "new")
    with pytest.raises(ValueError, match="top_k is -4"):
        GenerationConfig(top_k=3).update(top_k=-4)
