"""The library of kernels: find it, load it, and choose the instruction set for a precision."""

from __future__ import annotations

import ctypes
import os
import warnings
from ctypes import POINTER, c_char_p, c_float, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from electra.inference.compiling import LIBRARY_NAME, is_whole

BUILD_COMMAND = "python -m electra.inference.compiling"
INTERFACE_VERSION = 1
FORMATS = {"float32": 0, "bfloat16": 1, "int8": 2}
"""Precisions, by the numbers that the library knows them by."""
PRECISIONS = (*FORMATS, "auto")
FEATURES = ("AVX2", "AVX-VNNI", "AVX-512", "AVX-512 VNNI", "AMX", "NEON", "NEON bfloat16")
"""What a processor can have; bit i of the library's answer is the i-th."""


class KernelsError(Exception):
    """The kernels cannot be used; the message says why."""


class Sequences(ctypes.Structure):
    """`Sequences` of interface.h."""

    _fields_ = (
        ("rows", c_int64),
        ("ids", c_void_p),
        ("types", c_void_p),
        ("positions", c_void_p),
        ("offsets", c_void_p),
        ("selected", c_void_p),
        ("selected_offsets", c_void_p),
        ("output", c_void_p),
    )


@dataclass(frozen=True)
class KernelSet:
    """The kernels of one instruction set."""

    index: int
    name: str
    precisions: tuple[str, ...]
    needs: int


_FUNCTIONS = {
    # name: what it returns, what it takes
    "electra_features": (c_uint32, ()),
    "electra_set_count": (c_int32, ()),
    "electra_set_name": (c_char_p, (c_int32,)),
    "electra_set_needs": (c_uint32, (c_int32,)),
    "electra_set_formats": (c_uint32, (c_int32,)),
    "electra_new": (c_void_p, (c_int32, POINTER(c_int32), c_float)),
    "electra_free": (None, (c_void_p,)),
    "electra_pack": (c_float, (c_void_p, c_int32, c_int32, c_int32, c_void_p, c_void_p)),
    "electra_embeddings": (None, (c_void_p, *[c_void_p] * 5)),
    "electra_norms": (None, (c_void_p, c_int32, *[c_void_p] * 4)),
    "electra_packed_bytes": (c_int64, (c_void_p,)),
    "electra_sample": (c_uint64, (POINTER(c_void_p), POINTER(c_int64), c_int32)),
    "electra_run": (c_int32, (c_void_p, POINTER(Sequences), c_int64, c_int32, c_int64, POINTER(c_int64))),
    "electra_linear_new": (c_void_p, (c_int32, c_int32, c_int32, c_int32, c_void_p, c_void_p, POINTER(c_float))),
    "electra_linear_free": (None, (c_void_p,)),
    "electra_linear_width": (c_int32, (c_void_p,)),
    "electra_linear_run": (None, (c_void_p, c_void_p, c_int64, c_int32, c_int32, c_void_p)),
    "electra_test_attention": (None, (c_int32, c_void_p, c_int32, c_int32, c_int32, c_void_p)),
    "electra_test_normalize": (
        None,
        (c_int32, c_void_p, c_int64, c_int32, c_void_p, c_void_p, c_float, c_void_p),
    ),
}


class Library:
    """The loaded library.

    Attributes:
        functions: the C functions.
        sets: the kernels that this processor and its system can run, the fastest first.
        features: what the processor has, as bits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.functions = _load(path)
        self.features: int = self.functions.electra_features()
        every = [self._set(i) for i in range(self.functions.electra_set_count())]
        self.every = tuple(every)
        self.sets = tuple(s for s in every if s.needs & self.features == s.needs)

    def _set(self, index: int) -> KernelSet:
        formats = self.functions.electra_set_formats(index)
        precisions = tuple(name for name, number in FORMATS.items() if formats >> number & 1)
        name = self.functions.electra_set_name(index).decode()
        return KernelSet(index, name, precisions, self.functions.electra_set_needs(index))

    def feature_names(self) -> list[str]:
        """What the processor has, in words."""
        return [name for i, name in enumerate(FEATURES) if self.features >> i & 1]

    def allowed_sets(self) -> tuple[KernelSet, ...]:
        """The sets that may be used: all that can run, or from the one that `ELECTRA_KERNELS` names on."""
        chosen = os.environ.get("ELECTRA_KERNELS", "").strip().lower()
        if not chosen:
            return self.sets
        names = [s.name for s in self.sets]
        if chosen == "none":
            return ()
        if chosen not in names:
            there = ", ".join(["none", *reversed(names)])
            known = "this processor lacks it" if chosen in [s.name for s in self.every] else "there is no such set"
            raise KernelsError(f"ELECTRA_KERNELS={chosen}: {known}; choose one of {there}")
        return self.sets[names.index(chosen) :]


def _load(path: Path) -> ctypes.CDLL:
    try:
        if not is_whole(path.read_bytes()):
            raise KernelsError(f"{path} is damaged, or no library of ELECTRA's kernels: run `{BUILD_COMMAND}` again")
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise KernelsError(f"the library of kernels cannot be loaded: {error}") from error
    try:
        library.electra_interface.restype = c_int32
        version = library.electra_interface()
        for name, (returned, taken) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = returned, taken
    except AttributeError as error:
        raise KernelsError(f"{path} is of another version of this package: run `{BUILD_COMMAND}` again") from error
    if version != INTERFACE_VERSION:
        raise KernelsError(
            f"{path} is of another version of this package (interface {version}, and {INTERFACE_VERSION} is needed): "
            f"run `{BUILD_COMMAND}` again"
        )
    return library


def library_path() -> Path:
    """Where the library is: the file that `ELECTRA_KERNELS_LIBRARY` names, else beside this one."""
    chosen = os.environ.get("ELECTRA_KERNELS_LIBRARY")
    return Path(chosen) if chosen else Path(__file__).with_name(LIBRARY_NAME)


@cache
def _open(path: Path) -> Library | str:
    """The library, or why there is none."""
    if not path.is_file():
        return f"the library of kernels is not built: run `{BUILD_COMMAND}`, which needs a C++ compiler such as g++"
    try:
        return Library(path)
    except KernelsError as error:
        warnings.warn(f"{error}. The model runs on torch", RuntimeWarning, stacklevel=2)
        return str(error)


def open_library() -> Library:
    """The library.

    Raises:
        KernelsError: there is none, or it may not be used.
    """
    if os.environ.get("ELECTRA_REFERENCE_KERNELS", "") not in ("", "0"):
        raise KernelsError("ELECTRA_REFERENCE_KERNELS is set")
    opened = _open(library_path())
    if isinstance(opened, str):
        raise KernelsError(opened)
    return opened
