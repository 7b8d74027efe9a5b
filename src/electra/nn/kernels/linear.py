"""Linear layers on CPUs, and which library multiplies.

torch leaves float32 to a library that some processors are slow with (`hardware.onednn_is_faster`). `project` calls the
faster one, with gradients, where a layer is nothing but a product.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

from electra.hardware.devices import onednn_is_faster, onednn_product
from electra.nn.activations import Activation

FEWEST_ROWS = 256
"""Products of fewer rows are left to torch: oneDNN prepares a kernel for every new shape, which takes a millisecond."""


def project(dense: nn.Linear, hidden: Tensor, activation: Activation | None = None) -> Tensor:
    """`dense(hidden)`, and the activation of it: [T, in] -> [T, out], float32 by the faster library.

    Where no gradient is wanted that library applies GELU to what is still at hand.
    """
    if not _is_plain(dense, hidden):
        projected: Tensor = dense(hidden)
        return projected if activation is None else activation(projected)
    given = (hidden, dense.weight, dense.bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given):
        projected = _Linear.apply(*given)  # type: ignore[no-untyped-call]
    elif activation is F.gelu:
        return onednn_product(*given, gelu=True)
    else:
        projected = onednn_product(*given)
    return projected if activation is None else activation(projected)


def filler(hidden: Tensor) -> int:
    """How many rows to put behind these, so that batches of many sizes have products of few shapes.

    A sixteenth of them at most; none where `project` leaves the product to torch.
    """
    if watched() or not _is_float32_matrix(hidden) or not onednn_is_faster():
        return 0
    rows = hidden.shape[0]
    if rows < FEWEST_ROWS:
        return 0
    step = 1 << (rows.bit_length() - 5)
    return -rows % step


def _is_plain(dense: nn.Linear, hidden: Tensor) -> bool:
    """Whether this call is a product of two float32 matrices on a CPU and nothing else: no hook, no adapter, no tracer,
    no other tensor type, no transform that would have to look inside.
    """
    if watched() or hidden.dim() != 2 or hidden.shape[0] < FEWEST_ROWS or not onednn_is_faster():
        return False
    return (
        type(dense) is nn.Linear
        and type(dense.weight) is nn.Parameter
        and _is_float32_matrix(hidden)
        and _is_float32_matrix(dense.weight.data)
        and not is_watched(dense)
    )


def _is_float32_matrix(values: Tensor) -> bool:
    return type(values) is Tensor and values.dtype == torch.float32 and values.device.type == "cpu"


def is_watched(module: nn.Module) -> bool:
    """Whether a call of this module does more than its `forward`: it has hooks, or was patched."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    has_any = nn.modules.module._has_any_global_hook  # what it returns is one of torch's tables of hooks
    return any(hooks) or "forward" in vars(module) or bool(has_any())  # type: ignore[no-untyped-call]


def watched() -> bool:
    """Whether something wants to see torch's own operations, or multiplies in another precision."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None  # torch.jit.trace
        or torch.is_autocast_enabled("cpu")
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or forward_ad._current_level >= 0
        or not torch._C._get_mkldnn_enabled()
    )


class _Linear(torch.autograd.Function):
    """The product, and its gradients by the same library."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        of_hidden, of_weight, _ = ctx.needs_input_grad
        ctx.save_for_backward(hidden if of_weight else None, weight if of_hidden else None)
        return onednn_product(hidden, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        hidden, weight = ctx.saved_tensors
        of_hidden, of_weight, of_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a gradient of this gradient is wanted
            return (
                gradient @ weight if of_hidden else None,
                gradient.t() @ hidden if of_weight else None,
                gradient.sum(0) if of_bias else None,
            )
        return (
            onednn_product(gradient, weight.t(), None) if of_hidden else None,
            _of_weight(gradient, hidden) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _of_weight(gradient: Tensor, hidden: Tensor) -> Tensor:
    """gradient^T @ hidden: [T, out], [T, in] -> [out, in]; the wider of the two sides is the kernel's inner one."""
    if gradient.shape[1] > hidden.shape[1]:
        return onednn_product(hidden.t(), gradient.t(), None).t()
    return onednn_product(gradient.t(), hidden.t(), None)
