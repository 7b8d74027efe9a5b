"""Notice what happened to a model since its weights were packed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def is_instrumented() -> bool:
    """Whether somebody wants to see torch's own operations, or their gradients, or another precision."""
    return (
        torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch.is_autocast_enabled("cpu")
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._len_torch_function_stack() > 0
        or bool(nn.modules.module._has_any_global_hook())  # type: ignore[no-untyped-call]
    )


class Watch:
    """A model's modules and tensors as they are now."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._modules = [(vars(m), m._modules, tuple(m._modules.values())) for m in model.modules()]
        self._tensors = [
            (module._parameters, name, tensor, *_state(tensor))
            for module in model.modules()
            for name, tensor in module._parameters.items()
            if tensor is not None
        ]

    def is_hooked(self) -> bool:
        """Whether a call of a module does more than its `forward`, or computes with dropout."""
        for own, _, _ in self._modules:
            if own["training"] or "forward" in own:
                return True
            for name in _HOOKS:
                if own[name]:
                    return True
        return False

    def has_changed(self) -> bool:
        """Whether modules or weights are others than they were.

        Writes through `tensor.data`, which torch does not count, are seen where they change one of a few numbers of
        each tensor.
        """
        for _, modules, before in self._modules:
            if tuple(modules.values()) != before:
                return True
        for parameters, name, tensor, version, address, sample in self._tensors:
            if parameters.get(name) is not tensor:
                return True
            if (version, address) != (_version(tensor), tensor.data_ptr()) or sample != _sample(tensor):
                return True
        return False


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _state(tensor: Tensor) -> tuple[int, int, Any]:
    return _version(tensor), tensor.data_ptr(), _sample(tensor)


def _sample(tensor: Tensor) -> Any:
    """Nothing yet."""
    return None
