"""The texts of a call as rows: one text or a pair each, checked, as the `tokenizers` library takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def as_rows(text: Any, text_pair: Any, split_into_words: bool) -> tuple[list[Any], bool]:
    """The rows of a call, and whether it was for a batch.

    A row is a string, a pair of strings, and with `split_into_words` a list of words or a pair of such lists. An empty
    `text_pair` of a single text means none, as in transformers; in a batch it is an empty second text.
    Raises ValueError naming the first row that is something else.
    """
    if not _is_sequence(text) and (split_into_words or not isinstance(text, str)):
        raise ValueError(f"text is {_describe(text)}; {_expected(split_into_words)}")
    batched = _is_sequence(text) and (not split_into_words or (len(text) > 0 and _is_sequence(text[0])))
    if not batched:
        return [_row((text, text_pair) if text_pair else text, "text", split_into_words)], False
    if text_pair is None:
        return [_row(row, f"text[{number}]", split_into_words) for number, row in enumerate(text)], True
    if not _is_sequence(text_pair) or len(text_pair) != len(text):
        given = f"{len(text_pair)} of them" if _is_sequence(text_pair) else _describe(text_pair)
        raise ValueError(f"text is a batch of {len(text)}, so text_pair must be a list of as many; it is {given}")
    return [
        _row((one, two), f"row {number}", split_into_words)
        for number, (one, two) in enumerate(zip(text, text_pair, strict=True))
    ], True


def each_text(texts: Iterable[Any]) -> Iterator[Any]:
    """The texts of an iterable of texts, or of lists of texts."""
    if isinstance(texts, str):
        raise ValueError("text_iterator is a single string; give a list of strings, or of lists of strings")
    for one in texts:
        if _is_sequence(one):
            yield from one
        else:
            yield one


def not_unicode(rows: list[Any]) -> str | None:
    """A description of the first row that cannot be encoded in UTF-8 (half of a surrogate pair), or None."""
    for number, row in enumerate(rows):
        for text in _texts(row):
            try:
                text.encode()
            except UnicodeEncodeError as error:
                character = text[error.start]
                return (
                    f"row {number}, character {error.start}: {character!r} is half of a character (a lone surrogate), "
                    "which is no text; text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') repairs it"
                )
    return None


def _row(row: Any, name: str, split_into_words: bool) -> Any:
    is_text = _is_words if split_into_words else _is_string
    if is_text(row):
        return list(row) if split_into_words else row
    if _is_sequence(row) and len(row) == 2 and is_text(row[0]) and is_text(row[1]):
        return (list(row[0]), list(row[1])) if split_into_words else (row[0], row[1])
    raise ValueError(f"{name} is {_describe(row)}; {_expected(split_into_words)}")


def _texts(row: Any) -> list[str]:
    return [row] if isinstance(row, str) else [text for part in row for text in _texts(part)]


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_words(value: Any) -> bool:
    return _is_sequence(value) and all(isinstance(word, str) for word in value)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _describe(value: Any) -> str:
    if value is None:
        return "None"
    if _is_sequence(value):
        kinds = sorted({type(item).__name__ for item in value})
        return f"a {type(value).__name__} of {len(value)} ({', '.join(kinds)})"
    shown = repr(value)
    return f"{shown[:40]}{'…' if len(shown) > 40 else ''} ({type(value).__name__})"


def _expected(split_into_words: bool) -> str:
    if split_into_words:
        return "with is_split_into_words=True give a list of words, or a list of such lists for a batch"
    return "give a string, a list of strings, or a list of pairs of strings (call list() on anything else)"
