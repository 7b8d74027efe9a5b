"""Delimited text (CSV, TSV): a record to a row, whose columns the first row names"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from electra.files.dialects import Dialect, recognise
from electra.files.encodings import Decoding
from electra.files.lines import LONGEST_RECORD_BYTES, BytesRead, Line, Refuse, Row, read_whole_lines, refuse

SAMPLE_CHARACTERS = 2**22
"""Of how much text the dialect is recognised where a file is read in constant memory."""

MIXED_ENDS = (
    "some lines end with a carriage return alone, others with a line feed: convert the file to one kind of line end"
)


def read_delimited(
    path: Path,
    decoding: Decoding | None = None,
    *,
    delimiter: str = ",",
    header: Sequence[str] = (),
    refuse_row: Refuse = refuse,
    on_bytes: BytesRead | None = None,
    sample_characters: int = SAMPLE_CHARACTERS,
) -> Iterator[Row]:
    """The rows of a table; blank lines are no rows.

    Args:
        path: decompressed by its suffix.
        decoding: how bytes become text; UTF-8 by default.
        delimiter: what the file's name promises between columns. Another one is recognised, see `recognise`.
        header: the names of the columns of a file whose first row does not have any of them.
        refuse_row: called with the complaint about a row with too few or too many columns, and where quotes are wrong
            for every line of the row: a quote that nothing closes takes in the lines that follow.
        on_bytes: see `read_lines`.
        sample_characters: how much of the text decides about the dialect.

    Raises:
        ValueError: by `refuse_row`, with file and line; a first row in which quotes are wrong, or that names two
            columns alike; and what `read_lines` refuses.
    """
    lines = _RecordLines(path, decoding or Decoding(), on_bytes)
    sample: list[Line] = []
    size = 0
    while size < sample_characters and (line := lines.next_line()) is not None:
        sample.append(line)
        size += len(line.text)
    try:
        dialect = recognise([line.text for line in sample], delimiter)
    except ValueError as error:
        raise ValueError(f"{path}:1: {error}") from error
    lines.put_back(sample)
    yield from _rows(path, lines, dialect, header, refuse_row)


def _rows(
    path: Path, lines: _RecordLines, dialect: Dialect, header: Sequence[str], refuse_row: Refuse
) -> Iterator[Row]:
    cells = _cells(path, lines, dialect, refuse_row)
    first = next(cells, None)
    if first is None:
        return
    names = [name.strip() for name in first[1]]
    if header and len(names) == len(header) and set(names).isdisjoint(header):
        names, cells = list(header), chain([first], cells)
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise ValueError(f"{path}:1: two columns are called {twice[0]!r}: give each a name of its own")
    for number, row, replaced in cells:
        if len(row) == len(names):
            yield Row(number, dict(zip(names, row, strict=True)), replaced)
        else:
            refuse_row(f"{path}:{number}: {len(row)} columns, the first line names {len(names)}")


def _cells(
    path: Path, lines: _RecordLines, dialect: Dialect, refuse_row: Refuse
) -> Iterator[tuple[int, list[str], int]]:
    """The first line of each row that is not blank, its cells, and in how many places of it text was replaced."""
    reader = dialect.rows(lines)
    begins_at = 0
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            first, last, _ = lines.taken()
            if not begins_at:
                raise ValueError(f"{path}:{first}: {error}") from error
            for number in range(first, last + 1):
                refuse_row(f"{path}:{number}: {error}")
        else:
            first, _, replaced = lines.taken()
            begins_at = begins_at or first
            if lines.mixes_line_ends:
                # A line feed that belongs to a cell cannot be distinguished from the second half of a line end.
                refuse_row(f"{path}:{first}: {MIXED_ENDS}")
            elif row:
                yield first, row, replaced


class _RecordLines:
    """The lines of a file as the `csv` module wants them; it knows where the present record began and its size."""

    def __init__(self, path: Path, decoding: Decoding, on_bytes: BytesRead | None) -> None:
        self._path = path
        self._lines = read_whole_lines(path, decoding, on_bytes=on_bytes)
        self._first = self._last = self._replaced = self._size = 0
        self._ends_with_returns: bool | None = None
        self.mixes_line_ends = False
        """Whether of the line that was read last and the first one only one ends with a carriage return alone."""

    def next_line(self) -> Line | None:
        return next(self._lines, None)

    def put_back(self, lines: Sequence[Line]) -> None:
        """Have these lines read again, before those that follow."""
        self._lines = chain(lines, self._lines)

    def __iter__(self) -> _RecordLines:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        if self._ends_with_returns is None:
            self._ends_with_returns = line.text.endswith("\r")
        self.mixes_line_ends = line.text.endswith("\n" if self._ends_with_returns else "\r")
        self._first = self._first or line.number
        self._last = line.number
        self._replaced += line.replaced
        self._size += len(line.text)
        if self._size > LONGEST_RECORD_BYTES:  # a quote that nothing closes takes in the whole file
            raise ValueError(
                f"{self._path}:{self._first}: a record of over {LONGEST_RECORD_BYTES >> 20} MB begins here: is a quote "
                f"missing?"
            )
        return line.text

    def taken(self) -> tuple[int, int, int]:
        """The record that was just read: its first and last line, and how many places in it were replaced."""
        record = self._first, self._last, self._replaced
        self._first = self._replaced = self._size = 0
        return record
