"""fastText's files of labelled texts: `__label__good the text` to a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

PREFIX = "__label__"


def lines(path: Path, file: IO[str], refuse: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line's `text`, and its `label`: a string, or a list of strings where a line has several."""
    for number, line in enumerate(file, 1):
        words = line.split()
        labels = [word.removeprefix(PREFIX) for word in words if word.startswith(PREFIX)]
        text = " ".join(word for word in words if not word.startswith(PREFIX))
        if labels:
            yield number, {"text": text, "label": labels if len(labels) > 1 else labels[0]}
        elif words:
            refuse(f"{path}:{number}: no label: a line of a .txt file begins with {PREFIX} and the label's name")
