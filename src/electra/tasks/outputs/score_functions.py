"""From the network's outputs to scores: the functions by the name that users and configurations give them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SCORE_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda logits: logits.softmax(-1),
    "none": lambda logits: logits,
}
"""[…, K] -> […, K]"""

CHOICES = ("default", *SCORE_FUNCTIONS)


def named(function: str | None) -> str:
    """One of CHOICES, in lower case; None is "default", anything else a `ValueError`."""
    name = str(function or "default").lower()
    if name not in CHOICES:
        raise ValueError(f"function_to_apply={name!r}: choose of {', '.join(CHOICES)}")
    return name
