r"""Sequences of token ids in memory-mapped files: Megatron-LM's indexed data set (`.bin` and `.idx`).

`NAME.bin` holds the ids, one sequence after the other. `NAME.idx` holds, little-endian: the 9 bytes ``MMIDIDX\0\0``,
the version (uint64, 1), the code of the ids' type (uint8), the numbers of sequences S and of document marks D (uint64
each), the lengths of the sequences in ids (S int32), their offsets in the `.bin` in bytes (S int64), and the documents:
the number of each one's first sequence, then S (D int64). Megatron, NeMo and others read and write this format.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from electra.files.atomic import writing

MAGIC = b"MMIDIDX\0\0"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
TYPES: dict[int, np.dtype[Any]] = {1: np.dtype("u1"), 4: np.dtype("<i4"), 8: np.dtype("<u2")}
CODES = {dtype: code for code, dtype in TYPES.items()}
WORDS = "_words"
"""Suffix of the files that hold, in bits, where the words of a set begin."""
CHUNK = 2**16  # numbers copied at once when the index is written, so that memory stays small

Ids = npt.NDArray[Any]


def smallest_type(vocabulary_size: int) -> np.dtype[Any]:
    """The dtype of stored ids: uint16 where it can hold every id, otherwise int32."""
    return TYPES[8] if vocabulary_size < 2**16 else TYPES[4]


@dataclass(frozen=True)
class Mark:
    """How much a writer has written: all that is needed to resume from there."""

    sequences: int = 0
    tokens: int = 0
    documents: int = 0


class ShardWriter:
    """Write sequences to `folder/name.bin` and `folder/name.idx`; the files appear, whole, when the block ends.

        with ShardWriter(folder, "train", dtype=np.uint16) as writer:
            writer.add([2, 45, 3])
            writer.end_document()

    Memory does not grow with the number of sequences. An error inside the block leaves no files; but with `resume_from`
    the hidden files stay however the block or the process ends, and another writer can resume from a `mark` of this
    one.

    Args:
        folder: must exist.
        name: of the files, without suffix.
        dtype: of the ids, uint16 or int32; uint8 for bits.
        resume_from: the mark to resume from, `Mark()` for a new file that can be resumed later.
        may_be_empty: whether a file without sequences is allowed.

    Raises:
        ValueError: another dtype, hidden files shorter than the mark, or no sequence where one is required.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        dtype: npt.DTypeLike,
        resume_from: Mark | None = None,
        may_be_empty: bool = False,
    ) -> None:
        self.dtype = np.dtype(dtype).newbyteorder("<")
        if self.dtype not in CODES:
            raise ValueError(f"dtype={self.dtype}: ids are stored as uint16 or int32, bits as uint8")
        self._path = Path(folder) / name
        self._stack = ExitStack()
        self._resumable, self._may_be_empty = resume_from is not None, may_be_empty
        start = resume_from or Mark()
        self._fresh = start == Mark()
        self.sequences, self.tokens, self.documents = start.sequences, start.tokens, start.documents

    def __enter__(self) -> ShardWriter:
        if (
            self._path.with_suffix(".bin").is_file() and not self._fresh
        ):  # this file was finished before the kill, but its folder was not
            os.replace(self._path.with_suffix(".bin"), self._hidden("bin"))
        places = (self.tokens * self.dtype.itemsize, self.sequences * 4, (self.documents + 1) * 8)
        with ExitStack() as stack:
            self._bin, self._lengths, self._documents = self._files = [
                stack.enter_context(_opened_at(self._hidden(part), 0 if self._fresh else place))
                for part, place in zip(_PARTS, places, strict=True)
            ]
            self._stack = stack.pop_all()
        if self._fresh:
            self._documents.write(struct.pack("<q", 0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            with self._stack:
                if error is None:
                    self._write()
        finally:
            if not self._resumable:
                for part in _PARTS:
                    self._hidden(part).unlink(missing_ok=True)

    def add(self, ids: Sequence[int] | Ids) -> None:
        """Append one sequence."""
        self._bin.write(_packed(ids, self.dtype))
        self._lengths.write(_LENGTH.pack(len(ids)))
        self.sequences += 1
        self.tokens += len(ids)

    def end_document(self) -> None:
        """Mark that the sequences since the last mark are one document."""
        self._documents.write(struct.pack("<q", self.sequences))
        self.documents += 1

    def extend(self, shards: Shards) -> None:
        """Append all sequences of other shards, and their documents.

        Raises:
            ValueError: their ids have another dtype.
        """
        if shards.dtype != self.dtype:
            raise ValueError(f"{shards.path} holds ids as {shards.dtype}, where they are written as {self.dtype}")
        if len(shards):
            with open(shards.path.with_suffix(".bin"), "rb") as file:
                shutil.copyfileobj(file, self._bin, 2**20)
        self._lengths.write(shards.lengths.astype("<i4").tobytes())
        self._documents.write((shards.documents[1:] + self.sequences).astype("<i8").tobytes())
        self.sequences += len(shards)
        self.tokens += shards.tokens
        self.documents += len(shards.documents) - 1

    def mark(self) -> Mark:
        """Flush to disk and return how much is written."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        return Mark(self.sequences, self.tokens, self.documents)

    def _hidden(self, part: str) -> Path:
        return self._path.with_name(f".{self._path.name}.{part}")

    def _write(self) -> None:
        if self.sequences == 0 and not self._may_be_empty:
            raise ValueError(f"{self._path.name}: no sequence was written")
        self.mark()
        self._write_index()
        os.replace(self._hidden("bin"), self._path.with_suffix(".bin"))

    def _write_index(self) -> None:
        header = HEADER.pack(MAGIC, VERSION, CODES[self.dtype], self.sequences, self.documents + 1)
        with writing(self._path.with_suffix(".idx")) as index:
            index.write(header)
            for lengths in _chunks(self._lengths, np.dtype("<i4")):
                index.write(lengths.tobytes())
            place = 0
            for lengths in _chunks(self._lengths, np.dtype("<i4")):
                ends = place + np.cumsum(lengths, dtype=np.int64) * self.dtype.itemsize
                index.write(np.concatenate([[place], ends[:-1]]).astype("<i8").tobytes())
                place = int(ends[-1])
            for marks in _chunks(self._documents, np.dtype("<i8")):
                index.write(marks.tobytes())


_PARTS = ("bin", "lengths", "documents")
_LENGTH = struct.Struct("<i")


def _opened_at(path: Path, place: int) -> IO[bytes]:
    """Open a file for reading and writing, truncated to `place` bytes and positioned at its end."""
    file = open(path, "r+b" if path.is_file() else "w+b", buffering=2**20)  # noqa: SIM115  the caller closes it
    if os.fstat(file.fileno()).st_size < place:
        file.close()
        raise ValueError(f"{path} is shorter than it was marked to be: delete its folder and prepare the text again")
    file.truncate(place)
    file.seek(place)
    return file


def _packed(ids: Sequence[int] | Ids, dtype: np.dtype[Any]) -> bytes:
    """The bytes of the ids. `array` is several times as fast as numpy here, because sequences are short."""
    if isinstance(ids, np.ndarray) or sys.byteorder == "big":
        return np.asarray(ids, dtype=dtype).tobytes()
    return array("H" if dtype.itemsize == 2 else "i", ids).tobytes()


class Shards:
    """The sequences of `folder/name.bin`: `len(shards)`, `shards[i]` -> `[tokens]` ids (read-only, not copied).

    Args:
        folder: of the two files.
        name: of the files, without suffix.
        words: whether to open `folder/name_words.bin`, which stores where words begin: one bit a token, each sequence
            starting at a new byte.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged or truncated.
    """

    def __init__(self, folder: str | Path, name: str, *, words: bool = False) -> None:
        self.path = Path(folder) / name
        self.words = Shards(folder, name + WORDS) if words else None
        """The bits, `[ceil(tokens / 8)]` uint8 a sequence; None where word starts are not known."""
        index = _mapped(self.path.with_suffix(".idx"))
        self.dtype, sequences, marks = _header(index, self.path.with_suffix(".idx"))
        lengths_at = HEADER.size
        places_at = lengths_at + 4 * sequences
        documents_at = places_at + 8 * sequences
        _require_size(self.path.with_suffix(".idx"), documents_at + 8 * marks)
        self.lengths = np.frombuffer(index, "<i4", sequences, lengths_at)
        """`[sequences]` int32: the number of ids of each sequence."""
        self._places = np.frombuffer(index, "<i8", sequences, places_at)
        self.documents = np.frombuffer(index, "<i8", marks, documents_at)
        """`[documents + 1]` int64: each document's first sequence, then the number of sequences."""
        self.tokens = (int(self._places[-1]) // self.dtype.itemsize + int(self.lengths[-1])) if sequences else 0
        self._ids = _mapped(self.path.with_suffix(".bin"), may_be_empty=sequences == 0)
        _require_size(self.path.with_suffix(".bin"), self.tokens * self.dtype.itemsize)
        if self.words is not None and len(self.words) != sequences:
            raise ValueError(
                f"{self.words.path}.idx is damaged: it has {len(self.words):,} sequences, and there are "
                f"{sequences:,}. Delete its folder and prepare the text again"
            )

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Ids:
        if not -len(self) <= number < len(self):
            raise IndexError(f"sequence {number} of {len(self)}")
        return np.frombuffer(self._ids, self.dtype, self.lengths[number], self._places[number])

    def word_starts(self, number: int) -> npt.NDArray[np.bool_]:
        """Which tokens of one sequence begin a word, `[tokens]` bool.

        Raises:
            ValueError: the shards do not store it.
        """
        if self.words is None:
            raise ValueError(
                f"{self.path} does not store where words begin: prepare text in which that is marked, "
                f"with word_boundaries"
            )
        return np.unpackbits(self.words[number], count=int(self.lengths[number])).astype(np.bool_)

    def __iter__(self) -> Iterator[Ids]:
        return (self[number] for number in range(len(self)))

    def __repr__(self) -> str:
        return f"Shards({str(self.path)!r}: {len(self):,} sequences, {self.tokens:,} tokens)"


def _mapped(path: Path, *, may_be_empty: bool = False) -> npt.NDArray[np.uint8]:
    """The memory-mapped bytes of a file."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}: prepare the text again")
    if path.stat().st_size == 0:
        if may_be_empty:
            return np.empty(0, np.uint8)
        raise ValueError(f"{path} is empty: delete its folder and prepare the text again")
    return np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))


def _header(index: npt.NDArray[np.uint8], path: Path) -> tuple[np.dtype[Any], int, int]:
    if len(index) < HEADER.size:
        raise ValueError(f"{path} is truncated: delete its folder and prepare the text again")
    magic, version, code, sequences, marks = HEADER.unpack(index[: HEADER.size].tobytes())
    if magic != MAGIC or version != VERSION:
        raise ValueError(f"{path} is no index of token sequences (Megatron's MMIDIDX, version {VERSION})")
    if code not in TYPES:
        raise ValueError(f"{path} holds ids of type code {code}: only uint8 (1), int32 (4) and uint16 (8) are read")
    return TYPES[code], sequences, marks


def _require_size(path: Path, expected: int) -> None:
    if (size := path.stat().st_size) != expected:
        raise ValueError(
            f"{path} is damaged: it has {size:,} bytes, its index says {expected:,}. "
            f"Delete its folder and prepare the text again"
        )


def _chunks(file: IO[bytes], dtype: np.dtype[Any]) -> Iterator[Ids]:
    file.seek(0)
    while block := file.read(CHUNK * dtype.itemsize):
        yield np.frombuffer(block, dtype)
