"""Linear layers on CPUs, and which library multiplies.

torch multiplies float32 matrices on x86 with Intel's MKL. On other makers' processors MKL leaves AVX-512 unused, while
oneDNN, which torch brings along, does not: the same sums of the same float32 products, in half the time (benchmarks/
results/matrix-products_cpu_2026-11-23.md). torch calls it for layers that its compiler has put together; so do we.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FEWEST_ROWS = 256
"""Products of fewer rows are left to torch: oneDNN prepares a kernel for every new shape, which takes a millisecond."""


def project(dense: nn.Linear, hidden: Tensor) -> Tensor:
    """`dense(hidden)`: [T, in] -> [T, out], float32 by the faster library."""
    if _is_plain(dense, hidden):
        weight, bias = dense.weight, dense.bias
        if torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad):
            learnt: Tensor = _Linear.apply(hidden, weight, bias)
            return learnt
        return _product(hidden, weight, bias)
    projected: Tensor = dense(hidden)
    return projected


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


@cache
def onednn_is_faster() -> bool:
    """Whether this processor has AVX-512 and is not Intel's, and this torch has both libraries."""
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _maker() not in ("GenuineIntel", "")


def _maker() -> str:
    """Who made the processor, as Linux tells it; "" where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def _is_plain(dense: nn.Linear, hidden: Tensor) -> bool:
    """Whether this call is a product of two float32 matrices on a CPU and nothing else: no hook, no adapter, no tracer,
    no other tensor type, no transform that would have to look inside.
    """
    if watched() or hidden.dim() != 2 or hidden.shape[0] < FEWEST_ROWS or not onednn_is_faster():
        return False
    hooks = (dense._forward_hooks, dense._forward_pre_hooks, dense._backward_hooks, dense._backward_pre_hooks)
    return (
        type(dense) is nn.Linear
        and type(dense.weight) is nn.Parameter
        and _is_float32_matrix(hidden)
        and _is_float32_matrix(dense.weight.data)
        and not any(hooks)
    )


def _is_float32_matrix(values: Tensor) -> bool:
    return type(values) is Tensor and values.dtype == torch.float32 and values.device.type == "cpu"


def watched() -> bool:
    """Whether something wants to see torch's own operations, or multiplies in another precision."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch.is_autocast_enabled("cpu")
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or not torch._C._get_mkldnn_enabled()
    )


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """rows @ weight^T + bias by oneDNN, [T, in] and [out, in] -> [T, out]; as torch's compiler calls it."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return product


class _Linear(torch.autograd.Function):
    """The product, and its gradients by the same library."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(hidden, weight)
        return _product(hidden, weight, bias)

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
            _product(gradient, weight.t(), None) if of_hidden else None,
            _of_weight(gradient, hidden) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _of_weight(gradient: Tensor, hidden: Tensor) -> Tensor:
    """gradient^T @ hidden: [T, out], [T, in] -> [out, in]; the wider of the two sides is the kernel's inner one."""
    if gradient.shape[1] > hidden.shape[1]:
        return _product(hidden.t(), gradient.t(), None).t()
    return _product(gradient.t(), hidden.t(), None)
