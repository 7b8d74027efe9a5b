"""A folder written here loads in transformers, and the other way round: nothing missing, the same answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from tests.parity.twins import SIZES, assert_close, redraw

CLASSES = [
    "ElectraModel",
    "ElectraForPreTraining",
    "ElectraForMaskedLM",
    "ElectraForCausalLM",
    "ElectraForSequenceClassification",
    "ElectraForTokenClassification",
    "ElectraForQuestionAnswering",
    "ElectraForMultipleChoice",
]
SAVES = [*((name, "50GB") for name in CLASSES), ("ElectraForMaskedLM", "20KB")]
NOTHING: dict[str, Any] = {
    "missing_keys": set(),
    "unexpected_keys": set(),
    "mismatched_keys": set(),
    "error_msgs": [],
}
transformers.utils.logging.disable_progress_bar()
transformers.utils.logging.set_verbosity_error()


def ours(name: str, **fields: Any) -> Any:
    return redraw(getattr(electra, name)(electra.ElectraConfig(**SIZES, **fields))).eval()


def theirs(name: str, **fields: Any) -> Any:
    return redraw(getattr(transformers, name)(transformers.ElectraConfig(**SIZES, **fields))).eval()


def assert_same_answers(one: Any, other: Any) -> None:
    """Equal weights by name, and equal outputs of which some are far from zero."""
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    choices = "MultipleChoice" in type(one).__name__
    ids = torch.randint(1, 97, (2, 3, 11) if choices else (3, 11), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        answers, expected = one(ids)[0], other(ids)[0]
    assert expected.abs().max() > 0.1
    assert_close(answers, expected, 1e-5)


@pytest.mark.parametrize(("name", "size"), SAVES)
def test_ours_in_transformers(name: str, size: str, tmp_path: Path) -> None:
    model = ours(name)
    model.save_pretrained(tmp_path, max_shard_size=size)
    assert (len(list(tmp_path.glob("model-*.safetensors"))) > 2) == (size == "20KB")
    loaded, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert info == NOTHING
    assert_same_answers(loaded, model)
    assert type(transformers.AutoConfig.from_pretrained(tmp_path)) is transformers.ElectraConfig


@pytest.mark.parametrize(("name", "size"), SAVES)
def test_theirs_here(name: str, size: str, tmp_path: Path) -> None:
    model = theirs(name)
    model.save_pretrained(tmp_path, max_shard_size=size)
    loaded, info = getattr(electra, name).from_pretrained(tmp_path, output_loading_info=True)
    assert info == NOTHING
    assert_same_answers(loaded, model)


def test_configurations_are_equal_both_ways(tmp_path: Path) -> None:
    fields = {"num_labels": 3, "problem_type": "multi_label_classification", "my_own": [1, 2], "is_decoder": True}
    ours("ElectraForSequenceClassification", **fields).to(torch.bfloat16).save_pretrained(tmp_path / "ours")
    theirs("ElectraForSequenceClassification", **fields).to(torch.bfloat16).save_pretrained(tmp_path / "theirs")
    read = {}
    for side in ("ours", "theirs"):
        one = electra.ElectraConfig.from_pretrained(tmp_path / side)
        other = transformers.ElectraConfig.from_pretrained(tmp_path / side)
        for name in transformers.ElectraConfig().to_dict():
            if name not in ("transformers_version", "_name_or_path", "model_type"):
                assert getattr(one, name) == getattr(other, name), (side, name)
        assert one.my_own == [1, 2]  # type: ignore[attr-defined]
        read[side] = other.to_dict()
    for side in read.values():
        side.pop("_name_or_path", None)
        side.pop("transformers_version", None)
    assert read["ours"] == read["theirs"]


def make_old(folder: Path, model: Any) -> None:
    """The folder as the first versions wrote it: a pickle, gamma and beta, a buffer, older spellings in the config."""
    state = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in model.state_dict().items()
    }
    state["electra.embeddings.position_ids"] = torch.arange(40)[None]
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["torch_dtype"] = config.pop("dtype")
    config |= {"generator_size": "0.25", "position_embedding_type": "absolute", "gradient_checkpointing": False}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", ["ElectraForPreTraining", "ElectraForMaskedLM"])
def test_an_old_folder_is_read_alike(name: str, tmp_path: Path) -> None:
    model = theirs(name)
    model.save_pretrained(tmp_path)
    make_old(tmp_path, model)
    loaded, info = getattr(electra, name).from_pretrained(tmp_path, output_loading_info=True)
    assert info == NOTHING
    assert_same_answers(loaded, model)
    assert_same_answers(loaded, getattr(transformers, name).from_pretrained(tmp_path))


@pytest.mark.parametrize(
    ("saved", "loaded", "options"),
    [
        ("ElectraModel", "ElectraForPreTraining", {}),
        ("ElectraForPreTraining", "ElectraModel", {}),
        ("ElectraForPreTraining", "ElectraForMaskedLM", {}),
        ("ElectraForMaskedLM", "ElectraForPreTraining", {}),
        ("ElectraForPreTraining", "ElectraForTokenClassification", {"num_labels": 7}),
        ("ElectraForTokenClassification", "ElectraForTokenClassification", {"num_labels": 7}),
        ("ElectraForMaskedLM", "ElectraForMaskedLM", {"vocab_size": 50}),
    ],
)
def test_what_is_missing_unexpected_and_mismatched_is_the_same(
    saved: str, loaded: str, options: dict[str, Any], tmp_path: Path
) -> None:
    ours(saved).save_pretrained(tmp_path)
    options = {**options, "ignore_mismatched_sizes": True, "output_loading_info": True}
    model, info = getattr(electra, loaded).from_pretrained(tmp_path, **options)
    other, expected = getattr(transformers, loaded).from_pretrained(tmp_path, **options)
    assert info == expected
    assert {k: v.shape for k, v in model.state_dict().items()} == {k: v.shape for k, v in other.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("wanted", ["auto", "float16", None])
def test_the_number_type_is_the_same(dtype: torch.dtype, wanted: str | None, tmp_path: Path) -> None:
    theirs("ElectraModel").to(dtype).save_pretrained(tmp_path)
    options = {} if wanted is None else {"dtype": wanted}
    one = electra.ElectraModel.from_pretrained(tmp_path, **options)
    other = transformers.ElectraModel.from_pretrained(tmp_path, **options)
    assert one.dtype == other.dtype == one.config.dtype == other.config.dtype
