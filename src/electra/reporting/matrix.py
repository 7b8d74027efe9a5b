"""A table of counts whose cells are coloured by their share of the row: what was taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

SIDEWAYS = 8  # from so many columns on, their names are written from top to bottom

RIGHT, WRONG = "0 114 178", "213 94 0"  # of Okabe and Ito's colours


def matrix(names: Sequence[str], counts: Sequence[Sequence[int]], *, rows: str, columns: str, caption: str = "") -> str:
    """A row and a column for each name; cells of the same name are in another colour than the others.

    rows, columns: what they are.
    """
    sideways = ' class="sideways"' if len(names) >= SIDEWAYS else ""
    header = "".join(f'<th scope="col" class="number"><span>{escape(name)}</span></th>' for name in names)
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th>{_cells(counts[i], i)}</tr>' for i, name in enumerate(names)
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    corner = f'<td></td><th scope="colgroup" colspan="{len(names)}">{escape(columns)}</th>'
    names_row = f'<tr{sideways}><th scope="col">{escape(rows)}</th>{header}</tr>'
    head = f"<thead><tr>{corner}</tr>\n{names_row}</thead>"
    return f'<div class="wide"><table class="matrix">{said}{head}\n<tbody>\n{body}\n</tbody></table></div>'


def _cells(counts: Sequence[int], diagonal: int) -> str:
    total = sum(counts)
    return "".join(_cell(count, count / total if total else 0.0, i == diagonal) for i, count in enumerate(counts))


def _cell(count: int, share: float, right: bool) -> str:
    colour = f' style="background: rgb({RIGHT if right else WRONG} / {0.65 * share:.2f})"' if count else ""
    return f'<td class="number"{colour} title="{share:.1%} of the row">{count:,}</td>'
