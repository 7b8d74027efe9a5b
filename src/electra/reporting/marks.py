"""Text with marked stretches, in HTML: what is right is underlined, what was said is coloured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

MOST_CHARACTERS = 700  # of a text without marks, or before and after them
AROUND = 250
CUT = "…"


@dataclass(frozen=True)
class Mark:
    """A stretch of a text, from one character to before another. name: what it is called. right: it is what is right,
    or (False) what was said.
    """

    start: int
    end: int
    name: str = ""
    right: bool = True


@dataclass(frozen=True)
class Part:
    """A piece of an example: its name, its text, what is marked in it."""

    name: str
    text: str
    marks: Sequence[Mark] = ()


def passage(heading: str, parts: Sequence[Part]) -> str:
    """An example in its own text under a line that says what about it; a part's name stands before it where there are
    several. The direction follows from the text, so that Arabic and Hebrew run from the right.
    """
    named = len(parts) > 1
    lines = [
        f'<p dir="auto">{f"<b>{escape(part.name)}</b> " if named else ""}{marked(part.text, part.marks)}</p>'
        for part in parts
    ]
    return f'<div class="case"><p class="note">{escape(heading)}</p>\n' + "\n".join(lines) + "</div>"


def marked(text: str, marks: Sequence[Mark] = ()) -> str:
    """The text with its marks, which may lie across each other; of a long one, what is far from them is left out."""
    first, last = _shown(text, marks)
    within = [mark for mark in marks if first <= mark.start < mark.end <= last]
    edges = sorted({first, last, *(edge for mark in within for edge in (mark.start, mark.end))})
    body = "".join(_stretch(text, start, end, within) for start, end in pairwise(edges))
    return f"{CUT if first else ''}{body}{CUT if last < len(text) else ''}"


def _shown(text: str, marks: Sequence[Mark]) -> tuple[int, int]:
    """From which to which character the text is shown."""
    if len(text) <= MOST_CHARACTERS:
        return 0, len(text)
    if not marks:
        return 0, MOST_CHARACTERS
    first = max(0, min(mark.start for mark in marks) - AROUND)
    last = min(len(text), max(mark.end for mark in marks) + AROUND)
    return first, last


def _stretch(text: str, start: int, end: int, marks: Sequence[Mark]) -> str:
    """A stretch in which no mark begins or ends; the names of those that end with it follow."""
    covering = [mark for mark in marks if mark.start <= start and end <= mark.end]
    shown = escape(text[start:end])
    if not covering:
        return shown
    kinds = " ".join(sorted(set(map(_kind, covering))))
    title = "; ".join(f"{_kind(mark)}: {mark.name}" for mark in covering if mark.name)
    ending: dict[str, list[str]] = {}
    for mark in covering:
        if mark.end == end and mark.name:
            ending.setdefault(mark.name, []).append(_kind(mark))
    names = "".join(f'<sub class="{" ".join(found)}">{escape(name)}</sub>' for name, found in ending.items())
    return f'<span class="{kinds}" title="{escape(title)}">{shown}</span>{names}'


def _kind(mark: Mark) -> str:
    return "right" if mark.right else "said"
