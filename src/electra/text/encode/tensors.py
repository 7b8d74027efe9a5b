"""Columns of numbers as lists, NumPy arrays or PyTorch tensors. PyTorch is imported only where it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from electra.text.encode.truncation import choice

TENSOR_TYPES = ("pt", "np")


def to_tensor(column: Any, tensor_type: str, name: str) -> Any:
    """A column [rows, tokens, ...] of whole numbers as an int64 tensor ("pt") or array ("np").

    What is a tensor or array of that kind already is returned as it is. Rows of different lengths become an array of
    objects with "np" and a ValueError with "pt".
    """
    kind = choice("return_tensors", tensor_type, TENSOR_TYPES)
    if kind == "np":
        return _to_array(column)
    import torch

    if isinstance(column, torch.Tensor):
        return column
    lengths = _row_lengths(column)
    if len(lengths) > 1:
        raise ValueError(
            f"the rows of {name!r} have {min(lengths)} to {max(lengths)} items and do not make one tensor; "
            "say padding=True, and truncation=True with max_length=... to cut long rows"
        )
    if _holds_nothing(column):
        return torch.zeros(np.shape(column), dtype=torch.int64)
    try:
        return torch.from_numpy(np.array(column))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the column {name!r} does not hold numbers only and cannot become a tensor") from error


def plain(value: Any) -> Any:
    """Tensors and arrays, also within dicts, lists and tuples, as plain lists and numbers."""
    if isinstance(value, (np.ndarray, np.generic)) or is_torch_tensor(value):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value] if value and not isinstance(value[0], int) else list(value)
    return value


def tensor_type_of(value: Any) -> str | None:
    """ "np" or "pt" for what a tensor or array, or a sequence of them, is made of; None for plain numbers."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, np.ndarray):
        return "np"
    return "pt" if is_torch_tensor(value) else None


def is_torch_tensor(value: Any) -> bool:
    """Without importing PyTorch: where nobody has imported it, there are no tensors."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _to_array(column: Any) -> Any:
    if isinstance(column, np.ndarray):
        return column
    if len(_row_lengths(column)) > 1:
        rows = np.empty(len(column), dtype=object)
        rows[:] = [np.asarray(row) for row in column]
        return rows
    return np.zeros(np.shape(column), dtype=np.int64) if _holds_nothing(column) else np.array(column)


def _row_lengths(column: Any) -> set[int]:
    if isinstance(column, Sequence) and column and isinstance(column[0], (list, tuple, np.ndarray)):
        return {len(row) for row in column}
    return set()


def _holds_nothing(column: Any) -> bool:
    return isinstance(column, (list, tuple)) and np.size(column) == 0
