"""Activation functions that no ELECTRA uses, by the names that transformers' configurations allow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

_tanh_gelu = partial(F.gelu, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _clipped_gelu(x: Tensor) -> Tensor:
    return F.gelu(x).clip(-10, 10)


def _laplace(x: Tensor) -> Tensor:
    """The normal distribution's cumulative function that comes nearest to the squared ReLU (arXiv 2209.10655)."""
    return (1 + torch.erf((x - 0.707107) / (0.282095 * 2**0.5))) / 2


def _root_of_softplus(x: Tensor) -> Tensor:
    return F.softplus(x).sqrt()


def _squared_relu(x: Tensor) -> Tensor:
    return F.relu(x).square()


def _identity(x: Tensor) -> Tensor:
    return x


FURTHER_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_python": F.gelu,
    "gelu_new": _tanh_gelu,
    "gelu_fast": _tanh_gelu,
    "gelu_accurate": _tanh_gelu,
    "gelu_pytorch_tanh": _tanh_gelu,
    "gelu_python_tanh": _tanh_gelu,
    "gelu_10": _clipped_gelu,
    "quick_gelu": _quick_gelu,
    "relu2": _squared_relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "swish": F.silu,
    "hardswish": F.hardswish,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "linear": _identity,
    "laplace": _laplace,
    "sqrtsoftplus": _root_of_softplus,
}
