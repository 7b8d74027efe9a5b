"""HTML tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from electra.reporting.rendering import render


@dataclass(frozen=True)
class Cell:
    """What a cell shows. number: it is aligned to the right, so that digits stand below each other."""

    text: str
    number: bool = False


@dataclass(frozen=True)
class Row:
    """name: the row's heading. differs: shown in bold."""

    name: Cell
    cells: Sequence[Cell]
    differs: bool = False


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> Markup:
    """A table.

    Args:
        header: the columns' headings, as many as a row has cells.
        rows: the first cell of each is its heading. Numbers are aligned, None is an empty cell, all else is text.
        caption: a sentence above the table.
    """
    rows = list(rows)
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    headings = [_heading(*column) for column in zip(header, columns, strict=True)]
    return render("table", header=headings, rows=[_row(row) for row in rows], caption=caption)


def side_by_side(columns: Mapping[str, Mapping[str, object]], *, name: str, caption: str = "") -> Markup:
    """Values by name, one column for each mapping; rows whose values differ are in bold and come first.

    Args:
        columns: the values by name, by the column's heading.
        name: the heading over the names.
        caption: a sentence above the table.
    """
    names = dict.fromkeys(key for values in columns.values() for key in values)
    rows = [(key, *(values.get(key) for values in columns.values())) for key in names]
    differing = [row for row in rows if any(value != row[1] for value in row[2:])]
    body = [_row(_distinguishable(row), differs=True) for row in differing]
    body += [_row(row) for row in rows if row not in differing]
    return render("table", header=[Cell(key) for key in (name, *columns)], rows=body, caption=caption)


def _heading(name: str, cells: Sequence[object]) -> Cell:
    """A heading, aligned like the numbers below it."""
    values = [cell for cell in cells if cell is not None]
    return Cell(name, bool(values) and all(map(_is_numeric, values)))


def _row(values: Sequence[object], *, differs: bool = False) -> Row:
    name, *cells = (Cell(_text(value), _is_numeric(value)) for value in values)
    return Row(name, cells, differs)


def _distinguishable(row: Sequence[object]) -> Sequence[object]:
    """The row with all digits where the usual ones look the same."""
    name, *values = row
    return row if len(set(map(_text, values))) > 1 else (name, *map(repr, values))


def _is_numeric(value: object) -> bool:
    """Whether it is aligned as a number; NaN and infinity are too."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> str:
    """Thousands separated, four significant digits of a fraction, yes and no for booleans."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return str(value)
