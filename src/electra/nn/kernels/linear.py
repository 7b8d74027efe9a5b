"""Linear layers on CPUs: float32 products by oneDNN where that library is faster than the one that torch calls.

torch leaves float32 to MKL, which some processors are slow with (`hardware.devices.onednn_is_faster`). `project` calls
the faster library, with gradients, where a layer is nothing but a product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.hardware.devices import onednn_is_faster
from electra.hardware.torch_internals import has_hooks, is_instrumented, onednn_product, tracing_state
from electra.nn.activations import Activation

FEWEST_TOKENS = 256
"""Products of fewer rows are left to torch: oneDNN prepares a kernel for every new shape, which takes a millisecond."""


def project(dense: nn.Linear, hidden: Tensor, activation: Activation | None = None) -> Tensor:
    """`activation(dense(hidden))`, by the faster library where nothing depends on how it is computed.

    Args:
        dense: the layer.
        hidden: [T, in], or any shape that ends in `in`.
        activation: applied to the product. None: the product itself.

    Returns:
        [T, out], in the dtype that `dense(hidden)` has.
    """
    if not _is_plain_product(dense, hidden):
        projected: Tensor = dense(hidden)
        return projected if activation is None else activation(projected)
    operands = (hidden, dense.weight, dense.bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in operands):
        projected = _Linear.apply(*operands)  # type: ignore[no-untyped-call]
    elif activation is F.gelu:
        return onednn_product(*operands, gelu=True)  # without a gradient the library applies GELU in the same pass
    else:
        projected = onednn_product(*operands)
    return projected if activation is None else activation(projected)


def padding_tokens(hidden: Tensor) -> int:
    """How many tokens to append to these [T, H], so that batches of many sizes have products of few shapes.

    oneDNN keeps a kernel for each shape. A sixteenth of the tokens at most; 0 where `project` leaves the product to
    torch.
    """
    if is_instrumented() or not _is_float32_matrix(hidden) or not onednn_is_faster():
        return 0
    tokens = hidden.shape[0]
    if tokens < FEWEST_TOKENS:
        return 0
    step = 1 << (tokens.bit_length() - 5)
    return -tokens % step


def _is_plain_product(dense: nn.Linear, hidden: Tensor) -> bool:
    """Whether this call is a product of two float32 matrices on a CPU and nothing else: no hook, no adapter, no tracer,
    no other tensor type, no transform that has to see torch's operations.
    """
    if (
        torch.compiler.is_compiling() or tracing_state() is not None
    ):  # before any comparison, which would become part of it
        return False
    if hidden.dim() != 2 or hidden.shape[0] < FEWEST_TOKENS or not onednn_is_faster():
        return False
    return (
        not is_instrumented()
        and type(dense) is nn.Linear  # not a subclass, which may compute something else
        and type(dense.weight) is nn.Parameter  # not a quantised one
        and _is_float32_matrix(hidden)
        and _is_float32_matrix(dense.weight.data)
        and not has_hooks(dense)
    )


def _is_float32_matrix(values: Tensor) -> bool:
    return type(values) is Tensor and values.dtype == torch.float32 and values.device.type == "cpu"


class _Linear(torch.autograd.Function):
    """The product, and its gradients by the same library."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        needs_hidden, needs_weight, _ = ctx.needs_input_grad
        # a factor is kept only if the gradient of the other one is needed
        ctx.save_for_backward(hidden if needs_weight else None, weight if needs_hidden else None)
        return onednn_product(hidden, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        hidden, weight = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a gradient of this gradient is needed: oneDNN's product has none
            return (
                gradient @ weight if needs_hidden else None,
                gradient.t() @ hidden if needs_weight else None,
                gradient.sum(0) if needs_bias else None,
            )
        return (
            onednn_product(gradient, weight.t(), None) if needs_hidden else None,
            _weight_gradient(gradient, hidden) if needs_weight else None,
            gradient.sum(0) if needs_bias else None,
        )


def _weight_gradient(gradient: Tensor, hidden: Tensor) -> Tensor:
    """gradient^T @ hidden: [T, out], [T, in] -> [out, in]."""
    # oneDNN is faster if the wider of the two sides is the inner one
    if gradient.shape[1] > hidden.shape[1]:
        return onednn_product(hidden.t(), gradient.t(), None).t()
    return onednn_product(gradient.t(), hidden.t(), None)
