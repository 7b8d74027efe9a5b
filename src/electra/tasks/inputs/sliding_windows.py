"""Overlapping windows over a long text: every token is classified once, with context on both sides."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """The tokens from `start` to `stop`. The outputs from `first` to `last` are taken from this window only."""

    start: int
    stop: int
    first: int
    last: int


def windows(tokens: int, capacity: int, overlap: int | None = None) -> tuple[Window, ...]:
    """Windows of at most `capacity` tokens over a text of `tokens`.

    Neighbours share `overlap` tokens (default: a quarter of the capacity); the last window is moved back so that it is
    full and shares more. Where two windows share tokens, the first half is taken from the earlier one and the second
    half from the later one: each token from where it has more context.
    """
    overlap = capacity // 4 if overlap is None else overlap
    if not 0 <= overlap < capacity:
        raise ValueError(f"stride={overlap}: windows of {capacity} tokens can share 0 to {capacity - 1}")
    starts = [0]
    while starts[-1] + capacity < tokens:
        starts.append(min(starts[-1] + capacity - overlap, tokens - capacity))
    stops = [min(start + capacity, tokens) for start in starts]
    cuts = [0, *((start + stop) // 2 for start, stop in zip(starts[1:], stops[:-1], strict=True)), tokens]
    return tuple(map(Window, starts, stops, cuts[:-1], cuts[1:]))


def strided(tokens: int, capacity: int, overlap: int) -> tuple[tuple[int, int], ...]:
    """Where windows of at most `capacity` tokens start and stop, as the tokenizers library cuts them.

    Neighbours share exactly `overlap` tokens, below `capacity`; the last window may be short.
    """
    step = capacity - overlap
    count = 1 + max(0, -(-(tokens - capacity) // step))
    return tuple((i * step, min(i * step + capacity, tokens)) for i in range(count))
