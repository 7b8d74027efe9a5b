"""Text from stdin -> a file, because text is read more than once and a resumed run needs it again."""

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
from electra.files.folder_listing import Warn
from electra.files.text_files import STDIN

logger = logging.getLogger(__name__)

BLOCK_BYTES = 2**20


def with_stdin(
    paths: Iterable[str],
    copy: Path,
    stream: IO[bytes] | None = None,
    *,
    resume: bool = False,
    warn: Warn = logger.warning,
) -> tuple[str, ...]:
    """Replace `-` (or /dev/stdin) in the paths by a file with the bytes of stdin.

    An existing copy is used, and stdin is not read, in a resumed run and where stdin is empty or a terminal. Otherwise
    the copy is compared with stdin and rewritten if the bytes differ.

    Args:
        paths: files, folders, patterns, and at most one `-`.
        copy: the file that stdin is copied to.
        stream: read instead of stdin.
        resume: whether an earlier run has already made `copy`.
        warn: called with a message when an existing copy is used instead of stdin.

    Returns:
        The paths in their order, `copy` in the place of `-`.

    Raises:
        ValueError: `-` is named twice, or there is no copy and stdin is a terminal or empty.
    """
    paths = tuple(paths)
    named = sum(path in STDIN for path in paths)
    if not named:
        return paths
    if named > 1:
        raise ValueError("'-' (stdin) is named twice: it can be read once")
    if (copy.is_file() and resume) or not _copied(stream or _stdin(), copy):
        warn(f"the text is that of {copy}, which came from stdin before; stdin is not read")
    return tuple(str(copy) if path in STDIN else path for path in paths)


@contextmanager
def spooled(paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Replace `-` in the paths by a temporary file with the bytes of stdin, deleted when the block ends."""
    with TemporaryDirectory(prefix="electra-stdin-") as folder:
        yield with_stdin(paths, Path(folder) / "stdin.txt")


def _stdin() -> IO[bytes]:
    return io.BytesIO() if sys.stdin is None else sys.stdin.buffer  # None: it is closed


def _copied(stream: IO[bytes], copy: Path) -> bool:
    """Copy the stream to the file. False where the stream is empty and the file exists.

    A file with the same bytes is not touched: prepared examples are found by the file's time of change.
    """
    exists = copy.is_file()
    if stream.isatty():
        if exists:
            return False
        raise ValueError("'-' stands for the text on stdin, which is a terminal: pipe text into it, or name files")
    with open(copy, "rb") if exists else io.BytesIO() as previous:
        same, block = _compared(stream, previous)
        unchanged = not block and not previous.read(1)
    if same == 0 and not block:
        if exists:
            return False
        raise ValueError("'-' stands for the text on stdin, which is empty: pipe text into it, or name files")
    if not unchanged:
        _write(copy, same, block, stream)
    return True


def _compared(stream: IO[bytes], previous: IO[bytes]) -> tuple[int, bytes]:
    """The number of equal bytes, in whole blocks, and the first block of the stream that differs."""
    same = 0
    while block := stream.read(BLOCK_BYTES):
        if block != previous.read(len(block)):
            return same, block
        same += len(block)
    return same, b""


def _write(copy: Path, same: int, block: bytes, stream: IO[bytes]) -> None:
    """Rewrite the file: its first `same` bytes, the block, and the rest of the stream."""
    with writing(copy) as file:
        if same:
            with open(copy, "rb") as previous:
                while same > 0:
                    same -= file.write(previous.read(min(BLOCK_BYTES, same)))
        file.write(block)
        shutil.copyfileobj(stream, file, BLOCK_BYTES)
