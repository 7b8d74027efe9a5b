"""What an example may look like: a string, or a dict whose keys say what is what, such as `text` and `text_pair`."""

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


@dataclass(frozen=True)
class Question:
    """A question, and the text that it is asked about."""

    question: str
    context: str


def read_question(example: Any) -> Question:
    """A dict with the keys `question` and `context`."""
    return Question(_string(example, "question", "context"), _string(example, "context", "question"))


@dataclass(frozen=True)
class Ranking:
    """A query, and the texts to rank by it."""

    query: str
    texts: tuple[str, ...]


def read_ranking(example: Any) -> Ranking:
    """A dict with the keys `query` and `texts`, a list."""
    return Ranking(_string(example, "query", "texts"), _strings(example, "texts", least=1))


@dataclass(frozen=True)
class Choices:
    """A text, and what may go on from it: the second texts are what the network reads beside it for each choice."""

    text: str
    choices: tuple[str, ...]
    seconds: tuple[str, ...]


def read_choices(example: Any) -> Choices:
    """A dict with `choices`, a list, and `text`, `question` or `context`, or both of the last two."""
    if not isinstance(example, Mapping):
        raise ValueError(f"expected a dict with 'text' and 'choices', got {_shown(example)}")
    given = [name for name in ("text", "context", "question") if example.get(name) is not None]
    if given not in (["text"], ["context"], ["question"], ["context", "question"]):
        raise ValueError(
            "beside 'choices' there must be 'text', 'question', 'context', or 'question' and 'context'; the example "
            f"has {_shown(example)}"
        )
    choices = _strings(example, "choices", least=2)
    text = _string(example, given[0], "choices")
    if len(given) == 1:
        return Choices(text, choices, choices)
    question = _string(example, "question", "choices")
    return Choices(text, choices, tuple(f"{question} {choice}" for choice in choices))


def _string(example: Any, key: str, other: str) -> str:
    """A part of an example that is a text and not empty."""
    if not isinstance(example, Mapping) or not isinstance(example.get(key), str):
        raise ValueError(f"expected a dict with {key!r}, a string, and {other!r}, got {_shown(example)}")
    text: str = example[key]
    if not text.strip():
        raise ValueError(f"the {key} is empty")
    return text


def _strings(example: Mapping[str, Any], key: str, least: int) -> tuple[str, ...]:
    """A part of an example that is a list of at least so many texts."""
    texts = example.get(key)
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{key!r} must be a list of strings; the example has {_shown(example)}")
    if len(texts) < least:
        raise ValueError(f"{key!r} has {len(texts)} of the at least {least} that are needed")
    return tuple(texts)


def _shown(example: Any) -> str:
    """A short account of something unexpected."""
    if isinstance(example, Mapping):
        parts = (f"{key!r}: {type(value).__name__}" for key, value in example.items())
        return "{" + ", ".join(parts) + "}"
    shown = repr(example)
    return f"{type(example).__name__} {shown if len(shown) <= 60 else shown[:60] + '…'}"
