"""A model of ours and transformers' with the same weights, drawn to order one, and how to compare the two.

At initialisation every output is near zero and all comparisons pass, whatever is wrong.
"""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import Tensor, nn

import electra

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "embedding_size": 24,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "summary_last_dropout": 0.0,
}


def redraw(model: nn.Module, seed: int = 0) -> nn.Module:
    """All parameters of order one, so that what a layer does shows in the outputs."""
    numbers = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            drawn = torch.randn(parameter.shape, generator=numbers)
            if "LayerNorm.weight" in name:
                parameter.copy_(1 + 0.5 * drawn)
            elif "embeddings." in name or parameter.dim() == 1:
                parameter.copy_(drawn)
            else:
                parameter.copy_(1.5 * drawn / parameter.shape[1] ** 0.5)
    return model


def twins(name: str, **fields: Any) -> tuple[Any, Any]:
    """Our model and theirs of one class, in evaluation mode, with equal weights; strict both ways."""
    values = {**SIZES, **fields}
    ours = redraw(getattr(electra, name)(electra.ElectraConfig(**values))).eval()
    theirs = getattr(transformers, name)(transformers.ElectraConfig(**values)).eval()
    implementation = values.get("attn_implementation")
    if implementation is not None:
        theirs.set_attn_implementation(implementation)
    state = ours.state_dict()
    theirs.load_state_dict(state, strict=True)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def padded_ids(rows: int = 4, columns: int = 17, vocabulary: int = 97) -> dict[str, Tensor]:
    """Ids, types and a mask with rows of several lengths."""
    numbers = torch.Generator().manual_seed(5)
    lengths = torch.randint(2, columns + 1, (rows,), generator=numbers)
    lengths[0] = columns
    mask = (torch.arange(columns) < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(1, vocabulary, (rows, columns), generator=numbers) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, (rows, columns), generator=numbers) * mask,
    }


def assert_close(ours: Any, theirs: Any, tolerance: float, what: str = "") -> None:
    """Tensors, or tuples of tensors, that differ by at most `tolerance` of the larger of 1 and their size."""
    if isinstance(ours, Tensor):
        assert ours.shape == theirs.shape, what
        scale = max(1.0, theirs.abs().max().item())
        difference = (ours - theirs).abs().max().item() / scale
        assert difference <= tolerance, f"{what}: differs by {difference:.2e}, and {tolerance:.0e} is allowed"
        return
    assert len(ours) == len(theirs), what
    for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_close(a, b, tolerance, f"{what}[{index}]")


def assert_gradients_equal(
    ours: nn.Module, theirs: nn.Module, inputs: Any, expected_inputs: Any = None, tolerance: float = 1e-6
) -> None:
    """Every parameter's gradient of the loss, relative to its own size.

    In float64: where a softmax is nearly one-hot, rounding alone makes 1e-3 of a query's gradient in float32.
    A key's bias has no gradient but rounding, since softmax does not see it: hence the floor.
    """
    for model, given in ((ours, inputs), (theirs, inputs if expected_inputs is None else expected_inputs)):
        model.zero_grad()
        model.double()(*given[0], **_double(given[1])).loss.backward()
    expected = dict(theirs.named_parameters())
    largest = max(p.grad.abs().max().item() for p in expected.values() if p.grad is not None)
    seen = 0
    for name, parameter in ours.named_parameters():
        wanted = expected[name].grad
        assert (parameter.grad is None) == (wanted is None), name
        if wanted is None or parameter.grad is None:
            continue
        size = wanted.abs().max().item()
        difference = (parameter.grad - wanted).abs().max().item()
        assert difference <= tolerance * max(size, 1e-6 * largest), f"{name}: {difference:.2e} of {size:.2e}"
        seen += size > 1e-3 * largest
    assert seen > 10, "the gradients are near zero: the comparison says nothing"


def _double(inputs: dict[str, Any]) -> dict[str, Any]:
    return {k: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v for k, v in inputs.items()}
