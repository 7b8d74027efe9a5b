"""Activation functions by the names that configurations use."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.nn.activation_compat import FURTHER_ACTIVATIONS

Activation = Callable[[Tensor], Tensor]

ACTIVATION: dict[str, Activation] = {
    "gelu": F.gelu,  # every published ELECTRA
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,  # `summary_activation` of some configurations
    **FURTHER_ACTIVATIONS,
}


def activation(name: str) -> Activation:
    """The function of this name; `prelu`, which has a weight, is a new module each time."""
    return nn.PReLU() if name == "prelu" else ACTIVATION[name]
