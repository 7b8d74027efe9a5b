"""Refuse wrong arguments by name, before any arithmetic: what was given, what is allowed.

Values are looked at on the CPU only: elsewhere that would mean waiting for the device at every call.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_tensor(name: str, value: object, device: torch.device | None = None) -> Tensor:
    """The value, which is a tensor on this device (None, or "meta": wherever)."""
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{name} is a {type(value).__name__}: it must be a tensor (the tokenizer's return_tensors='pt')"
        )
    if device is not None and device.type != "meta" and value.device != device:
        raise ValueError(f"{name} is on {value.device} and the model on {device}: move it there, with .to({device!r})")
    return value


def check_whole(name: str, values: Tensor) -> None:
    """Ids, positions and classes are whole numbers."""
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise ValueError(f"{name} has the dtype {values.dtype}: it must be int64 or int32")


def check_real(name: str, values: Tensor, like: Tensor) -> None:
    """Vectors are finite floating-point numbers, and not wider than the weights that read them."""
    if not values.is_floating_point():
        raise ValueError(f"{name} has the dtype {values.dtype}: it must be {like.dtype}, as the model's weights")
    mixed = torch.is_autocast_enabled(values.device.type)
    if not mixed and torch.promote_types(values.dtype, like.dtype) != like.dtype:
        raise ValueError(f"{name} has the dtype {values.dtype} and the model's weights {like.dtype}: convert one")
    check_finite(name, values)


def check_finite(name: str, values: Tensor) -> None:
    """No NaN, no infinity."""
    _check_ordered(name, values)
    if _readable(values) and not values.isfinite().all():
        wrong = values[~values.isfinite()].flatten()[0].item()
        raise ValueError(f"{name} holds {wrong}: only finite numbers are allowed")


def check_range(name: str, values: Tensor, size: int, also: int | None = None) -> None:
    """Ids and labels lie in 0 … size - 1, or are `also`."""
    _check_ordered(name, values)
    if not _readable(values):
        return
    # not > in place of <=: so that NaN is outside
    wrong = ~((values >= 0) & (values <= size - 1))
    if also is not None:
        wrong &= values != also
    if wrong.any():
        allowed = f"0 to {size - 1}" + ("" if also is None else f", or {also} where none counts")
        raise ValueError(f"{name} holds {values[wrong][0].item()}: allowed is {allowed}")


def check_shape(name: str, values: Tensor, *allowed: tuple[int, ...]) -> None:
    """A tensor has one of the shapes that are allowed."""
    if not any(tuple(values.shape) == shape for shape in allowed):  # not `in`: a compiler compares symbols by it
        shapes = " or ".join(str(list(shape)) for shape in dict.fromkeys(allowed))
        raise ValueError(f"{name} has the shape {list(values.shape)}: it must be {shapes}")


def _check_ordered(name: str, values: Tensor) -> None:
    if values.is_complex():
        raise ValueError(f"{name} has the dtype {values.dtype}: it must be real numbers")


def _readable(values: Tensor) -> bool:
    return values.device.type == "cpu" and not torch.compiler.is_compiling() and bool(values.numel())
