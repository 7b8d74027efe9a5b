"""Every private name of torch that the package uses, and the switch that does without the fast paths built on them.

torch promises nothing about these names. They stand in this file alone, each behind a function that says what it is
for, and `tests/test_torch_internals.py` names those that a new version of torch no longer has. If one is gone, set
`ELECTRA_REFERENCE_KERNELS=1`: everything is then computed by torch's public operations, more slowly, with the same
results up to rounding.

The file is in this room, below the network, since the machine's peak rate is measured with the same product.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _pytree

SWITCH = "ELECTRA_REFERENCE_KERNELS"

PRIVATE_NAMES = (
    "torch._C._are_functorch_transforms_active",
    "torch._C._functorch.is_legacy_batchedtensor",
    "torch._C._get_mkldnn_enabled",
    "torch._C._get_tracing_state",
    "torch._C._len_torch_dispatch_stack",
    "torch._C._len_torch_function_stack",
    "torch._softmax_backward_data",
    "torch.autograd.forward_ad._current_level",
    "torch.nn.Module()._backward_hooks",
    "torch.nn.Module()._backward_pre_hooks",
    "torch.nn.Module()._forward_hooks",
    "torch.nn.Module()._forward_pre_hooks",
    "torch.nn.modules.module._has_any_global_hook",
    "torch.ops.mkldnn._linear_pointwise",
    "torch.utils._pytree.register_pytree_node",
)
"""What is used below. A name with `()` is an attribute of an object."""


def _switched_on(value: str) -> bool:
    """Whether the switch asks for the reference kernels.

    Raises:
        ValueError: it is neither 0 nor 1.
    """
    if value not in ("", "0", "1"):
        raise ValueError(f"{SWITCH} is {value!r}: it must be 1 (torch's public operations alone) or 0 (the default)")
    return value == "1"


REFERENCE_KERNELS = _switched_on(os.environ.get(SWITCH, ""))
"""Whether no fast path is taken. Read once: a compiled graph could not follow an environment variable that changes."""


tracing_state: Callable[[], object] = torch._C._get_tracing_state
"""The graph that `torch.jit.trace` records, or None. `torch.onnx.export(dynamo=False)` and OpenVINO trace by it."""
transforms_active: Callable[[], bool] = torch._C._are_functorch_transforms_active
"""Whether a transform of `torch.func` (vmap, grad, jvp) is computing."""
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
"""How many modes see each operation before it is computed, as make_fx and fake tensors do."""
function_modes: Callable[[], int] = torch._C._len_torch_function_stack
"""How many modes see each function of torch before it runs."""


def is_instrumented() -> bool:
    """Whether torch's own operations have to be called: fast paths are switched off, or something traces them.

    A tracer, a transform of `torch.func`, a dispatch mode or forward-mode differentiation sees operations of torch and
    would miss, or record wrongly, what a fast path does instead. Autocast wants to choose the precision itself.
    """
    return (
        REFERENCE_KERNELS
        or torch.compiler.is_compiling()
        or tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or transforms_active()
        or dispatch_modes() > 0
        or forward_ad._current_level >= 0
        or not torch._C._get_mkldnn_enabled()
    )


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of this module does more than its class's `forward`: it has hooks, or was patched."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks) or "forward" in vars(module) or has_global_hooks()


def has_global_hooks() -> bool:
    """Whether torch calls hooks of every module."""
    has_any = nn.modules.module._has_any_global_hook  # returns one of torch's tables of hooks
    return bool(has_any())  # type: ignore[no-untyped-call]


def onednn_product(rows: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False) -> Tensor:
    """rows @ weight^T + bias by oneDNN, without a gradient.

    Args:
        rows: float32 [T, in]; any strides.
        weight: float32 [out, in]; any strides.
        bias: float32 [out].
        gelu: apply GELU to the result while it is in the processor's cache.

    Returns:
        float32 [T, out].
    """
    then, algorithm = ("gelu", "none") if gelu else ("none", "")
    if bias is not None:
        bias = bias.contiguous()  # the operation ignores its strides, and only its
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, then, [], algorithm)
    return product


def is_batched_gradient(gradient: Tensor) -> bool:
    """Whether many gradients are computed at once (`torch.autograd.grad(…, is_grads_batched=True)`)."""
    return bool(torch._C._functorch.is_legacy_batchedtensor(gradient))


def softmax_backward(gradient: Tensor, probabilities: Tensor) -> Tensor:
    """The gradient of softmax over the last dimension, from that of its result: both of one shape -> the same."""
    return torch._softmax_backward_data(gradient, probabilities, -1, probabilities.dtype)


def register_container(
    cls: type[Any], flatten: Callable[[Any], tuple[list[Any], Any]], unflatten: Callable[[Any, Any], Any]
) -> None:
    """Let torch look for tensors inside objects of this class, as exporters, DDP and `torch.func` do."""
    _pytree.register_pytree_node(cls, flatten, unflatten, serialized_type_name=f"{cls.__module__}.{cls.__name__}")
