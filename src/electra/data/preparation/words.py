"""Word boundaries that a character in the text marks; the text is tokenized without it.

Between tokenizing and storing, a token that continues the word of the token before it is written as `~id`, below 0, so
that code that splits and joins ids keeps the word starts without knowing of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from electra.data.dataset.shards import Ids

Starts = npt.NDArray[np.bool_]


def check_symbol(symbol: str | None) -> None:
    """Raise ValueError for a symbol that cannot mark word boundaries. None marks nothing and is allowed."""
    if symbol is not None and (len(symbol) != 1 or symbol in "\r\n\0"):
        raise ValueError(f"word_boundaries={symbol!r}: it must be one character, which stands nowhere else in the text")


def ids_with_words(line: str, symbol: str, encoding: Any) -> list[int]:
    """The ids of a line, `~id` where a token does not begin a word.

    The symbol and white space separate words. A token belongs to the word of its first character.

    Args:
        line: with the symbols.
        symbol: the character that marks word boundaries.
        encoding: what the tokenizers library returns for the line without the symbols.
    """
    starts = np.fromiter((start for start, _ in encoding.offsets), np.int64, len(encoding.offsets))
    words = np.searchsorted(np.fromiter(_boundaries(line, symbol), np.int64), starts, side="right")
    ids = np.asarray(encoding.ids, np.int64)
    marked: list[int] = np.where(np.diff(words, prepend=-1) > 0, ids, ~ids).tolist()
    return marked


def _boundaries(line: str, symbol: str) -> Iterator[int]:
    """The characters of the line without the symbol at which words begin, in order; some occur more than once."""
    position = 0
    for character in line:
        if character == symbol:
            yield position
        else:
            position += 1
            if character.isspace():
                yield position


def ids_and_starts(marked: Sequence[int]) -> tuple[Ids, Starts]:
    """An example with `~id` marks -> its ids `[tokens]` and which of them begin a word, `[tokens]` bool."""
    ids = np.asarray(marked, np.int64)
    starts: Starts = ids >= 0
    return np.where(starts, ids, ~ids), starts
