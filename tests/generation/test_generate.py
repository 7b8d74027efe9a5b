"""How `generate` works: what the network is fed, what the cache keeps, and where a text stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from electra import ElectraConfig, ElectraForCausalLM, ElectraModel, ElectraTokenizer
from electra.generation.stopping import StopStrings
from electra.nn.cache import CacheLayer, KeyValueCache
from tests.parity.twins import SIZES, redraw
from tests.tasks.tiny import VOCABULARY

IDS = torch.tensor([[5, 9, 4], [0, 7, 8]])
MODEL = redraw(ElectraForCausalLM(ElectraConfig(**SIZES, is_decoder=True, add_cross_attention=True))).eval()
READ = {"encoder_hidden_states": torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))}


@pytest.fixture
def fed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every forward pass."""
    calls: list[dict[str, Any]] = []
    forward = ElectraForCausalLM.forward

    def counted(model: Any, **given: Any) -> Any:
        calls.append(given)
        return forward(model, **given)

    monkeypatch.setattr(ElectraForCausalLM, "forward", counted)
    return calls


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}], ids=str)
def test_with_a_cache_a_step_reads_one_token_and_finds_the_same(options: Any, fed: list[dict[str, Any]]) -> None:
    asked = {**READ, "max_new_tokens": 9, "output_logits": True, "return_dict_in_generate": True, **options}
    torch.manual_seed(0)
    cached = MODEL.generate(IDS, **asked)
    assert [call["input_ids"].shape[1] for call in fed] == [3] + [1] * 8
    assert [call["attention_mask"].shape[1] for call in fed] == list(range(3, 12))
    assert fed[-1]["position_ids"].flatten().tolist() == [10] * (len(fed[-1]["position_ids"]) // 2) + [9] * (
        len(fed[-1]["position_ids"]) // 2
    )
    assert all(call["logits_to_keep"] == 1 for call in fed)
    fed.clear()
    torch.manual_seed(0)
    recomputed = MODEL.generate(IDS, **asked, use_cache=False)
    assert [call["input_ids"].shape[1] for call in fed] == list(range(3, 12))
    assert torch.equal(cached.sequences, recomputed.sequences)
    for mine, yours in zip(cached.logits, recomputed.logits, strict=True):
        assert torch.allclose(mine, yours, atol=1e-4)


def test_without_padding_there_is_no_mask(fed: list[dict[str, Any]]) -> None:
    MODEL.generate(IDS[:1], max_new_tokens=2, attention_mask=torch.ones(1, 3))
    assert "attention_mask" not in fed[0]


def test_a_cache_is_reordered_in_every_layer() -> None:
    def layer(at: float) -> CacheLayer:
        rows = torch.arange(3.0)[:, None, None, None].expand(3, 2, 4, 5) + at
        return CacheLayer(rows.clone(), -rows)

    cache = KeyValueCache([layer(0), layer(10)], [layer(20)])
    cache.reorder_cache(torch.tensor([2, 0, 0]))
    assert [kept.keys[:, 0, 0, 0].tolist() for kept in cache.layers] == [[2, 0, 0], [12, 10, 10]]
    assert cache.layers[1].values[:, 1, 3, 4].tolist() == [-12, -10, -10]
    assert cache.cross[0].keys[:, 0, 0, 0].tolist() == [22, 20, 20]


def test_nothing_is_learnt_and_nothing_is_changed() -> None:
    ids, config = IDS.clone(), MODEL.generation_config.to_dict()
    made = MODEL.generate(IDS, max_new_tokens=3, num_beams=2)
    assert not made.requires_grad
    assert torch.equal(IDS, ids)
    assert MODEL.generation_config.to_dict() == config


def test_arguments_of_a_forward_pass() -> None:
    """The method that PEFT wraps: what is None is left out, what has a column for each token is cut like the ids."""
    inputs = {"position_ids": torch.arange(3)[None], "token_type_ids": torch.ones(2, 3), "use_cache": True}
    last = MODEL.prepare_inputs_for_generation(IDS, next_sequence_length=1, attention_mask=IDS != 0, **inputs)
    assert set(last) == {"input_ids", "attention_mask", "position_ids", "token_type_ids", "use_cache"}
    assert last["input_ids"].tolist() == [[4], [8]]
    assert last["position_ids"].tolist() == [[2]]
    assert last["attention_mask"].shape == (2, 3)
    vectors = torch.randn(2, 3, 24)
    first = MODEL.prepare_inputs_for_generation(IDS, inputs_embeds=vectors, is_first_iteration=True)
    assert set(first) == {"inputs_embeds"}
    assert set(MODEL.prepare_inputs_for_generation(IDS, inputs_embeds=vectors)) == {"input_ids"}


@pytest.fixture(scope="module")
def tokenizer() -> ElectraTokenizer:
    return ElectraTokenizer(VOCABULARY)


@pytest.mark.parametrize(
    ("text", "stops", "finished"),
    [
        (["the", "cat"], ["cat"], True),
        (["the", "cat"], ["the cat"], True),
        (["the", "cat"], ["e c"], True),  # the last token may go on behind the string
        (["the", "cat"], [" cat"], True),
        (["the", "cat"], ["the"], False),  # that was a token ago
        (["big", "##er"], ["bigger", "iger"], True),
        (["big", "##er"], ["ig er"], False),
        (["sat", "on"], ["x", "t o"], True),
        (["cat"], ["a cat"], False),
    ],
    ids=str,
)
def test_a_string_stops_a_text_at_the_token_that_completes_it(
    text: list[str], stops: list[str], finished: bool, tokenizer: ElectraTokenizer
) -> None:
    criterion = StopStrings(tokenizer, stops)
    ids = torch.tensor([[VOCABULARY.index(token) for token in text]])
    assert criterion(ids, None).tolist() == [finished]


def test_time_stops_all_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("electra.generation.stopping.time.monotonic", lambda: next(clock))
    assert MODEL.generate(IDS, max_new_tokens=20, max_time=3).shape == (2, 7)


def test_a_criterion_sees_the_scores_so_far() -> None:
    seen: list[Any] = []

    def criterion(ids: Tensor, scores: Any) -> bool:
        seen.append((ids.shape[1], None if scores is None else len(scores)))
        return False

    MODEL.generate(IDS, max_new_tokens=2, stopping_criteria=[criterion])
    MODEL.generate(
        IDS, max_new_tokens=2, stopping_criteria=[criterion], output_scores=True, return_dict_in_generate=True
    )
    assert seen == [(4, None), (5, None), (4, 1), (5, 2)]


def test_generation_config_goes_with_the_model(tmp_path: Path) -> None:
    model = ElectraForCausalLM(ElectraConfig(**SIZES, is_decoder=True))
    model.generation_config.update(max_new_tokens=7, num_beams=2)
    model.save_pretrained(tmp_path)
    again = ElectraForCausalLM.from_pretrained(tmp_path)
    theirs = transformers.ElectraForCausalLM.from_pretrained(tmp_path)
    assert again.generation_config == model.generation_config
    assert (theirs.generation_config.max_new_tokens, theirs.generation_config.num_beams) == (7, 2)
    theirs.generation_config.max_new_tokens = 9
    theirs.save_pretrained(tmp_path / "theirs")
    assert ElectraForCausalLM.from_pretrained(tmp_path / "theirs").generation_config.max_new_tokens == 9
    given = ElectraForCausalLM.from_pretrained(tmp_path, generation_config=theirs.generation_config)
    assert given.generation_config.max_new_tokens == 9
    (tmp_path / "generation_config.json").unlink()
    assert ElectraForCausalLM.from_pretrained(tmp_path).generation_config.max_new_tokens is None
    with pytest.raises(ValueError, match="ElectraModel does not generate"):
        ElectraModel.from_pretrained(tmp_path, generation_config=theirs.generation_config)
