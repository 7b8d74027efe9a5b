"""Code that was written for transformers' ELECTRA: hooks, state dicts, masks, resized vocabularies."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import electra
from electra import ElectraConfig, ElectraForCausalLM, ElectraForMaskedLM, ElectraModel, ReplacedTokenDetection
from tests.parity.twins import SIZES, padded_ids, twins

IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]])


@pytest.mark.parametrize("layer", ["electra.embeddings", "electra.embeddings.word_embeddings"])
def test_hooks_on_embeddings_see_what_they_see_in_transformers(layer: str) -> None:
    ours, theirs = twins("ElectraForSequenceClassification")
    seen: list[torch.Tensor] = []
    for model in (ours, theirs):
        model.get_submodule(layer).register_forward_hook(lambda module, given, output: seen.append(output))
        model(IDS)
    assert seen[0].shape == seen[1].shape
    assert torch.allclose(seen[0], seen[1], atol=1e-5)


class Wrapper(nn.Module):
    """Somebody's network around an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ElectraModel(ElectraConfig(**SIZES))
        self.top = nn.Linear(32, 3)


def test_a_wrapper_s_state_dict_of_old_times_loads() -> None:
    model = Wrapper()
    state = model.state_dict()
    old = {**state, "backbone.embeddings.position_ids": torch.arange(40)[None]}
    old["backbone.embeddings.token_type_ids"] = torch.zeros(1, 40, dtype=torch.int64)
    model.load_state_dict(old)
    copy.deepcopy(model).load_state_dict(old)
    with pytest.raises(RuntimeError, match="word_ids"):
        model.load_state_dict({**state, "backbone.embeddings.word_ids": torch.zeros(1)})


@pytest.mark.parametrize("kind", ["bool", "float", "one for all"])
def test_a_decoder_with_a_mask_for_each_query(kind: str) -> None:
    """It says all of what may be attended to: nothing else is masked, as in transformers."""
    ours, theirs = twins("ElectraForCausalLM", is_decoder=True)
    ids = padded_ids()["input_ids"]
    rows, columns = ids.shape
    allowed = torch.rand(rows, 1, columns, columns, generator=torch.Generator().manual_seed(1)) < 0.6
    allowed |= torch.eye(columns, dtype=torch.bool)
    mask: torch.Tensor = allowed[:1] if kind == "one for all" else allowed
    if kind == "float":
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)
    with torch.no_grad():
        a = ours(ids, attention_mask=mask, use_cache=False).logits
        b = theirs(ids, attention_mask=mask.expand(rows, -1, -1, -1), use_cache=False).logits
    assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("name", ["ElectraForMaskedLM", "ElectraForCausalLM"])
def test_the_encoder_inside_a_generator_is_not_resized_alone(name: str) -> None:
    model = getattr(electra, name)(ElectraConfig(**SIZES))
    for call in (
        lambda encoder: encoder.resize_token_embeddings(120),
        lambda encoder: encoder.set_input_embeddings(nn.Embedding(120, 24)),
    ):
        with pytest.raises(ValueError, match=f"shared with the output layer of the {name} around this encoder"):
            call(model.electra)
        with pytest.raises(ValueError, match="shared with the output layer"):
            call(copy.deepcopy(model).electra)
    assert model(IDS).logits.shape[-1] == 97
    model.resize_token_embeddings(120)
    assert model.generator_lm_head.weight is model.electra.embeddings.word_embeddings.weight
    assert model(IDS).logits.shape[-1] == 120


def test_an_encoder_of_its_own_is_resized() -> None:
    untied = ElectraForMaskedLM(ElectraConfig(**SIZES, tie_word_embeddings=False))
    untied.electra.resize_token_embeddings(120)
    model = ElectraModel(ElectraConfig(**SIZES))
    model.resize_token_embeddings(120)
    assert model(IDS)[0].shape == (2, 5, 32)


def test_a_pair_of_networks_of_which_one_was_resized() -> None:
    def pair() -> Any:
        config = ElectraConfig(**SIZES)
        generator, discriminator = ElectraForMaskedLM(config), electra.ElectraForPreTraining(copy.deepcopy(config))
        return ReplacedTokenDetection(generator, discriminator, mask_token_id=4, special_token_ids=[2, 3])

    for half in ("generator", "discriminator"):
        both = pair()
        getattr(both, half).resize_token_embeddings(120)
        with pytest.raises(ValueError, match=r"the generator's vocab_size is \d+ and the discriminator's \d+"):
            both(IDS)
    both = pair()
    both.discriminator.resize_token_embeddings(120)
    both.generator.resize_token_embeddings(120)
    with pytest.raises(ValueError, match=r"no longer share their embeddings: call share_embeddings"):
        both(IDS)
    both.share_embeddings()
    assert both(IDS).loss.isfinite()


def test_a_decoder_of_transformers_and_ours_have_one_mask_by_default() -> None:
    ours, theirs = twins("ElectraForCausalLM", is_decoder=True)
    ids, mask = (padded_ids()[name] for name in ("input_ids", "attention_mask"))
    assert isinstance(ours, ElectraForCausalLM)
    assert isinstance(theirs, transformers.ElectraForCausalLM)
    with torch.no_grad():
        a, b = (model(ids, attention_mask=mask).logits for model in (ours, theirs))
    assert torch.allclose(a[mask.bool()], b[mask.bool()], atol=1e-4)
