"""Tables in HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, caption: str = "") -> str:
    """A table; the first cell of a row is its name. Numbers are aligned, None is an empty cell, all else is text."""
    rows = list(rows)
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    names = "".join(_heading(*column) for column in zip(header, columns, strict=True))
    body = "\n".join(_row(row) for row in rows)
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{said}<thead><tr>{names}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def side_by_side(columns: Mapping[str, Mapping[str, object]], *, name: str, caption: str = "") -> str:
    """Values by name, a column for each of `columns`; a row whose values differ is in bold and comes first."""
    names = dict.fromkeys(key for values in columns.values() for key in values)
    rows = [(key, *(values.get(key) for values in columns.values())) for key in names]
    differing = [row for row in rows if any(value != row[1] for value in row[2:])]
    body = [_row(_told_apart(row), differs=True) for row in differing]
    body += [_row(row) for row in rows if row not in differing]
    header = "".join(f'<th scope="col">{escape(key)}</th>' for key in (name, *columns))
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    lines = "\n".join(body)
    return f"<table>{said}<thead><tr>{header}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"


def _heading(name: str, cells: Sequence[object]) -> str:
    """Over numbers, it is aligned as they are."""
    known = [cell for cell in cells if cell is not None]
    number = bool(known) and all(map(_is_number, known))
    return f'<th scope="col"{" class=number" if number else ""}>{escape(name)}</th>'


def _row(cells: Sequence[object], *, differs: bool = False) -> str:
    name, *values = cells
    mark = ' class="differs"' if differs else ""
    return f'<tr{mark}><th scope="row">{escape(_text(name))}</th>{"".join(map(_cell, values))}</tr>'


def _told_apart(row: Sequence[object]) -> Sequence[object]:
    """With all digits where the usual ones are the same."""
    name, *values = row
    return row if len(set(map(_text, values))) > 1 else (name, *map(repr, values))


def _cell(value: object) -> str:
    return f"<td{' class=number' if _is_number(value) else ''}>{escape(_text(value))}</td>"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: object) -> str:
    """As people write it: thousands apart, four digits of a fraction, yes and no."""
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
