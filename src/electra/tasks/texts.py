"""What an example of text may look like: a string, or a dict with the keys `text` and, for a pair, `text_pair`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Text:
    """A text, or a pair of texts."""

    text: str
    pair: str | None = None


def read_text(example: Any) -> Text:
    """A text or a pair of texts. Further keys of a dict are left alone."""
    if isinstance(example, str):
        return Text(example)
    if isinstance(example, Mapping):
        text, pair = example.get("text"), example.get("text_pair")
        if isinstance(text, str) and (pair is None or isinstance(pair, str)):
            return Text(text, pair)
        raise ValueError(f"'text' (and 'text_pair' for a pair) must be strings; the example has {_shown(example)}")
    pairs = ' (a pair of texts is {"text": …, "text_pair": …})' if isinstance(example, (list, tuple)) else ""
    raise ValueError(f"expected a string or a dict with the key 'text', got {_shown(example)}{pairs}")


def read_single_text(example: Any) -> str:
    """A text; a pair is refused."""
    text = read_text(example)
    if text.pair is not None:
        raise ValueError("this task reads one text at a time, not a pair: leave out 'text_pair'")
    return text.text


@dataclass(frozen=True)
class Words:
    """A text that was split into words beforehand. `text` is the words joined by a delimiter."""

    words: tuple[str, ...]
    text: str
    starts: tuple[int, ...]
    """The character of `text` at which each word begins."""


def read_words(example: Any, delimiter: str = " ") -> Words:
    """Words that are given as a list, or as a dict with the key `tokens`."""
    words = example.get("tokens") if isinstance(example, Mapping) else example
    if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(w, str) for w in words):
        raise ValueError(f"expected a list of words, or a dict with such a list under 'tokens', got {_shown(example)}")
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word) + len(delimiter)
    return Words(tuple(words), delimiter.join(words), tuple(starts))


def _shown(example: Any) -> str:
    """A short account of something unexpected."""
    if isinstance(example, Mapping):
        parts = (f"{key!r}: {type(value).__name__}" for key, value in example.items())
        return "{" + ", ".join(parts) + "}"
    shown = repr(example)
    return f"{type(example).__name__} {shown if len(shown) <= 60 else shown[:60] + '…'}"
