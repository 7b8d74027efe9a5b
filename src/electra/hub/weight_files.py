"""Files of weights: safetensors and pickles read into tensors by name, their costs checked before they are paid."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from electra.validation import shown

MOST_HEADER_BYTES = 16 * 2**20
"""The longest safetensors header that is read: that of some 100,000 tensors. ELECTRA-large has 400."""


@dataclass(frozen=True)
class TensorHeader:
    """What the header of a file says of a tensor."""

    shape: tuple[int, ...]
    dtype: str
    """In torch's words: "float32", "bfloat16"."""


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU, in the file's dtype.

    Raises:
        OSError: it cannot be read, or memory is too small.
        ValueError: it is damaged.
    """
    _check_header(file)
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            # copied out of the mapped file, where tensors lie at odd addresses: kernels add up in another order there,
            # and a network would not answer to the last bit what it answered before it was saved
            return {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 (not a dict)
    except (MemoryError, SafetensorError, RuntimeError, ValueError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(file) from error
        raise ValueError(damaged(file, _first_tensor_cut_off(file) or _first_line(error))) from error


def read_safetensors_header(file: Path) -> dict[str, TensorHeader]:
    """The shapes and dtypes of a safetensors file's tensors; no tensor is read. Raises as `read_safetensors`."""
    _check_header(file)
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            parts = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (not a dict)
            return {
                name: TensorHeader(tuple(part.get_shape()), _DTYPES.get(part.get_dtype(), part.get_dtype()))
                for name, part in parts.items()
            }
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(damaged(file, _first_tensor_cut_off(file) or _first_line(error))) from error


_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "U8": "uint8"}


def read_pickle(file: Path, weights_only: bool) -> dict[str, Tensor]:
    """All tensors of a file that `torch.save` wrote, on the CPU.

    Args:
        file: a state dict.
        weights_only: run no code from it. False trusts the file fully.

    Raises:
        OSError: it cannot be read, or memory is too small.
        ValueError: it is damaged, holds something else than tensors by name, or needs code to be run.
    """
    _check_readable(file)
    _check_archive(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=weights_only)
    except pickle.UnpicklingError as error:
        if code := re.search(r"Unsupported (?:global|class)\S*(?: GLOBAL)? (\S+)", str(error)):
            raise ValueError(
                f"{file} holds more than tensors ({code[1]}), and reading that would run code from it. If you trust "
                "whoever made the file, give weights_only=False."
            ) from error
        raise ValueError(damaged(file, "it is no file that torch.save wrote")) from error
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{file} holds objects of the module {error.name!r}, which is not here: it was saved with the code around "
            "it. Save model.state_dict() where that code is."
        ) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is torch's answer to a zip file without its end
            raise
        raise ValueError(damaged(file, "its end is missing")) from error
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(file) from error
        raise ValueError(damaged(file, _first_line(error))) from error
    except (EOFError, ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(damaged(file, _first_line(error))) from error
    return _state_dict(file, content)


def _state_dict(file: Path, content: Any) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} holds a {type(content).__name__}; expected tensors by name (a state dict).")
    if others := [shown(name, 40) for name, value in content.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"{file} is not a state dict: {some(others)} are not tensors. If one of them holds the weights, save "
            "that one alone with torch.save."
        )
    if nameless := [shown(name, 40) for name in content if not isinstance(name, str)]:
        raise ValueError(f"{file} is not a state dict: {some(nameless)} are no names of tensors.")
    return dict(content)


# -- costs, before they are paid -----------------------------------------------------------------------------------


def _check_readable(file: Path) -> None:
    """Python's own error for a file that may not be read; the libraries say that there is none."""
    with open(file, "rb"):
        pass


def _check_header(file: Path) -> None:
    """Refuse a header whose tensors would take long to list. A safetensors file begins with its header's length."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
    size = file.stat().st_size
    if MOST_HEADER_BYTES < length <= size:
        raise ValueError(
            f"{file} has a header of {length:,} bytes, and that of an ELECTRA has at most {MOST_HEADER_BYTES:,}: it is "
            "another model's file. Give the folder of an ELECTRA."
        )


def _check_archive(file: Path) -> None:
    """Refuse an archive that takes more memory than its own size. `torch.save` stores its entries as they are."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OverflowError, NotImplementedError):
        return  # the older format, or a damaged file: torch says which
    compressed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
    if compressed:
        raise ValueError(
            f"{file} has compressed entries ({some(compressed)}), which torch.save never writes: they may be of any "
            "size. Unpack it, or ask whoever made it for the file that torch.save wrote."
        )
    if sum(entry.file_size for entry in entries) > file.stat().st_size:
        raise ValueError(f"{file} has entries that overlap, which torch.save never writes. Download it again.")


# -- messages ------------------------------------------------------------------------------------------------------


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory is too small; torch raises a RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or re.search(r"allocate memory|out of memory|not enough memory", str(error)) is not None
    )


def out_of_memory(file: Path) -> OSError:
    """The error for a file that is too large for this machine's memory."""
    why = f"{os.strerror(errno.ENOMEM)} for its {file.stat().st_size:,} bytes: free some, or use a larger machine"
    return OSError(errno.ENOMEM, why, str(file))


def damaged(file: Path, what: str) -> str:
    """The message for a file that is not whole."""
    size = file.stat().st_size
    if size < 1000 and file.read_bytes().startswith(b"version https://git-lfs"):
        return f"{file} is a pointer of Git LFS, not the weights themselves. Run `git lfs pull` in that folder."
    return f"{file} ({size:,} bytes) is damaged or incomplete: {what}. Download it or save it again."


def some(names: list[str], most: int = 3) -> str:
    """The first names of a list, and how many more there are."""
    text = ", ".join(names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"


def _first_tensor_cut_off(file: Path) -> str | None:
    """For a safetensors file whose header can be read: which tensor the end of the file cuts off.

    The format: the header's length in 8 bytes, the header (JSON, offsets from the header's end), the tensors.
    """
    size = file.stat().st_size
    try:
        with open(file, "rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(length, size)))
        ends = sorted((v["data_offsets"][1], name) for name, v in header.items() if name != "__metadata__")
        cut_off = [name for end, name in ends if 8 + length + end > size]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None
    if not cut_off:
        return None
    return f"it should have {8 + length + ends[-1][0]:,} bytes; {cut_off[0]!r} is the first tensor that is cut off"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
