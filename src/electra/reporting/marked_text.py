"""Text with marked spans in HTML: the expected ones are underlined, the predicted ones are coloured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from electra.reporting.rendering import render

MOST_CHARACTERS = 700  # of a text without marks, or before and after them
AROUND = 250
ELLIPSIS = "…"


@dataclass(frozen=True)
class Mark:
    """A span of a text.

    Attributes:
        start: its first character.
        end: the character after its last one.
        name: its label, if it has one.
        expected: True: the right answer; False: what the model predicted.
    """

    start: int
    end: int
    name: str = ""
    expected: bool = True


@dataclass(frozen=True)
class Part:
    """One text of an example: its name, the text, the marks in it."""

    name: str
    text: str
    marks: Sequence[Mark] = ()


@dataclass(frozen=True)
class _Label:
    """A mark's name behind its span; classes: the CSS classes."""

    name: str
    classes: str


@dataclass(frozen=True)
class _Span:
    """A piece of text in which no mark begins or ends; classes is empty where it has no mark."""

    text: str
    classes: str = ""
    title: str = ""
    labels: Sequence[_Label] = ()


def passage(heading: str, parts: Sequence[Part]) -> Markup:
    """An example in its own text below a heading; several parts are preceded by their names.

    The direction follows from the text, so that Arabic and Hebrew run from the right.
    """
    named = len(parts) > 1
    shown = [{"name": part.name if named else "", "text": marked(part.text, part.marks)} for part in parts]
    return render("passage", heading=heading, parts=shown)


def marked(text: str, marks: Sequence[Mark] = ()) -> Markup:
    """The text with its marks, which may overlap; of a long text only the surroundings of the marks are shown."""
    first, last = _window(text, marks)
    within = [mark for mark in marks if first <= mark.start < mark.end <= last]
    edges = sorted({first, last, *(edge for mark in within for edge in (mark.start, mark.end))})
    spans = [_span(text, start, end, within) for start, end in pairwise(edges)]
    before, after = [_Span(ELLIPSIS)] * (first > 0), [_Span(ELLIPSIS)] * (last < len(text))
    return render("marked", spans=[*before, *spans, *after])


def _window(text: str, marks: Sequence[Mark]) -> tuple[int, int]:
    """The first character that is shown, and the one after the last."""
    if len(text) <= MOST_CHARACTERS:
        return 0, len(text)
    if not marks:
        return 0, MOST_CHARACTERS
    first = max(0, min(mark.start for mark in marks) - AROUND)
    last = min(len(text), max(mark.end for mark in marks) + AROUND)
    return first, last


def _span(text: str, start: int, end: int, marks: Sequence[Mark]) -> _Span:
    """A span with the marks that cover it; the names of those that end with it follow as labels."""
    covering = [mark for mark in marks if mark.start <= start and end <= mark.end]
    kinds_by_name: dict[str, list[str]] = {}
    for mark in covering:
        if mark.end == end and mark.name:
            kinds_by_name.setdefault(mark.name, []).append(_kind(mark))
    return _Span(
        text[start:end],
        _classes(map(_kind, covering)),
        "; ".join(f"{_kind(mark)}: {mark.name}" for mark in covering if mark.name),
        [_Label(name, _classes(kinds)) for name, kinds in kinds_by_name.items()],
    )


def _kind(mark: Mark) -> str:
    return "expected" if mark.expected else "predicted"


def _classes(kinds: Iterable[str]) -> str:
    """CSS classes, each once."""
    return " ".join(sorted(set(kinds)))
