"""Words whose boundaries a character in the text marks; the text is read without it.

Between preparing and storing, a token that goes on with the word of the token before it stands as `~id`, below 0, so
that whatever cuts and joins the ids of a text does the same with its words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from electra.data.dataset.shards import Ids

Starts = npt.NDArray[np.bool_]


def check_symbol(symbol: str | None) -> None:
    """Refuse what cannot stand between words."""
    if symbol is not None and (len(symbol) != 1 or symbol in "\r\n\0"):
        raise ValueError(f"word_boundaries={symbol!r}: it must be one character, which stands nowhere else in the text")


def ids_with_words(line: str, symbol: str, encoding: Any) -> list[int]:
    """The ids of a line, `encoding` being that of the line without the symbol; `~id` where no word begins.

    The symbol and white space separate words. A token belongs to the word of its first character.
    """
    starts = np.fromiter((start for start, _ in encoding.offsets), np.int64, len(encoding.offsets))
    words = np.searchsorted(np.fromiter(_boundaries(line, symbol), np.int64), starts, side="right")
    ids = np.asarray(encoding.ids, np.int64)
    marked: list[int] = np.where(np.diff(words, prepend=-1) > 0, ids, ~ids).tolist()
    return marked


def _boundaries(line: str, symbol: str) -> Iterator[int]:
    """Where words begin in the line without the symbol, in order; in some places more than once."""
    place = 0
    for character in line:
        if character == symbol:
            yield place
        else:
            place += 1
            if character.isspace():
                yield place


def parted(marked: Sequence[int]) -> tuple[Ids, Starts]:
    """An example as it comes -> its ids `[tokens]`, and which of them begin a word `[tokens]`."""
    ids = np.asarray(marked, np.int64)
    starts: Starts = ids >= 0
    return np.where(starts, ids, ~ids), starts
