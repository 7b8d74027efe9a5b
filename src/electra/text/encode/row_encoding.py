"""The texts of a call, checked, as `tokenizers.Encoding`s: truncated, with the windows that were cut off.

The library itself panics when a window is not longer than the stride, which depends on the data: here such a row gets
the largest stride that fits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tokenizers import Encoding, Tokenizer

from electra.text.backend import is_panic, no_panics
from electra.text.encode.call_options import Cut, check_room


def as_rows(text: Any, text_pair: Any, split_into_words: bool) -> tuple[list[Any], bool]:
    """The rows of a call, and whether it was for a batch.

    A row is a string, a pair of strings, and with `split_into_words` a list of words or a pair of such lists. An empty
    `text_pair` of a single text means none, as in transformers; in a batch it is an empty second text.

    Raises:
        ValueError: something else came; the message names the first such row.
    """
    if not _is_sequence(text) and (split_into_words or not isinstance(text, str)):
        raise ValueError(f"text is {_describe(text)}; {_expected(split_into_words)}")
    batched = _is_sequence(text) and (not split_into_words or (len(text) > 0 and _is_sequence(text[0])))
    if not batched:
        return [_row((text, text_pair) if text_pair else text, "text", split_into_words)], False
    if text_pair is None:
        return [_row(row, f"text[{number}]", split_into_words) for number, row in enumerate(text)], True
    if not _is_sequence(text_pair) or len(text_pair) != len(text):
        came = f"{len(text_pair)} of them" if _is_sequence(text_pair) else _describe(text_pair)
        raise ValueError(f"text is a batch of {len(text)}, so text_pair must be a list of as many; it is {came}")
    return [
        _row((one, two), f"row {number}", split_into_words)
        for number, (one, two) in enumerate(zip(text, text_pair, strict=True))
    ], True


def encode_rows(backend: Tokenizer, rows: list[Any], cut: Cut) -> list[Encoding]:
    """One encoding for each row, whose `overflowing` holds the further windows of a row that was truncated.

    Changes the truncation of `backend` while it runs, so one thread at a time; afterwards there is none.
    """
    if cut.limits.truncation == "do_not_truncate":
        return _encode(backend, rows, cut)
    for pair in {isinstance(row, tuple) for row in rows}:
        margin = backend.num_special_tokens_to_add(False)
        windowed = (2 if pair and cut.limits.truncation == "longest_first" else 1) if cut.overflow else 0
        check_room(cut.limits, cut.stride, _special_tokens(backend, pair, cut), margin, windowed)
    # the stride is a setting of the backend, so rows with the same one are encoded together
    numbers_by_stride = defaultdict(list)
    for number, stride in enumerate(_strides(backend, rows, cut)):
        numbers_by_stride[stride].append(number)
    encodings: dict[int, Encoding] = {}
    try:
        for stride, numbers in numbers_by_stride.items():
            _set_truncation(backend, cut, stride)
            encodings.update(zip(numbers, _encode(backend, [rows[n] for n in numbers], cut), strict=True))
    except ValueError as error:
        backend.no_truncation()  # the message below needs the whole lengths
        raise ValueError(_why_not_cut(backend, rows, cut) or str(error)) from error
    finally:
        backend.no_truncation()
    return [encodings[number] for number in range(len(rows))]


def windows_of(encodings: list[Encoding], overflow: bool) -> tuple[list[Encoding], list[int]]:
    """The rows of the result, and the number of the text that each is of; with `overflow` every window is a row."""
    if not overflow:
        return encodings, list(range(len(encodings)))
    rows, samples = [], []
    for number, encoding in enumerate(encodings):
        windows = [encoding, *encoding.overflowing]
        rows += windows
        samples += [number] * len(windows)
    return rows, samples


def kept_lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts "longest_first" keeps, by the tokenizers library's rule (not token by token)."""
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)


def each_text(texts: Iterable[Any]) -> Iterator[Any]:
    """The texts of an iterable of texts, or of lists of texts."""
    if isinstance(texts, str):
        raise ValueError("text_iterator is a single string: it must be a list of strings, or of lists of strings")
    for one in texts:
        if _is_sequence(one):
            yield from one
        else:
            yield one


# -- encoding ----------------------------------------------------------------------------------------------------------


def _encode(backend: Tokenizer, rows: list[Any], cut: Cut) -> list[Encoding]:
    try:
        return backend.encode_batch(
            rows, is_pretokenized=cut.split_into_words, add_special_tokens=cut.add_special_tokens
        )
    except BaseException as error:  # a panic of the Rust library is no Exception
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise ValueError(_not_unicode(rows) or f"the tokenizers library cannot encode this: {error}") from error


def _set_truncation(backend: Tokenizer, cut: Cut, stride: int) -> None:
    assert cut.limits.max_length is not None
    with no_panics("setting the truncation"):
        backend.enable_truncation(
            max_length=cut.limits.max_length, stride=stride, strategy=cut.limits.truncation, direction=cut.side
        )


def _strides(backend: Tokenizer, rows: list[Any], cut: Cut) -> list[int]:
    """For each row the stride of the call, or the largest below the length of the window that it cuts."""
    strides = [cut.stride] * len(rows)
    pairs = [number for number, row in enumerate(rows) if isinstance(row, tuple)]
    if cut.stride == 0 or not pairs:
        return strides  # single texts: `check_room` has seen to it
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


# -- what is wrong with a row ------------------------------------------------------------------------------------------


def _why_not_cut(backend: Tokenizer, rows: list[Any], cut: Cut) -> str | None:
    """A description of the first row that truncating only one text cannot bring to the length."""
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
                f"truncation={cut.limits.truncation!r} cannot cut that many; use truncation='longest_first' or a "
                "larger max_length"
            )
    return None


def _not_unicode(rows: list[Any]) -> str | None:
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
        return "with is_split_into_words=True it must be a list of words, or a list of such lists for a batch"
    return "it must be a string, a list of strings, or a list of pairs of strings (call list() on anything else)"
