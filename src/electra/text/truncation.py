"""How long the rows of a batch may be: the options of a call, checked and resolved."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def check_room(limits: Limits, stride: int, special_tokens: int, stride_margin: int, overflow: bool) -> None:
    """Refuse a `max_length` that the special tokens overfill, and windows that would not move forward.

    The library subtracts `stride_margin` special tokens when it judges a stride, even where it adds none.
    """
    if limits.truncation == "do_not_truncate" or limits.max_length is None:
        return
    least = special_tokens + overflow  # windows without text would go on for ever
    if limits.max_length < least:
        raise ValueError(
            f"max_length={limits.max_length} leaves no room for the {special_tokens} special tokens of a row"
            f"{' and a token of text' if overflow else ''}; it must be at least {least}"
        )
    room = limits.max_length - max(special_tokens, stride_margin)
    if stride < 0 or (stride and stride >= room):
        raise ValueError(
            f"stride={stride} must be at least 0 and below {max(room, 1)}, the number of tokens of text that fit into "
            f"max_length={limits.max_length}: otherwise the next window would not be further on"
        )


def kept_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts "longest_first" keeps, by the tokenizers library's rule (not token by token)."""
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)
