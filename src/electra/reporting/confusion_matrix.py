"""A confusion matrix in HTML: counts whose cells are coloured by their fraction of the row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from electra.reporting.rendering import render

SIDEWAYS = 8  # from this many columns on, their names are written vertically
RIGHT, WRONG = "0 114 178", "213 94 0"  # of Okabe and Ito's colours
STRONGEST = 0.65  # the opacity of a cell that has the whole row: the count stays readable on it


@dataclass(frozen=True)
class _Cell:
    count: int
    colour: str
    opacity: float
    title: str


def matrix(
    names: Sequence[str], counts: Sequence[Sequence[int]], *, rows: str, columns: str, caption: str = ""
) -> Markup:
    """A row and a column for each name, and the total of each row; the diagonal has a colour of its own.

    Args:
        names: K names.
        counts: K rows of K counts.
        rows: what the rows are, such as "expected".
        columns: what the columns are, such as "predicted".
        caption: a sentence above the table.
    """
    lines = [{"name": name, "cells": _cells(counts[i], i), "total": sum(counts[i])} for i, name in enumerate(names)]
    sideways = len(names) >= SIDEWAYS
    return render(
        "matrix", names=list(names), lines=lines, rows=rows, columns=columns, caption=caption, sideways=sideways
    )


def _cells(counts: Sequence[int], diagonal: int) -> list[_Cell]:
    total = max(1, sum(counts))
    return [_cell(count, count / total, i == diagonal) for i, count in enumerate(counts)]


def _cell(count: int, fraction: float, right: bool) -> _Cell:
    return _Cell(count, RIGHT if right else WRONG, STRONGEST * fraction, f"{fraction:.1%} of the row")
