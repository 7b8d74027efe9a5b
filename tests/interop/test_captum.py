"""captum attributes our models' answers to their words, as it does those of transformers' models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from captum.attr import IntegratedGradients, LayerIntegratedGradients

from tests.interop.toy import lively, texts, theirs, tokenizer
from tests.parity.twins import assert_close

pytestmark = pytest.mark.interop


def scores(model: Any) -> Callable[..., torch.Tensor]:
    return lambda ids, mask: model(ids, attention_mask=mask).logits


def test_attributions_to_words_equal_those_on_transformers_model() -> None:
    model = lively("ElectraForSequenceClassification", num_labels=3)
    batch = tokenizer()(texts(3), padding=True, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"]
    assert not mask.all()
    base = torch.where(ids > 4, 0, ids)
    results = []
    for one in (model, theirs(model)):
        attribute = LayerIntegratedGradients(scores(one), one.electra.embeddings.word_embeddings)
        results.append(
            attribute.attribute(
                ids, base, target=2, additional_forward_args=(mask,), n_steps=200, return_convergence_delta=True
            )
        )
    (ours, delta), (expected, _) = results
    assert ours.shape == (*ids.shape, 24)
    assert ours.abs().sum() > 1
    assert_close(ours, expected, 1e-4)
    with torch.no_grad():
        moved = (model(ids, mask).logits - model(base, mask).logits)[:, 2]
    assert_close(ours.sum((1, 2)), moved, 0.02)
    assert delta.abs().max() < 0.02 * moved.abs().max()


def test_attributions_to_vectors_that_are_given() -> None:
    model = lively("ElectraForSequenceClassification", num_labels=3)
    batch = tokenizer()(texts(3), padding=True, return_tensors="pt")
    vectors = model.get_input_embeddings()(batch["input_ids"]).detach()
    results = [
        IntegratedGradients(
            lambda given, mask, one=one: one(inputs_embeds=given, attention_mask=mask).logits
        ).attribute(vectors, target=1, additional_forward_args=(batch["attention_mask"],), n_steps=20)
        for one in (model, theirs(model))
    ]
    assert results[0].abs().sum() > 1
    assert_close(*results, 1e-4)
