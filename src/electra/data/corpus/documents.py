"""Files of text -> documents: groups of lines between blank lines, or the records of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from electra.files import lines as text_lines
from electra.files.delimited import read_delimited
from electra.files.encodings import Decoding
from electra.files.json_lines import read_json_lines
from electra.files.lines import BytesRead, Line, Row, place_in, read_lines
from electra.files.parquet import column_types, read_parquet
from electra.files.text_files import PathLike, find_text_files, kind_of

Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all), both of the files on disk (compressed where they are)."""

LONGEST_DOCUMENT = 2**20
"""Characters after which a document ends, so that a file without blank lines needs no more memory than another."""


class Text(NamedTuple):
    """The text of one record, the line (Parquet: the row) on which it begins, and its number of replaced bytes."""

    line: int
    text: str
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """Consecutive lines of text, none blank, none with surrounding white space."""

    lines: list[str]
    source: Path
    line: int
    """The number of the first line in `source`, from 1; in a table the line of the record."""
    replaced: int = 0
    """The number of invalid byte sequences that were replaced by U+FFFD."""


def read_documents(
    paths: PathLike | Iterable[PathLike],
    *,
    encoding: str = "utf-8",
    text_field: str = "text",
    invalid_utf8: str = "refuse",
    progress: Progress | None = None,
) -> Iterator[Document]:
    """Read the documents of files one after the other; memory does not grow with the files.

    In plain text, blank lines and the end of a file end a document; in the other formats, every record is a document.
    A document also ends after about a million characters. Lines are stripped; an empty result is a blank line. A byte
    order mark is dropped. Nothing is skipped silently: `find_text_files` logs which files of a folder it leaves out.

    Args:
        paths: files, folders or glob patterns, read in this order, a folder's files sorted. Plain text (.txt, .text,
            or no suffix), JSON lines (.jsonl), tables (.csv, .tsv), all of these also compressed (.gz, .xz, .zst), and
            Parquet (.parquet).
        encoding: of the text.
        text_field: the field or column with the text, in files that have fields.
        invalid_utf8: "refuse" bytes that are not valid in `encoding`, or "replace" them by U+FFFD and count them in
            the document.
        progress: called with (bytes read, bytes in all).

    Returns:
        An iterator over the documents, in reading order.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: with file and line: an unknown suffix, an empty, binary or damaged file, bytes that are not text, a
            record without text, or a file that changes while it is read.
    """
    decoding = Decoding(encoding, invalid_utf8)
    return documents_of(find_text_files(paths), decoding, text_field, progress)


@dataclass(frozen=True)
class Lines:
    """The lines of all documents; each iteration reads the files again, so that they need not fit in memory.

    The first four fields are arguments of `read_documents`.
    """

    files: tuple[str, ...]
    text_field: str = "text"
    invalid_utf8: str = "refuse"
    progress: Progress | None = None
    word_boundaries: str | None = None
    """The character between words in the text; it is removed from the lines."""

    def __iter__(self) -> Iterator[str]:
        documents = read_documents(
            self.files, text_field=self.text_field, invalid_utf8=self.invalid_utf8, progress=self.progress
        )
        lines = (line for document in documents for line in document.lines)
        return lines if self.word_boundaries is None else (line.replace(self.word_boundaries, "") for line in lines)


def documents_of(
    files: tuple[Path, ...], decoding: Decoding, text_field: str, progress: Progress | None, *, first_file: int = 0
) -> Iterator[Document]:
    """The documents of `files[first_file:]`.

    This generator is separate from `read_documents` so that a missing file raises at the call and not at the first
    document.

    Args:
        files: existing files, in reading order.
        decoding: how bytes become text.
        text_field: as for `read_documents`.
        progress: as for `read_documents`.
        first_file: the index of the first file to read; `progress` counts the ones before it as read.
    """
    sizes = [file.stat().st_size for file in files]
    done, total = sum(sizes[:first_file]), sum(sizes)

    def count(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    for file in files[first_file:]:
        document = None
        for document in _documents(file, decoding, text_field, count):
            yield document
        if document is None:
            raise ValueError(f"{file} holds no text: remove it from the list or name the right file")


def _documents(file: Path, decoding: Decoding, text_field: str, count: BytesRead) -> Iterator[Document]:
    kind = kind_of(file)
    if kind == "text":
        yield from _split(file, read_lines(file, decoding, on_bytes=count))
        return
    for text in _texts(file, kind, text_field, decoding, count):
        yield from documents_in(text, file)


def _texts(file: Path, kind: str | None, field: str, decoding: Decoding, count: BytesRead) -> Iterator[Text]:
    """The text of every record. ValueError where it is not a string."""
    rows: Iterator[Row]
    if kind == "parquet":
        rows = read_parquet(file, decoding, columns=[_text_column(file, field)], on_bytes=count)
    elif kind == "jsonl":
        rows = read_json_lines(file, decoding, on_bytes=count)
    else:
        rows = read_delimited(file, decoding, delimiter="\t" if kind == "tsv" else ",", on_bytes=count)
    for place, values, replaced in rows:
        if field not in values:
            raise ValueError(_missing(place_in(file, place), field, values))
        text = values[field]
        if not isinstance(text, str):
            raise ValueError(
                f"{place_in(file, place)}: {field!r} is {text!r:.60}, not text: every record needs one (it may be "
                "empty)"
            )
        yield Text(place, text, replaced)


def _text_column(file: Path, field: str) -> str:
    """The column of a Parquet file with the text; checked before the first row, because the file may have no rows."""
    kinds = column_types(file)
    if field not in kinds:
        raise ValueError(_missing(str(file), field, kinds))
    if "string" not in kinds[field]:
        raise ValueError(
            f"{file}: the column {field!r} holds {kinds[field]}, not text: name another (--text-field, text_field)"
        )
    return field


def _missing(where: str, field: str, present: Iterable[str]) -> str:
    return (
        f"{where}: there is no field {field!r}, only {', '.join(map(str, present))}: name the one with the text "
        "(--text-field, text_field)"
    )


def documents_in(record: Text, source: Path) -> Iterator[Document]:
    """The document of a record: none if the record is empty, several if it is long."""
    return _split(source, _lines_of(record), blank_ends=False)


def _lines_of(record: Text) -> Iterator[Line]:
    """The lines of a record's text, all with its number; the first one carries the count of replaced bytes."""
    replaced = record.replaced
    for line in record.text.split("\n"):
        for piece in _pieces(line):
            yield Line(record.line, piece.strip(), replaced)
            replaced = 0


def _pieces(line: str) -> list[str]:
    """Cut a line at the longest length that lines of text files may have, after a space if there is one."""
    longest, pieces, start = text_lines.LONGEST_LINE_BYTES, [], 0
    while len(line) - start > longest:
        end = line.rfind(" ", start + longest // 2, start + longest) + 1 or start + longest
        pieces.append(line[start:end])
        start = end
    return [*pieces, line[start:]]


def _split(source: Path, lines: Iterable[Line], *, blank_ends: bool = True) -> Iterator[Document]:
    """Numbered lines -> documents."""
    collected: list[str] = []
    first = characters = replaced = 0
    for number, line, bad in lines:
        replaced += bad
        if line:
            first = first if collected else number
            collected.append(line)
            characters += len(line)
        if collected and ((blank_ends and not line) or characters >= LONGEST_DOCUMENT):
            yield Document(collected, source, first, replaced)
            collected, characters, replaced = [], 0, 0
    if collected:
        yield Document(collected, source, first, replaced)
