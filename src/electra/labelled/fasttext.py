"""fastText's files of labelled texts: `__label__good the text` to a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from electra.files.lines import Line, Refuse, Row

PREFIX = "__label__"


def rows(path: Path, lines: Iterable[Line], refuse_row: Refuse) -> Iterator[Row]:
    """Each line's `text`, and its `label`: a string, or a list of strings where a line has several."""
    for number, line, _ in lines:
        words = line.split()
        labels = [word.removeprefix(PREFIX) for word in words if word.startswith(PREFIX)]
        text = " ".join(word for word in words if not word.startswith(PREFIX))
        if labels:
            yield Row(number, {"text": text, "label": labels if len(labels) > 1 else labels[0]})
        elif words:
            refuse_row(f"{path}:{number}: no label: a line of a .txt file begins with {PREFIX} and the label's name")
