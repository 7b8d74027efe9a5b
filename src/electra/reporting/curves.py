"""Curves as SVG, drawn by matplotlib (the extra `report`), in colours that read on a light and on a dark page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from itertools import pairwise
from math import isfinite, nan
from typing import Any

INSTALL = "the curves need matplotlib: pip install 'electra[report]'"

# Okabe and Ito's colours, which colour-blind readers tell apart; those that vanish on white or black are left out
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
INK = "#123456"  # stands for the page's own colour of text until the drawing is done
MOST_POINTS = 1200  # of a chart's lines together, so that the page stays small however long a run was
FEW_POINTS = 12  # are shown each

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line: its name in the legend, its points by rising x. colour: number of the colour. dashed: for what the
    others are held against. smooth: draw the mean of neighbours over a pale line of the points themselves. dots: draw
    points, or some of them where they are many, and no line.
    """

    name: str
    points: Points
    colour: int = 0
    dashed: bool = False
    smooth: bool = False
    dots: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over one axis. marks: (x, name) of moments that are marked by an upright line."""

    title: str
    lines: Sequence[Line]
    marks: Sequence[tuple[float, str]] = ()
    x: str = "step"
    log_y: bool = False
    y_range: tuple[float, float] | None = None
    note: str = ""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def figure(chart: Chart) -> str:
    """The chart as a `<figure>`; nothing where no line has points.

    Raises:
        ImportError: matplotlib is not installed; the message says how to get it.
    """
    if not any(line.points for line in chart.lines):
        return ""
    note = f"<figcaption>{escape(chart.note)}</figcaption>" if chart.note else ""
    return f'<figure role="img" aria-label="{escape(chart.title)}">{svg(chart)}{note}</figure>'


def svg(chart: Chart) -> str:
    """The chart as an `<svg>` to stand in a page: no date and no names of files in it, the same each time."""
    if not can_draw():
        raise ImportError(INSTALL)
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": chart.title,
        "font.family": "sans-serif",
        "text.parse_math": False,  # a name may hold a dollar sign
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the page's reader has the glyphs: text stays text
        drawing = Figure(figsize=(5.2, 3.1))
        drawing.subplots_adjust(left=0.13, right=0.98, bottom=0.14, top=0.91)
        FigureCanvasSVG(drawing)
        _draw(chart, drawing.add_subplot())
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        drawing.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _for_a_page(buffer.getvalue())


def thinned(points: Points, most: int) -> list[tuple[float, float]]:
    """At most so many points, each the mean of those in its stretch."""
    if len(points) <= most:
        return list(points)
    edges = [round(number * len(points) / most) for number in range(most + 1)]
    stretches = (zip(*points[first:last], strict=True) for first, last in pairwise(edges))
    return [(_mean(xs), _mean(ys)) for xs, ys in stretches]


def smoothed(points: Points) -> list[tuple[float, float]]:
    """Each point with the mean of those around it, a twentieth of all in width: not shifted to either side."""
    reach = max(1, len(points) // 40)
    ys = [y for _, y in points]
    around = (ys[max(0, i - reach) : i + reach + 1] for i in range(len(ys)))
    return [(x, _mean(near)) for (x, _), near in zip(points, around, strict=True)]


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers; NaN where none is."""
    finite = [value for value in values if isfinite(value)]
    return sum(finite) / len(finite) if finite else nan


def _draw(chart: Chart, axes: Any) -> None:
    """The chart on matplotlib's axes."""
    for line in chart.lines:
        most = max(60, MOST_POINTS // (2 * len(chart.lines)))
        points = line.points[:: -(-len(line.points) // most)] if line.dots else thinned(line.points, most)
        style: dict[str, Any] = {
            "color": COLOURS[line.colour % len(COLOURS)],
            "linestyle": "" if line.dots else "--" if line.dashed else "-",
        }
        marker = "." if line.dots or (len(points) <= FEW_POINTS and not line.dashed) else ""
        if line.smooth and len(points) > 20:
            axes.plot(*zip(*points, strict=True), alpha=0.3, linewidth=0.8, **style)
            points = smoothed(points)
        if points:
            # matplotlib leaves names that begin with _ out of its legends
            name = f"\N{ZERO WIDTH SPACE}{line.name}" if line.name.startswith("_") else line.name
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1.5, marker=marker, **style)
    for number, (x, name) in enumerate(chart.marks):
        axes.axvline(x, color=INK, linestyle=":", linewidth=0.9)
        axes.annotate(
            name, (x, 1.0 - 0.08 * (number % 4)), xycoords=("data", "axes fraction"), fontsize=7, ha="left", va="top"
        )
    axes.set_title(chart.title, fontsize=10, loc="left")
    axes.set_xlabel(chart.x, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.25)
    if chart.log_y:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_formatter("{x:g}")  # the usual one writes formulas
        axes.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else "")
    if chart.y_range:
        axes.set_ylim(*chart.y_range)
    if len(chart.lines) > 1:
        axes.legend(fontsize=7, framealpha=0.0)


def _for_a_page(drawn: str) -> str:
    """Only the `<svg>` itself, in the page's colour of text, with no style that would reach outside of it."""
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<style[^>]*>.*?</style>|<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d\d)\d+", r"\1", tag[0]), drawn)  # hundredths of a point do
    return re.sub(r"\s*\n\s*", "\n", drawn).replace(INK, "currentColor").strip()
