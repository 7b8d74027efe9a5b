"""Dropout, and on CPUs random bits that are drawn faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from electra.batch import Layout
from electra.nn.kernels.linear import is_watched, watched

_CHANCES = 2**16
"""16 random bits decide on a value, so that a probability is rounded to a 65,536th."""


def drop(module: nn.Dropout, values: Tensor, layout: Layout) -> Tensor:
    """`module(values)`; of ragged rows on a CPU in a third of the time, from other random numbers.

    Grids keep torch's, so that a seed gives the numbers that it gives with transformers.
    """
    plain = type(module) is nn.Dropout and not is_watched(module)
    if module.training and layout.grid is None and plain and draws_bits(values, module.p):
        stay = kept(values.numel(), module.p).view(values.shape)
        result: Tensor = _Dropout.apply(values, stay, module.p)  # type: ignore[no-untyped-call]
        return result
    dropped: Tensor = module(values)
    return dropped


def draws_bits(values: Tensor, probability: float) -> bool:
    """Whether dropout of these is for this module: on a CPU, where nobody wants to see torch's own operations."""
    return 0.0 < probability < 1.0 and type(values) is Tensor and values.device.type == "cpu" and not watched()


def kept(count: int, probability: float) -> Tensor:
    """Which of so many values stay, each with probability 1 - `probability`: bool [count].

    From torch's generator, 64 bits at a time: torch's own dropout draws 64 for each value.
    """
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    dropped = min(round(probability * _CHANCES), _CHANCES - 1)
    return bits.view(torch.int16)[:count] >= dropped - _CHANCES // 2


class _Dropout(torch.autograd.Function):
    """A value that stays is divided by 1 - probability, the others become 0."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, stay: Tensor, probability: float) -> Tensor:
        ctx.save_for_backward(stay)
        ctx.scale = 1.0 / (1.0 - probability)
        return (values * stay).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (stay,) = gradients, ctx.saved_tensors
        return gradient * stay * ctx.scale, None, None
