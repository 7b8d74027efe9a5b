"""The most probable answer spans in a window of context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_SPAN = -1.0
"""In a table of scores: a span from here, so long, would go beyond the context."""


@dataclass(frozen=True)
class Span:
    """The tokens from `first` to `last`, both of the answer, counted from the window's first token of context."""

    first: int
    last: int
    score: float


def best_spans(logits: np.ndarray, context: slice, longest: int, count: int) -> tuple[float, list[Span]]:
    """The score of no answer, and the `count` best spans, best first: logits [row's tokens, 2], start and end.

    Start and end are probabilities over the context's tokens and [CLS], each for itself; a span's score is the product
    of its start's and its end's, the score of no answer that of [CLS] twice. A span has at most `longest` tokens.
    """
    start, end = (probabilities(np.concatenate([logits[:1, i], logits[context, i]])) for i in (0, 1))
    table = _scores(start[1:], end[1:], longest)
    flat = table.ravel()
    count = min(count, int((flat != NO_SPAN).sum()))
    indices = np.argpartition(-flat, count - 1)[:count]
    indices = indices[np.lexsort((indices, -flat[indices]))]
    firsts, widths = np.unravel_index(indices, table.shape)
    spans = [
        Span(first, first + width, score)
        for first, width, score in zip(firsts.tolist(), widths.tolist(), flat[indices].tolist(), strict=True)
    ]
    return float(start[0] * end[0]), spans


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax: [n] -> [n]"""
    powers = np.exp(logits - logits.max())
    normalised: np.ndarray = powers / powers.sum()
    return normalised


def _scores(start: np.ndarray, end: np.ndarray, longest: int) -> np.ndarray:
    """[n], [n] -> [n, widths]: the score of the span that begins at a token and has so many more, or NO_SPAN."""
    table = np.full((len(start), min(longest, len(start))), NO_SPAN, dtype=start.dtype)
    for width in range(table.shape[1]):
        table[: len(start) - width, width] = start[: len(start) - width] * end[width:]
    return table
