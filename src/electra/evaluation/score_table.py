"""The result of an evaluation as a table for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from electra.validation import visible


def score_table(result: Mapping[str, Any], confidence: float) -> str:
    """What `evaluate` returns, as aligned columns.

    Args:
        result: with `model`, `task`, `data`, `examples`, `scores`, `intervals`, `by_class`, `baselines` and perhaps a
            `comparison`.
        confidence: of the intervals.
    """
    baselines = result.get("baselines", {})
    header = ["score", "value", f"{100 * confidence:g} % interval", *baselines]
    rows = []
    for name, value in result["scores"].items():
        interval = result["intervals"].get(name)
        shown = "" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
        rows.append([name, _number(value), shown, *(_number(each.get(name)) for each in baselines.values())])
    blocks = [f"{result['model']}, {result['task']}: {result['examples']:,} examples of {result['data']}"]
    left_out = [
        f"{result[key]:,} {what}" for key, what in (("skipped", "left out"), ("cut", "truncated")) if result[key]
    ]
    if left_out:
        blocks[0] += f" ({', '.join(left_out)})"
    blocks.append(_aligned([header, *rows]))
    if result["by_class"]:
        columns = ("precision", "recall", "f1", "support")
        by_class = [[name, *(_number(row[each]) for each in columns)] for name, row in result["by_class"].items()]
        blocks.append(_aligned([["label", *columns], *by_class]))
    if "comparison" in result:
        blocks.append(_comparison(result["comparison"]))
    return "\n\n".join(visible_lines(block) for block in blocks)


def visible_lines(text: str) -> str:
    """Text without hidden characters, which would move what a terminal shows."""
    return "\n".join(map(visible, text.split("\n")))


def _comparison(comparison: Mapping[str, Any]) -> str:
    rows = [["score", str(comparison["model"]), "difference", "interval"]]
    for name, values in comparison["difference"].items():
        interval = f"{_number(values['low'])} to {_number(values['high'])}" if "low" in values else ""
        rows.append([name, _number(comparison["scores"].get(name)), _number(values["value"]), interval])
    test = (
        f"better {comparison['better']:,} times, worse {comparison['worse']:,} times; "
        f"{comparison['test']}: p = {comparison['p']:.3g}"
    )
    return f"{_aligned(rows)}\n{test}"


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )
    return "\n".join(line.rstrip() for line in lines)
