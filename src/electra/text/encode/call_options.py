"""The options of one tokenizer call, checked and resolved: truncation, padding, columns."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from electra.validation import did_you_mean

NO_LIMIT = int(1e30)
"""transformers' `model_max_length` where no limit is known."""
PADDINGS = ("longest", "max_length", "do_not_pad")
TRUNCATIONS = ("longest_first", "only_first", "only_second", "do_not_truncate")
SIDES = ("right", "left")

PADDING_ALIASES: Mapping[object, str] = {True: "longest", False: "do_not_pad", None: "do_not_pad"}
TRUNCATION_ALIASES: Mapping[object, str] = {True: "longest_first", False: "do_not_truncate", None: "do_not_truncate"}


@dataclass(frozen=True)
class Limits:
    """How long rows may be.

    Attributes:
        padding: one of PADDINGS.
        truncation: one of TRUNCATIONS.
        max_length: tokens, the special ones included; None where nothing is cut at it or padded to it.
    """

    padding: str
    truncation: str
    max_length: int | None


@dataclass(frozen=True)
class Cut:
    """How rows are encoded: where and on which side they are truncated, and whether the rest becomes further windows.

    Attributes:
        limits: the length of a row.
        side: the side that is truncated, one of SIDES.
        stride: tokens that two windows share.
        overflow: keep what is cut off as further windows.
        add_special_tokens: put the special tokens around each row.
        split_into_words: a text is a list of words.
    """

    limits: Limits
    side: str = "right"
    stride: int = 0
    overflow: bool = False
    add_special_tokens: bool = True
    split_into_words: bool = False


@dataclass(frozen=True)
class Padding:
    """What rows are filled up with, on which side and to which length.

    Attributes:
        kind: one of PADDINGS.
        length: tokens, for "max_length".
        multiple_of: the length is rounded up to a multiple of it.
        side: one of SIDES.
        token, token_id, type_id: what rows are filled up with.
    """

    kind: str
    length: int | None
    multiple_of: int | None
    side: str
    token: str
    token_id: int
    type_id: int

    def target(self, lengths: Sequence[int]) -> int | None:
        """The length that rows of these lengths are padded to, or None for no padding."""
        if self.kind == "do_not_pad" or not lengths:
            return None
        length = max(lengths) if self.kind == "longest" or self.length is None else self.length
        return length + -length % self.multiple_of if self.multiple_of else length


@dataclass(frozen=True)
class Columns:
    """Which columns a call returns beside `input_ids`."""

    token_type_ids: bool = True
    attention_mask: bool = True
    overflow: bool = False
    special_tokens_mask: bool = False
    offsets: bool = False
    length: bool = False


def choice(option: str, value: object, allowed: Sequence[str], aliases: Mapping[object, str] | None = None) -> str:
    """One of the allowed strings.

    Args:
        option: its name, for the message.
        value: what came.
        allowed: the strings that it may be.
        aliases: other values (True, False, None) and the strings that they stand for.

    Raises:
        ValueError: it is none of them; the message lists them and suggests the nearest.
    """
    # by identity: 1 == True, and padding=1 is more likely a mistake than a way to say True
    for alias, meaning in (aliases or {}).items():
        if value is alias:
            return meaning
    if isinstance(value, str) and value in allowed:
        return str.__str__(value)  # transformers' enumerations of these names are strings too
    listed = ", ".join([*map(repr, aliases or {}), *map(repr, allowed)])
    raise ValueError(f"{option} is {value!r}: choose one of {listed}{did_you_mean(value, allowed, 0.4)}")


def token_count(option: str, value: Any) -> int | None:
    """A number of tokens as an int, None as None.

    Raises:
        ValueError: it is not a whole number of at least 0.
    """
    try:
        is_whole_float = isinstance(value, float) and value.is_integer()  # 1e30 in a tokenizer_config.json
        count = None if value is None else operator.index(int(value) if is_whole_float else value)
    except TypeError:
        count = -1
    if count is not None and (count < 0 or isinstance(value, bool)):
        raise ValueError(f"{option} is {value!r}: it must be a whole number of tokens, 0 or more, or None")
    return count


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

    Raises:
        ValueError: a value that is not allowed, or lengths that contradict each other.
    """
    max_length = token_count("max_length", max_length)
    pad_to_multiple_of = token_count("pad_to_multiple_of", pad_to_multiple_of)
    stated = token_count("model_max_length", model_max_length)
    model_max_length = NO_LIMIT if stated is None else stated
    if max_length is not None and padding is False and truncation is None:
        # transformers: whoever states a length and nothing else wants it kept to
        truncation = "longest_first"
    pad = choice("padding", padding, PADDINGS, PADDING_ALIASES)
    cut = choice("truncation", truncation, TRUNCATIONS, TRUNCATION_ALIASES)
    if verbose and padding is True and max_length is not None and cut == "do_not_truncate":
        warnings.warn(
            f"max_length={max_length} has no effect with padding=True and no truncation; "
            "pass truncation=True to truncate to it, or padding='max_length' to pad to it",
            stacklevel=4,
        )
    if max_length is None:
        if model_max_length < NO_LIMIT // 10:
            max_length = model_max_length
        else:
            # nobody knows a length, so there is none to pad or truncate to
            pad, cut = ("do_not_pad" if pad == "max_length" else pad), "do_not_truncate"
    if cut != "do_not_truncate" and pad != "do_not_pad" and pad_to_multiple_of and max_length is not None:
        _check_multiple(max_length, pad_to_multiple_of)
    return Limits(pad, cut, max_length if pad == "max_length" or cut != "do_not_truncate" else None)


def _check_multiple(max_length: int, pad_to_multiple_of: int) -> None:
    if max_length % pad_to_multiple_of:
        fitting = max_length // pad_to_multiple_of * pad_to_multiple_of or pad_to_multiple_of
        raise ValueError(
            f"max_length is {max_length}: with truncation and padding it must be a multiple of "
            f"pad_to_multiple_of={pad_to_multiple_of}, or rows would be padded beyond where they were truncated; "
            f"try max_length={fitting}"
        )


def check_room(limits: Limits, stride: int, special_tokens: int, stride_margin: int, windowed_texts: int) -> None:
    """Refuse a `max_length` that the special tokens overfill, and windows that would not move forward.

    Args:
        limits: the length of a row.
        stride: tokens that two windows share.
        special_tokens: how many a row gets.
        stride_margin: special tokens that the library subtracts when it judges a stride, even where it adds none.
        windowed_texts: how many texts of a row are cut into windows. Each needs a token: without one a window would
            never move on, and for a pair the library returns the whole text instead.

    Raises:
        ValueError: the message says the least length, or the largest stride.
    """
    if limits.truncation == "do_not_truncate" or limits.max_length is None:
        return
    least = special_tokens + windowed_texts
    if limits.max_length < least:
        text = ("", " and a token of text", " and a token of each text")[windowed_texts]
        raise ValueError(
            f"max_length is {limits.max_length}: it must be at least {least}, to leave room for the "
            f"{special_tokens} special tokens of a row{text}"
        )
    room = limits.max_length - max(special_tokens, stride_margin)
    if stride < 0 or (stride and stride >= room):
        raise ValueError(
            f"stride is {stride}: it must be at least 0 and below {max(room, 1)}, the number of tokens of text that "
            f"fit into max_length={limits.max_length}; otherwise the next window would not be further on"
        )


def as_list(name: str, values: Any) -> list[Any]:
    """A list, tuple, array or other iterable as a list.

    Raises:
        ValueError: it is one string, or no iterable.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise ValueError(f"{name} is {values!r:.60}: it must be a list")
    return list(values)
