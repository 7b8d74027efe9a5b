"""Files of text -> documents: runs of lines between blank lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from electra.data.text_files import PathLike, find_text_files, read_lines

Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all), both as they lie on the disk."""

LONGEST_DOCUMENT = 2**20
"""Characters after which a document is ended, so that a file without blank lines needs no more memory than another."""


@dataclass(frozen=True, slots=True)
class Document:
    """Lines that belong together: none blank, none with surrounding white space."""

    lines: list[str]
    source: Path
    line: int
    """The number of the first line in `source`, from 1."""


def read_documents(
    paths: PathLike | Iterable[PathLike], *, encoding: str = "utf-8", progress: Progress | None = None
) -> Iterator[Document]:
    """The documents of text files, one after the other, in memory that does not grow with the files.

    `paths`: files (.txt, .text, or no suffix; and the same compressed: .gz, .xz, .zst), folders or glob patterns, read
    in the given order, a folder's files sorted. Blank lines and the end of a file end a document, and so do about a
    million characters. Lines are stripped; what remains empty is a blank line. A byte order mark is dropped.

    Raises `FileNotFoundError`, and `ValueError` (with file and line) for unknown suffixes, for empty or binary files,
    for bytes that are not `encoding`, and for damaged compressed files. Nothing is skipped.
    """
    files = find_text_files(paths)
    return _documents(files, encoding, progress)


def _documents(files: tuple[Path, ...], encoding: str, progress: Progress | None) -> Iterator[Document]:
    """Apart from `read_documents`, so that a missing file is an error at the call and not at the first document."""
    total = sum(file.stat().st_size for file in files)
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    for file in files:
        document = None
        for document in _split(file, read_lines(file, encoding=encoding, on_bytes=count)):
            yield document
        if document is None:
            raise ValueError(f"{file} holds no text: remove it from the list or give the file that was meant")


def _split(source: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Document]:
    """Numbered lines -> documents."""
    collected: list[str] = []
    first = characters = 0
    for number, line in lines:
        if line:
            first = first if collected else number
            collected.append(line)
            characters += len(line)
        if collected and (not line or characters >= LONGEST_DOCUMENT):
            yield Document(collected, source, first)
            collected, characters = [], 0
    if collected:
        yield Document(collected, source, first)
