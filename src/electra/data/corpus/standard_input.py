"""Text from stdin -> a file, because text is read more than once and a run has to be able to go on."""

from __future__ import annotations

import io
import logging
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from electra.files.atomic import writing
from electra.files.folder_listing import Tell
from electra.files.text_files import STDIN

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**20


def with_stdin(
    paths: Iterable[str],
    kept: Path,
    stream: IO[bytes] | None = None,
    *,
    going_on: bool = False,
    tell: Tell = logger.warning,
) -> tuple[str, ...]:
    """The paths, but for `-` (or /dev/stdin) the file `kept`, to which the bytes of stdin (or `stream`) are copied.

    A file that is there already is taken as it is, and stdin left alone, for a run that is `going_on`, and where
    nothing comes from stdin; `tell` is told so. Else it is held against stdin, and replaced if it holds something else.
    Raises `ValueError` where `-` is named twice, or there is no such file and stdin is a terminal or empty.
    """
    paths = tuple(paths)
    named = sum(path in STDIN for path in paths)
    if not named:
        return paths
    if named > 1:
        raise ValueError("'-' (stdin) is named twice: it can be read once")
    if (kept.is_file() and going_on) or not _copied(stream or _stdin(), kept):
        tell(f"the text is that of {kept}, which came from stdin before; stdin is not read")
    return tuple(str(kept) if path in STDIN else path for path in paths)


@contextmanager
def spooled(paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The paths, `-` among them replaced by a file with the bytes of stdin, which is gone when the block ends."""
    with TemporaryDirectory(prefix="electra-stdin-") as folder:
        yield with_stdin(paths, Path(folder) / "stdin.txt")


def _stdin() -> IO[bytes]:
    return io.BytesIO() if sys.stdin is None else sys.stdin.buffer  # None: it is closed


def _copied(stream: IO[bytes], kept: Path) -> bool:
    """Have what comes from the stream in the file; False where nothing comes, and the file is there.

    A file with the same bytes is left as it is: by its time it is known that what was made of it can be used.
    """
    there = kept.is_file()
    if stream.isatty():
        if there:
            return False
        raise ValueError("'-' stands for the text on stdin, which is a terminal: pipe text into it, or name files")
    with open(kept, "rb") if there else io.BytesIO() as before:
        same, block = _compared(stream, before)
        whole = not block and not before.read(1)
    if same == 0 and not block:
        if there:
            return False
        raise ValueError("'-' stands for the text on stdin, which is empty: pipe text into it, or name files")
    if not whole:
        _write(kept, same, block, stream)
    return True


def _compared(stream: IO[bytes], before: IO[bytes]) -> tuple[int, bytes]:
    """How many bytes are the same, in whole blocks, and the first block of the stream that is not."""
    same = 0
    while block := stream.read(BLOCK_BYTES):
        if block != before.read(len(block)):
            return same, block
        same += len(block)
    return same, b""


def _write(kept: Path, same: int, block: bytes, stream: IO[bytes]) -> None:
    """As many bytes of the file as it is, the block, and the rest of the stream."""
    with writing(kept) as file:
        if same:
            with open(kept, "rb") as before:
                while same > 0:
                    same -= file.write(before.read(min(BLOCK_BYTES, same)))
        file.write(block)
        shutil.copyfileobj(stream, file, BLOCK_BYTES)
