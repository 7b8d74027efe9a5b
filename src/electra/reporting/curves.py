"""Curves as SVG, rendered by matplotlib (the extra `report`), readable on a light and on a dark page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from math import isfinite, nan
from typing import Any

from markupsafe import Markup

from electra.reporting.rendering import render
from electra.validation import visible

INSTALL = "the curves need matplotlib: pip install 'electra[report]'"

# Okabe and Ito's colours, which colour-blind readers can distinguish, without those invisible on white or black
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
INK = "#123456"  # a placeholder that becomes the page's text colour once the drawing is done
MOST_POINTS = 1200  # of all lines of a chart, so that the page stays small however long a run was
FEW_POINTS = 12  # up to this many points of a line have a dot each

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: in the legend.
        points: (x, y), by rising x.
        colour: index into `COLOURS`.
        dashed: for a reference that the other lines are compared with.
        smooth: draw the moving average over a pale line of the points themselves.
        dots: draw points without a line, a sample of them where there are many.
        weights: of each point, which its area shows.
    """

    name: str
    points: Points
    colour: int = 0
    dashed: bool = False
    smooth: bool = False
    dots: bool = False
    weights: Sequence[float] = ()


@dataclass(frozen=True)
class Chart:
    """Lines over one axis.

    Attributes:
        marks: (x, name) of moments to mark by a vertical line.
        x: what the axis shows.
        y_range: the limits of the other axis; by default from the points.
        note: a sentence below the chart.
    """

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


def curves(charts: Iterable[Chart]) -> Markup:
    """The charts beside each other; empty where none of them has points.

    Raises:
        ImportError: matplotlib is not installed; the message says how to get it.
    """
    drawings = [drawing for chart in charts if (drawing := figure(chart))]
    return render("curves", charts=drawings) if drawings else Markup("")


def figure(chart: Chart) -> Markup:
    """The chart as a `<figure>`; empty where no line has points.

    Raises:
        ImportError: matplotlib is not installed; the message says how to get it.
    """
    if not any(line.points for line in chart.lines):
        return Markup("")
    return render("figure", title=chart.title, drawing=Markup(svg(chart)), note=chart.note)


def svg(chart: Chart) -> str:
    """The chart as an `<svg>` element. It holds no date and no file names, so equal charts give equal bytes."""
    if not can_draw():
        raise ImportError(INSTALL)
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": visible(chart.title),
        "font.family": "sans-serif",
        "text.parse_math": False,  # a dollar sign in a name is no formula
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # text stays text: the browser has the glyphs
        drawing = Figure(figsize=(5.2, 3.1))
        drawing.subplots_adjust(left=0.13, right=0.98, bottom=0.14, top=0.91)
        FigureCanvasSVG(drawing)
        _draw(chart, drawing.add_subplot())
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        drawing.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _for_a_page(buffer.getvalue())


def thinned(points: Points, most: int) -> list[tuple[float, float]]:
    """At most `most` points, each the mean of an equal number of neighbours."""
    if len(points) <= most:
        return list(points)
    edges = [round(number * len(points) / most) for number in range(most + 1)]
    groups = (zip(*points[first:last], strict=True) for first, last in pairwise(edges))
    return [(_mean(xs), _mean(ys)) for xs, ys in groups]


def smoothed(points: Points) -> list[tuple[float, float]]:
    """The centred moving average; its window is a twentieth of the points."""
    reach = max(1, len(points) // 40)
    ys = [y for _, y in points]
    windows = (ys[max(0, i - reach) : i + reach + 1] for i in range(len(ys)))
    return [(x, _mean(window)) for (x, _), window in zip(points, windows, strict=True)]


def _mean(values: Sequence[float]) -> float:
    """The mean of the finite values; NaN where there is none."""
    finite = [value for value in values if isfinite(value)]
    return sum(finite) / len(finite) if finite else nan


def _draw(chart: Chart, axes: Any) -> None:
    """Draw the chart on matplotlib's axes."""
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
            name = f"\N{ZERO WIDTH SPACE}{visible(line.name)}" if line.name.startswith("_") else visible(line.name)
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1.5, marker=marker, **style)
        if line.weights:
            # the area of a point is its weight: bins of a few examples do not look like those of many
            sizes = [10 + 290 * weight / max(line.weights) for weight in line.weights]
            axes.scatter(*zip(*line.points, strict=True), s=sizes, color=style["color"], alpha=0.35, linewidths=0)
    for number, (x, name) in enumerate(chart.marks):
        axes.axvline(x, color=INK, linestyle=":", linewidth=0.9)
        axes.annotate(
            visible(name),
            (x, 1.0 - 0.08 * (number % 4)),
            xycoords=("data", "axes fraction"),
            fontsize=7,
            ha="left",
            va="top",
        )
    axes.set_title(visible(chart.title), fontsize=10, loc="left")
    axes.set_xlabel(visible(chart.x), fontsize=8)
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


def _for_a_page(drawing: str) -> str:
    """Only the `<svg>` element, in the page's text colour, without a style that would apply outside of it."""
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<style[^>]*>.*?</style>|<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    # coordinates to a hundredth of a point: half the size, and no visible difference
    drawing = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d+\.\d\d)\d+", r"\1", tag[0]), drawing)
    return re.sub(r"\s*\n\s*", "\n", drawing).replace(INK, "currentColor").strip()
