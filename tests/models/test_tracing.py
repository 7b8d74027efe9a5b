"""Graphs that were traced on one sentence answer for padded batches: they do not depend on the example's values."""

from __future__ import annotations

import io
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

import electra
from electra import ElectraConfig
from tests.parity.twins import SIZES, redraw

KINDS = [
    *("ElectraModel", "ElectraForSequenceClassification", "ElectraForTokenClassification", "ElectraForMaskedLM"),
    *("ElectraForQuestionAnswering", "ElectraForPreTraining", "ElectraForJointQuestionAnswering"),
]
SENTENCE = torch.tensor([[1, 2, 3, 4, 5]])
BATCH = torch.tensor([[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 0, 0, 0, 0], [4, 5, 0, 0, 0, 0, 0]])


class First(nn.Module):
    """The first output alone, as a tracer wants it."""

    def __init__(self, name: str, **fields: Any) -> None:
        super().__init__()
        self.model = redraw(getattr(electra, name)(ElectraConfig(**{**SIZES, **fields}))).eval()

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        first: Tensor = self.model(ids, mask, return_dict=False)[0]
        return first


def mask_of(ids: Tensor) -> Tensor:
    return (ids != 0).long()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_trace_keeps_the_mask(name: str, attention: str) -> None:
    model = First(name, attn_implementation=attention)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, (SENTENCE, mask_of(SENTENCE)))
    assert torch.allclose(traced(BATCH, mask_of(BATCH)), model(BATCH, mask_of(BATCH)), atol=1e-5)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # torch's own: it maps no attention
@pytest.mark.parametrize("name", KINDS)
def test_other_tracers_keep_it_too(name: str) -> None:
    model = First(name)
    masked = torch.tensor([[1, 1, 1, 0, 0]])
    expected = model(SENTENCE, masked)
    graph = make_fx(model)(SENTENCE, mask_of(SENTENCE))
    assert torch.allclose(graph(SENTENCE, masked), expected, atol=1e-5)
    exported = torch.export.export(model, (SENTENCE, mask_of(SENTENCE))).module()
    assert torch.allclose(exported(SENTENCE, masked), expected, atol=1e-5)
    mapped = torch.func.vmap(model)(BATCH[:, None], mask_of(BATCH)[:, None])
    assert torch.allclose(mapped[:, 0], model(BATCH, mask_of(BATCH)), atol=1e-5)


def test_onnx_without_dynamo() -> None:
    pytest.importorskip("onnx")
    model, file = First("ElectraForSequenceClassification"), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (SENTENCE, mask_of(SENTENCE)), file, dynamo=False, input_names=["ids", "mask"])
    assert b"mask" in file.getvalue()
