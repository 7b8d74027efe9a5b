"""Dropout on CPUs from 16 random bits a value, a third of the time of torch's dropout."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from electra.batch import Layout
from electra.hardware.torch_internals import has_hooks, is_instrumented

_LEVELS = 2**16
"""16 random bits decide on a value, so that a probability is rounded to a 65,536th."""


def drop(module: nn.Dropout, values: Tensor, layout: Layout) -> Tensor:
    """`module(values)`; for ragged batches on a CPU faster, from other random numbers.

    Padded batches keep torch's dropout, so that a seed gives the same numbers as in transformers.

    Args:
        module: its probability, and whether it is training.
        values: [T, …].
        layout: how the T tokens lie in the batch.

    Returns:
        The values, some of them 0 and the others divided by 1 - probability.
    """
    unmodified = type(module) is nn.Dropout and not has_hooks(module)
    if module.training and layout.grid is None and unmodified and uses_fast_dropout(values, module.p):
        keep = keep_mask(values.numel(), module.p).view(values.shape)
        result: Tensor = _Dropout.apply(values, keep, module.p)  # type: ignore[no-untyped-call]
        return result
    dropped: Tensor = module(values)
    return dropped


def uses_fast_dropout(values: Tensor, probability: float) -> bool:
    """Whether dropout of these values is computed here: on a CPU, without tracing or instrumentation."""
    on_cpu = type(values) is Tensor and values.device.type == "cpu"
    return 0.0 < probability < 1.0 and on_cpu and not is_instrumented()


def keep_mask(count: int, probability: float) -> Tensor:
    """Which of `count` values stay, each with probability 1 - `probability`: bool [count].

    The bits are sampled 64 at a time from torch's generator; torch's own dropout samples 64 for each value.
    """
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    dropped_levels = min(round(probability * _LEVELS), _LEVELS - 1)
    return bits.view(torch.int16)[:count] >= dropped_levels - _LEVELS // 2


class _Dropout(torch.autograd.Function):
    """A value that stays is divided by 1 - probability, the others become 0."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, keep: Tensor, probability: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = 1.0 / (1.0 - probability)
        return (values * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (keep,) = gradients, ctx.saved_tensors
        return gradient * keep * ctx.scale, None, None
