"""A checkpoint of TensorFlow: variables by name, in `PREFIX.index` and `PREFIX.data-00000-of-00001` and so on.

The index is a table of each variable's type, shape, file, place in it and checksum; the data are the values, one
variable after another, little-endian. (TensorFlow: core/protobuf/tensor_bundle.proto, core/util/tensor_bundle.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from electra.google.tensorflow.checksum import masked_crc32c
from electra.google.tensorflow.slices import Slice
from electra.google.tensorflow.sorted_table import read_table, table
from electra.google.tensorflow.wire import message, messages, number, read_message

Array = NDArray[Any]

# core/framework/types.proto
_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    19: np.dtype("<f2"),
}
_NAMES = {7: "text", 8: "complex64", 14: "bfloat16", 20: "a resource"}
_NUMBERS = {dtype: number for number, dtype in _TYPES.items()}

_VERSION = 1  # of the format, which is the only one there has been


@dataclass(frozen=True)
class Entry:
    """The index entry of a variable, or of a part of one. `offset` and `size` are in bytes."""

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int
    parts: tuple[Slice, ...]

    @classmethod
    def read(cls, value: bytes) -> Entry:
        """Parse a BundleEntryProto.

        Raises:
            ValueError: the bytes are not one.
        """
        fields = read_message(value)
        dimensions = [dimension for shape in messages(fields, 2) for dimension in messages(shape, 2)]
        return cls(
            type=number(fields, 1),
            shape=tuple(number(dimension, 1) for dimension in dimensions),
            shard=number(fields, 3),
            offset=number(fields, 4),
            size=number(fields, 5),
            checksum=number(fields, 6),
            parts=tuple(map(Slice.read, messages(fields, 7))),
        )

    def write(self) -> bytes:
        """Serialise the entry of a whole variable as a BundleEntryProto."""
        shape = message((2, message([(1, size)])) for size in self.shape)
        numbers: list[tuple[int, int | bytes]] = [(1, self.type), (2, shape), (3, self.shard)]
        return message([*numbers, (4, self.offset), (5, self.size)], [(6, self.checksum)])


class Bundle:
    """A checkpoint, open for reading.

    Args:
        prefix: its path without `.index`.

    Raises:
        ValueError: the index or a data file is damaged or truncated, or of an unsupported kind; the message names
            the file and the first variable affected.
        OSError: a file does not exist.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.index = Path(f"{prefix}.index")
        content = read_table(self.index)
        self._shards = _shards(self.index, content)
        self._entries = dict(_entries(self.index, content))
        self.shapes = {name: entry.shape for name, entry in self._entries.items() if not name.startswith("\0")}
        """The shape of every variable, by name, in order."""
        for name, entry in self._entries.items():
            self._check(name, entry)

    def read(self, name: str) -> Array:
        """The values of a variable, in its shape, after a check of their checksum.

        Raises:
            ValueError: the checksum differs, or the dtype is unsupported.
        """
        entry = self._entries[name]
        if not entry.parts:
            return self._values(name, entry)
        whole = np.zeros(entry.shape, self._type(name, entry))
        for part in entry.parts:
            own = self._entries.get(part.key(name).decode("latin-1"))
            if own is None or own.shape != part.shape(entry.shape):
                raise ValueError(f"{self.index} lacks the part {part.extents} of the variable {name!r}.")
            whole[part.cells(entry.shape)] = self._values(name, own)
        return whole

    def _values(self, name: str, entry: Entry) -> Array:
        values = np.fromfile(self._file(entry.shard), np.uint8, entry.size, offset=entry.offset)
        if masked_crc32c(values) != entry.checksum:
            raise ValueError(
                f"{self._file(entry.shard)} is damaged: the values of the variable {name!r} (bytes {entry.offset:,} to "
                f"{entry.offset + entry.size:,}) do not have the checksum that the index says. Fetch it again."
            )
        return values.view(self._type(name, entry)).reshape(entry.shape)

    def _type(self, name: str, entry: Entry) -> np.dtype[Any]:
        if entry.type not in _TYPES:
            kind = _NAMES.get(entry.type, f"type {entry.type}")
            raise ValueError(f"the variable {name!r} of {self.prefix} holds {kind}, which no ELECTRA has.")
        return _TYPES[entry.type]

    def _file(self, shard: int) -> Path:
        return Path(f"{self.prefix}.data-{shard:05d}-of-{self._shards:05d}")

    def _check(self, name: str, entry: Entry) -> None:
        """Check that the variable's values lie inside their file; raises on opening, before hours of work."""
        if entry.parts:
            return
        name, _, _ = name.lstrip("\0").partition("\0")
        file = self._file(entry.shard)
        if not file.is_file():
            raise FileNotFoundError(f"{self.index} says that the variable {name!r} is in {file}, which is not there.")
        size, end = file.stat().st_size, entry.offset + entry.size
        if end > size:
            raise ValueError(
                f"{file} is cut off: the variable {name!r} ends at byte {end:,}, and the file has {size:,}. Fetch it "
                "again."
            )
        if entry.type in _TYPES and entry.size != prod(entry.shape) * _TYPES[entry.type].itemsize:
            raise ValueError(
                f"{self.index} is damaged: the variable {name!r} of shape {list(entry.shape)} would have "
                f"{entry.size:,} bytes."
            )


def _shards(index: Path, content: Mapping[bytes, bytes]) -> int:
    """The number of data files."""
    if b"" not in content:
        raise ValueError(
            f"{index} is a sorted table, but not the index of a checkpoint in TensorFlow's V2 format. If it is in the "
            "older V1 format, load it once with TensorFlow 1 and save it again."
        )
    header = read_message(content[b""])
    if number(header, 2):
        raise ValueError(f"{index} says that its numbers are big-endian; only little-endian ones are read.")
    return number(header, 1)


def _entries(index: Path, content: Mapping[bytes, bytes]) -> Iterator[tuple[str, Entry]]:
    """Every variable and every part of one; the parts' names begin with a zero byte."""
    for key, value in content.items():
        if key:
            name = key.decode("latin-1" if key.startswith(b"\0") else "utf-8", "replace")
            try:
                yield name, Entry.read(value)
            except ValueError as error:
                raise ValueError(f"{index} is damaged: what it says of {name!r} makes no sense ({error}).") from error


def find_checkpoint(path: Path) -> Path:
    """The prefix of the checkpoint that `path` means: a prefix, one of the checkpoint's files, or a folder with one.

    In a folder the file `checkpoint`, which TensorFlow keeps there, says which is the last one.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are several, and nothing says which is meant.
    """
    if path.is_dir():
        return _in_folder(path)
    prefix = path.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    if Path(f"{prefix}.index").is_file():
        return prefix
    if path.is_file():
        raise ValueError(
            f"{path} is not a TensorFlow checkpoint in the V2 format, which is {path.name}.index and data files beside "
            "it. If it is in the older V1 format, load it once with TensorFlow 1 and save it again."
        )
    near = sorted(file.name.removesuffix(".index") for file in path.parent.glob("*.index"))
    hint = f" {path.parent} has {', '.join(near)}." if near else ""
    raise FileNotFoundError(f"There is no checkpoint {path}: no file {prefix.name}.index.{hint}")


def _in_folder(folder: Path) -> Path:
    there = {file.name.removesuffix(".index"): file for file in sorted(folder.glob("*.index"))}
    named = folder / "checkpoint"
    if named.is_file():
        match = re.search(
            r'^model_checkpoint_path:\s*"(.*)"', named.read_text(encoding="utf-8", errors="replace"), re.M
        )
        if match and (name := Path(match[1]).name) in there:  # it may be a path on the machine it was written on
            return folder / name
    if not there:
        raise FileNotFoundError(f"{folder} has no TensorFlow checkpoint: no file that ends in .index.")
    if len(there) > 1:
        raise ValueError(f"{folder} has several checkpoints: say which, {' or '.join(str(folder / n) for n in there)}.")
    return folder / next(iter(there))


def write_bundle(prefix: Path, variables: Iterable[tuple[str, Array]]) -> None:
    """Write variables, in the order of their names, as a checkpoint with one data file, and name it in `checkpoint`.

    Not atomic by itself: write into a folder that `writing_folder` made.

    Args:
        prefix: the path of the checkpoint without `.index`.
        variables: names and values, sorted by name.

    Raises:
        OSError: writing failed, for example because the disk is full.
    """
    entries: dict[bytes, bytes] = {b"": message([(1, 1), (3, message([(1, _VERSION)]))])}
    offset = 0
    with open(f"{prefix}.data-00000-of-00001", "xb") as file:
        for name, values in variables:
            values = np.ascontiguousarray(values).reshape(values.shape)  # ascontiguousarray turns the shape [] into [1]
            kind = _NUMBERS[values.dtype.newbyteorder("<")]
            raw = values.reshape(-1).view(np.uint8)
            entry = Entry(kind, values.shape, 0, offset, raw.nbytes, masked_crc32c(raw), ())
            entries[name.encode()] = entry.write()
            file.write(raw.data)
            offset += raw.nbytes
    Path(f"{prefix}.index").write_bytes(table(entries))
    text = f'model_checkpoint_path: "{prefix.name}"\nall_model_checkpoint_paths: "{prefix.name}"\n'
    prefix.with_name("checkpoint").write_text(text, encoding="utf-8")
