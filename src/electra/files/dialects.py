"""Dialects of delimited text: which character separates columns, and what quotes and backslashes mean"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

DELIMITERS = (",", "\t", ";", "|")
NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


@dataclass(frozen=True)
class Dialect:
    """How a row is divided into cells.

    Attributes:
        delimiter: what is between two cells.
        quote: what a cell with special characters is enclosed in; None where quotes are ordinary characters.
        escape: what makes the next character an ordinary one; None where quotes in quotes are doubled.
        skip_blanks: whether spaces after a delimiter do not count.
    """

    delimiter: str
    quote: str | None = '"'
    escape: str | None = None
    skip_blanks: bool = False

    def rows(self, lines: Iterable[str]) -> Any:
        """The `csv` module's reader of these lines; each has its line end."""
        csv.field_size_limit(sys.maxsize)  # the default, 128 kB, is shorter than many a text
        return csv.reader(
            lines,
            strict=True,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            quotechar=self.quote or '"',
            escapechar=self.escape,
            doublequote=self.escape is None,
            skipinitialspace=self.skip_blanks,
        )


def recognise(lines: Sequence[str], delimiter: str) -> Dialect:
    """The dialect of a file.

    The delimiter that the file's name promises is taken where the first line has it; otherwise another one that the
    first line has, and by which every row has as many cells as the first. In files with tabs, quotes are ordinary
    characters (as in GLUE's files) unless they enclose cells as the `csv` module writes them.

    Args:
        lines: of the file, with their line ends; all of them, or enough from its start.
        delimiter: what the file's name promises.

    Raises:
        ValueError: two delimiters are equally likely, or it cannot be said whether quotes enclose cells.
    """
    first = next((line for line in lines if line.strip()), "")
    present = [one for one in dict.fromkeys((delimiter, *DELIMITERS)) if _columns(Dialect(one).rows([first])) > 1]
    if not present:
        present = [delimiter]
    likeliest = _quoting(lines, present[0], first)
    if _columns(likeliest.rows(lines)) and (likeliest.delimiter == delimiter or len(present) == 1):
        return likeliest
    dialects = [likeliest, *(_quoting(lines, one, first) for one in present[1:])]
    fitting = [dialect for dialect in dialects if _columns(dialect.rows(lines))]
    if not fitting:
        return likeliest
    if len(fitting) > 1:
        names = " or ".join(NAMES[dialect.delimiter] for dialect in fitting)
        raise ValueError(f"the columns may be separated by {names}: use {NAMES[delimiter]}, as the file's name says")
    return fitting[0]


def _columns(rows: Iterator[list[str]]) -> int:
    """How many cells every row has; 0 where they differ, or quotes are wrong."""
    try:
        counts = {len(row) for row in rows if row}
    except csv.Error:
        return 0
    return counts.pop() if len(counts) == 1 else 0


def _quoting(lines: Sequence[str], delimiter: str, first: str) -> Dialect:
    """What quotes, backslashes and blanks mean in a file with this delimiter."""
    usual = Dialect(delimiter)
    plain = Dialect(delimiter, quote=None)
    if delimiter == "\t" and not _encloses(lines, usual, plain):
        usual = plain
    for quote in ("'",):
        enclosing = Dialect(delimiter, quote=quote)
        if any(line.startswith(quote) or delimiter + quote in line for line in lines) and _encloses(
            lines, enclosing, plain
        ):
            return enclosing
    escaped = _escaping(lines, usual)
    if escaped is not None:
        return escaped
    blanks = Dialect(delimiter, usual.quote, skip_blanks=True)
    header = first.rstrip("\r\n").split(delimiter)[1:]
    if (header and all(cell.startswith(" ") for cell in header)) or not _columns(usual.rows(lines)):
        return blanks if _columns(blanks.rows(lines)) else usual
    return usual


def _encloses(lines: Sequence[str], quoted: Dialect, plain: Dialect) -> bool:
    """Whether quotes enclose cells, because the rows are equally long only then, or because all of them look like it.

    A text may begin and end with a quote of its own. So it counts only if the quotes were necessary: around a doubled
    one, or around a comma (where spreadsheet programs write them), or if the names of all columns have them.
    """
    if not _columns(quoted.rows(lines)):
        return False
    if not _columns(plain.rows(lines)):
        return True
    quote = quoted.quote or '"'
    whole = re.compile(f"{quote}((?:[^{quote}]|{quote}{quote})*){quote}")
    rows = [row for row in plain.rows(lines) if row]
    if rows and all(whole.fullmatch(name) for name in rows[0]):
        return True
    cells = [whole.fullmatch(cell) for row in rows for cell in row if cell.startswith(quote)]
    if not cells or not all(cells):
        if cells and quote == '"' and sum(map(bool, quoted.rows(lines))) != len(rows):
            raise ValueError(
                "quotes open on one line and close on another, so they may enclose cells or be characters of the text: "
                "save the file as JSON lines, or as CSV in which every cell has quotes"
            )
        return False
    inner = [cell[1] for cell in cells if cell is not None and cell[1]]
    return bool(inner) and all(quote * 2 in text or "," in text for text in inner)


def _escaping(lines: Sequence[str], usual: Dialect) -> Dialect | None:
    """A dialect with backslashes that make the next character an ordinary one, where every backslash does so.

    In a file with enclosed cells such backslashes count only if its rows are not equally long without them.
    """
    text = "".join(lines).replace("\\\\", "")  # of two backslashes the second is an ordinary character
    special = re.escape(usual.delimiter) + '"'
    if not re.search(rf"\\[{special}]", text) or re.search(rf"\\(?![{special}])", text):
        return None
    encloses = any(line.startswith('"') or usual.delimiter + '"' in line for line in lines)
    if encloses and _columns(usual.rows(lines)):
        return None
    escaped = Dialect(usual.delimiter, '"' if encloses else None, escape="\\")
    return escaped if _columns(escaped.rows(lines)) else None
