"""Rows to `tokenizers.Encoding`s, cut to a length where that is asked for, with the windows that were cut off.

The library itself panics when a window is not longer than the stride, which depends on the data: here such a row gets
the largest stride that fits.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Encoding, Tokenizer

from electra.text.backend import no_panics
from electra.text.encode.row_building import not_unicode
from electra.text.encode.truncation import Limits, check_room, kept_lengths


@dataclass(frozen=True)
class Cut:
    """How rows are encoded: where they end, from which side they are cut, whether what is cut off is kept as further
    windows and how many tokens two of them share."""

    limits: Limits
    side: str = "right"
    stride: int = 0
    overflow: bool = False
    add_special_tokens: bool = True
    split_into_words: bool = False


def encode_rows(backend: Tokenizer, rows: list[Any], cut: Cut) -> list[Encoding]:
    """One encoding a row, whose `overflowing` holds the further windows of a row that was cut.

    Changes the truncation of `backend` while it runs, so one thread at a time; afterwards there is none.
    """
    if cut.limits.truncation == "do_not_truncate":
        return _encode(backend, rows, cut)
    for pair in {isinstance(row, tuple) for row in rows}:
        margin = backend.num_special_tokens_to_add(False)
        windowed = (2 if pair and cut.limits.truncation == "longest_first" else 1) if cut.overflow else 0
        check_room(cut.limits, cut.stride, _special_tokens(backend, pair, cut), margin, windowed)
    numbers_by_stride = defaultdict(list)
    for number, stride in enumerate(_strides(backend, rows, cut)):
        numbers_by_stride[stride].append(number)
    encodings: dict[int, Encoding] = {}
    try:
        for stride, numbers in numbers_by_stride.items():
            _set_truncation(backend, cut, stride)
            encodings.update(zip(numbers, _encode(backend, [rows[n] for n in numbers], cut), strict=True))
    except ValueError as error:
        backend.no_truncation()
        raise ValueError(_why_not_cut(backend, rows, cut) or str(error)) from error
    finally:
        backend.no_truncation()
    return [encodings[number] for number in range(len(rows))]


def _encode(backend: Tokenizer, rows: list[Any], cut: Cut) -> list[Encoding]:
    try:
        with no_panics("encoding text"):
            return backend.encode_batch(
                rows, is_pretokenized=cut.split_into_words, add_special_tokens=cut.add_special_tokens
            )
    except Exception as error:
        raise ValueError(not_unicode(rows) or str(error)) from error


def _set_truncation(backend: Tokenizer, cut: Cut, stride: int) -> None:
    assert cut.limits.max_length is not None
    with no_panics("setting the truncation"):
        backend.enable_truncation(
            max_length=cut.limits.max_length, stride=stride, strategy=cut.limits.truncation, direction=cut.side
        )


def _strides(backend: Tokenizer, rows: list[Any], cut: Cut) -> list[int]:
    """For each row the stride that was asked for, or the largest below the length of the window that it cuts."""
    strides = [cut.stride] * len(rows)
    pairs = [number for number, row in enumerate(rows) if isinstance(row, tuple)]
    if cut.stride == 0 or not pairs:
        return strides
    for number, window in zip(pairs, _shortest_windows(backend, [rows[n] for n in pairs], cut), strict=True):
        strides[number] = max(0, min(cut.stride, window - 1))
    return strides


def _shortest_windows(backend: Tokenizer, pairs: list[tuple[Any, Any]], cut: Cut) -> list[int]:
    """For each pair the length of the shorter window that truncation makes of its texts."""
    assert cut.limits.max_length is not None
    room = cut.limits.max_length - _special_tokens(backend, True, cut)
    if cut.limits.truncation == "only_first":
        return [room - length for length in _lengths(backend, [pair[1] for pair in pairs], cut)]
    firsts = _lengths(backend, [pair[0] for pair in pairs], cut)
    if cut.limits.truncation == "only_second":
        return [room - length for length in firsts]
    windows = []
    for first, second in zip(firsts, _lengths(backend, [pair[1] for pair in pairs], cut), strict=True):
        kept = kept_lengths(first, second, room)
        cuts = [length for length, whole in zip(kept, (first, second), strict=True) if length < whole]
        windows.append(min(cuts, default=room))
    return windows


def _lengths(backend: Tokenizer, texts: list[Any], cut: Cut) -> list[int]:
    """Tokens of each text, without special ones."""
    return [len(encoding) for encoding in _encode(backend, texts, replace(cut, add_special_tokens=False))]


def _special_tokens(backend: Tokenizer, pair: bool, cut: Cut) -> int:
    return backend.num_special_tokens_to_add(pair) if cut.add_special_tokens else 0


def _why_not_cut(backend: Tokenizer, rows: list[Any], cut: Cut) -> str | None:
    """The first row that cutting only one text cannot bring to the length, in words."""
    if cut.limits.truncation not in ("only_first", "only_second"):
        return None
    for number, row in enumerate(rows):
        texts = list(row) if isinstance(row, tuple) else [row]
        lengths = _lengths(backend, texts, cut)
        over = sum(lengths) + _special_tokens(backend, len(texts) == 2, cut) - (cut.limits.max_length or 0)
        place = 0 if cut.limits.truncation == "only_first" else 1
        if over > 0 and (place >= len(texts) or lengths[place] <= over):
            tokens = " and ".join(map(str, lengths))
            return (
                f"row {number} ({tokens} tokens) is {over} too long for max_length={cut.limits.max_length}, and "
                f"truncation={cut.limits.truncation!r} cannot cut that many; say truncation='longest_first' or a "
                "larger max_length"
            )
    return None
