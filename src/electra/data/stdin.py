"""Text from stdin -> a file, because text is read more than once and a run has to be able to go on."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from electra.data.text_files import STDIN
from electra.hub.files import writing


def with_stdin(paths: Iterable[str], kept: Path, stream: IO[bytes] | None = None) -> tuple[str, ...]:
    """The paths, but for `-` (or /dev/stdin) the file `kept`, to which the bytes of stdin (or `stream`) are copied.

    A file that is there already, from a run that goes on, is taken as it is, and stdin is left alone. Raises
    `ValueError` where `-` is named twice, stdin is a terminal, or nothing comes from it.
    """
    paths = tuple(paths)
    named = sum(path in STDIN for path in paths)
    if not named:
        return paths
    if named > 1:
        raise ValueError("'-' (stdin) is named twice: it can be read once")
    if not kept.is_file():
        _copy(stream or sys.stdin.buffer, kept)
    return tuple(str(kept) if path in STDIN else path for path in paths)


@contextmanager
def spooled(paths: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The paths, `-` among them replaced by a file with the bytes of stdin, which is gone when the block ends."""
    with TemporaryDirectory(prefix="electra-stdin-") as folder:
        yield with_stdin(paths, Path(folder) / "stdin.txt")


def _copy(stream: IO[bytes], kept: Path) -> None:
    if stream.isatty():
        raise ValueError("'-' stands for the text on stdin, which is a terminal: pipe text into it, or name files")
    with writing(kept) as file:
        shutil.copyfileobj(stream, file, 2**20)
        if file.tell() == 0:
            raise ValueError("'-' stands for the text on stdin, which is empty: pipe text into it, or name files")
