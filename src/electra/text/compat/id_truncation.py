"""Truncate lists of ids by the rules of `truncate_sequences` in transformers 4."""

from __future__ import annotations

from collections.abc import Sequence

from electra.text.encode.call_options import TRUNCATION_ALIASES, TRUNCATIONS, choice


def cut_ids(
    ids: Sequence[int], pair_ids: Sequence[int] | None, count: int, truncation: str, stride: int, side: str
) -> tuple[list[int], list[int] | None, list[int]]:
    """The ids of a text and of a second one without `count` of them, and what was cut off, with `stride` more ids.

    transformers 4 logs a text that is too short to be truncated and leaves it as it is; here it is an error.

    Raises:
        ValueError: the text that is to be truncated would have nothing left.
    """
    first, second = list(ids), None if pair_ids is None else list(pair_ids)
    kind = choice("truncation_strategy", truncation, TRUNCATIONS, TRUNCATION_ALIASES)
    if count <= 0 or kind == "do_not_truncate":
        return first, second, []
    if kind == "longest_first" and second is not None and count <= len(first) + len(second):
        counts = _longest_first(len(first), len(second), count)
        return _without(first, counts[0], side), _without(second, counts[1], side), []
    whole = second if kind == "only_second" else first
    if whole is None or count > len(whole) - (kind != "longest_first"):
        lengths = f"{len(first)}" if second is None else f"{len(first)} and {len(second)}"
        raise ValueError(
            f"{count} tokens cannot be cut from {lengths} with {kind!r}; raise max_length"
            + ("" if kind == "longest_first" else " or use 'longest_first'")
        )
    window = min(len(whole), stride + count)
    rest = whole[-window:] if side == "right" else whole[:window]
    shortened = _without(whole, count, side)
    return (shortened, second, rest) if whole is first else (first, shortened, rest)


def _without(ids: list[int], count: int, side: str) -> list[int]:
    return ids[: len(ids) - count] if side == "right" else ids[count:]


def _longest_first(first: int, second: int, count: int) -> tuple[int, int]:
    """How many of `count` tokens each of two texts loses: the longer one until both are equally long, then both."""
    ahead = min(abs(first - second), count)
    half = (count - ahead) // 2
    return (ahead + half, count - ahead - half) if first > second else (half, count - half)
