"""How long the rows of a batch may be: the options of a call, checked and resolved."""

from __future__ import annotations

import difflib
import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NO_LIMIT = int(1e30)  # transformers' model_max_length for "no limit was stated"
PADDINGS = ("longest", "max_length", "do_not_pad")
TRUNCATIONS = ("longest_first", "only_first", "only_second", "do_not_truncate")
SIDES = ("right", "left")


@dataclass(frozen=True)
class Limits:
    """`padding` of PADDINGS, `truncation` of TRUNCATIONS; `max_length` in tokens, special ones included."""

    padding: str
    truncation: str
    max_length: int | None


def choice(option: str, value: object, allowed: Sequence[str], aliases: Mapping[object, str] | None = None) -> str:
    """`value` when it is one of `allowed`, or what it is an alias for; otherwise a ValueError that suggests a name."""
    for alias, meaning in (aliases or {}).items():
        if value is alias:
            return meaning
    if isinstance(value, str) and value in allowed:
        return str.__str__(value)  # transformers' enumerations of these names are strings too
    close = difflib.get_close_matches(value, allowed, n=1, cutoff=0.4) if isinstance(value, str) else []
    suggestion = f" Did you mean {close[0]!r}?" if close else ""
    names = [*map(repr, aliases or {}), *map(repr, allowed)]
    raise ValueError(f"{option}={value!r} is not known; it can be {', '.join(names)}.{suggestion}")


def whole_number(option: str, value: Any) -> int | None:
    """`value` as an int, None as None; ValueError for what is not a whole number from 0 on."""
    try:
        whole = isinstance(value, float) and value.is_integer()  # 1e30 in a tokenizer_config.json
        number = None if value is None else operator.index(int(value) if whole else value)
    except TypeError:
        number = -1
    if number is not None and number < 0:
        raise ValueError(f"{option}={value!r} is not a number of tokens; give a whole number from 0 on, or None")
    return number


def resolve_limits(
    *,
    padding: bool | str | None,
    truncation: bool | str | None,
    max_length: int | None,
    pad_to_multiple_of: int | None,
    model_max_length: int,
    verbose: bool = True,
) -> Limits:
    """The limits of one call, by transformers' rules.

    A `max_length` alone truncates; `padding=True` pads to the longest row; without a `max_length` the model's length
    counts, and where there is none nothing is padded to it or cut at it.
    """
    max_length = whole_number("max_length", max_length)
    pad_to_multiple_of = whole_number("pad_to_multiple_of", pad_to_multiple_of)
    stated = whole_number("model_max_length", model_max_length)
    model_max_length = NO_LIMIT if stated is None else stated
    if max_length is not None and padding is False and truncation is None:
        truncation = "longest_first"
    pad = choice("padding", padding, PADDINGS, {True: "longest", False: "do_not_pad", None: "do_not_pad"})
    cut = choice("truncation", truncation, TRUNCATIONS, _TRUNCATION_ALIASES)
    if verbose and padding is True and max_length is not None and cut == "do_not_truncate":
        warnings.warn(
            f"max_length={max_length} has no effect with padding=True and no truncation; "
            "say truncation=True to cut at it, or padding='max_length' to fill up to it",
            stacklevel=4,
        )
    if max_length is None:
        if model_max_length < NO_LIMIT // 10:
            max_length = model_max_length
        else:
            pad, cut = ("do_not_pad" if pad == "max_length" else pad), "do_not_truncate"
    if cut != "do_not_truncate" and pad != "do_not_pad" and pad_to_multiple_of and max_length is not None:
        _check_multiple(max_length, pad_to_multiple_of)
    return Limits(pad, cut, max_length if pad == "max_length" or cut != "do_not_truncate" else None)


_TRUNCATION_ALIASES: Mapping[object, str] = {True: "longest_first", False: "do_not_truncate", None: "do_not_truncate"}


def _check_multiple(max_length: int, pad_to_multiple_of: int) -> None:
    if max_length % pad_to_multiple_of:
        fitting = max_length // pad_to_multiple_of * pad_to_multiple_of or pad_to_multiple_of
        raise ValueError(
            f"max_length={max_length} is not a multiple of pad_to_multiple_of={pad_to_multiple_of}, so a row could be "
            f"padded beyond where it was cut; say max_length={fitting}, for example"
        )


def check_room(limits: Limits, stride: int, special_tokens: int, stride_margin: int, windowed_texts: int) -> None:
    """Refuse a `max_length` that the special tokens overfill, and windows that would not move forward.

    `windowed_texts`: how many texts of a row are cut into windows. Each needs a token: without, a window would never
    move on, and for a pair the library returns the whole text instead. It subtracts `stride_margin` special tokens when
    it judges a stride, even where it adds none.
    """
    if limits.truncation == "do_not_truncate" or limits.max_length is None:
        return
    least = special_tokens + windowed_texts
    if limits.max_length < least:
        text = ("", " and a token of text", " and a token of each text")[windowed_texts]
        raise ValueError(
            f"max_length={limits.max_length} leaves no room for the {special_tokens} special tokens of a row{text}; "
            f"it must be at least {least}"
        )
    room = limits.max_length - max(special_tokens, stride_margin)
    if stride < 0 or (stride and stride >= room):
        raise ValueError(
            f"stride={stride} must be at least 0 and below {max(room, 1)}, the number of tokens of text that fit into "
            f"max_length={limits.max_length}: otherwise the next window would not be further on"
        )


def cut_ids(
    ids: Sequence[int], pair_ids: Sequence[int] | None, count: int, truncation: str, stride: int, side: str
) -> tuple[list[int], list[int] | None, list[int]]:
    """The ids of a text and of a second one without `count` of them, and what was cut off, with `stride` more ids.

    The rules are those of `truncate_sequences` in transformers 4; there, a text that is too short to be cut is logged
    and left as it is, here it is a ValueError.
    """
    first, second = list(ids), None if pair_ids is None else list(pair_ids)
    kind = choice("truncation_strategy", truncation, TRUNCATIONS, _TRUNCATION_ALIASES)
    if count <= 0 or kind == "do_not_truncate":
        return first, second, []
    if kind == "longest_first" and second is not None and count <= len(first) + len(second):
        shares = _shares(len(first), len(second), count)
        return _without(first, shares[0], side), _without(second, shares[1], side), []
    whole = second if kind == "only_second" else first
    if whole is None or count > len(whole) - (kind != "longest_first"):
        lengths = f"{len(first)}" if second is None else f"{len(first)} and {len(second)}"
        raise ValueError(
            f"{count} tokens cannot be cut from {lengths} with {kind!r}; raise max_length"
            + ("" if kind == "longest_first" else " or say 'longest_first'")
        )
    window = min(len(whole), stride + count)
    rest = whole[-window:] if side == "right" else whole[:window]
    kept = _without(whole, count, side)
    return (kept, second, rest) if whole is first else (first, kept, rest)


def _without(ids: list[int], count: int, side: str) -> list[int]:
    return ids[: len(ids) - count] if side == "right" else ids[count:]


def _shares(first: int, second: int, count: int) -> tuple[int, int]:
    """How many of `count` tokens each of two texts loses: the longer one until both are equally long, then both."""
    ahead = min(abs(first - second), count)
    half = (count - ahead) // 2
    return (ahead + half, count - ahead - half) if first > second else (half, count - half)


def kept_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts "longest_first" keeps, by the tokenizers library's rule (not token by token)."""
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)
