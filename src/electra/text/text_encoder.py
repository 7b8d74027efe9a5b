"""Text to rows of token ids: what a call of the tokenizer does, and padding of what is encoded already."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakSet

from tokenizers import AddedToken, Encoding, Tokenizer

from electra.text.encode.batch_encoding import BatchEncoding, build_batch, plain, tensor_type_of
from electra.text.encode.call_options import (
    NO_LIMIT,
    SIDES,
    Columns,
    Cut,
    Limits,
    Padding,
    choice,
    resolve_limits,
    token_count,
)
from electra.text.encode.padding import collect, pad_columns, pad_row
from electra.text.encode.row_encoding import as_rows, encode_rows, windows_of
from electra.text.special_tokens import TokenTable

logger = logging.getLogger("electra")

MOSTLY_UNKNOWN = 0.5
"""Fraction of tokens; above it the model has nothing to go by, and its answers are no answers to the text."""


class TextEncoder(TokenTable):
    """A token table that makes rows of ids from text.

    Attributes:
        model_max_length: tokens that the model takes; NO_LIMIT where that is not known.
        model_input_names: columns that a call returns by default.
        padding_side, truncation_side: "right" or "left".
        split_special_tokens: treat special tokens in text as ordinary text.
    """

    model_input_names: list[str] = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012
    model_max_length: int = NO_LIMIT
    padding_side: str = "right"
    truncation_side: str = "right"
    split_special_tokens: bool = False

    def __init__(
        self, backend: Tokenizer, roles: Mapping[str, str | AddedToken | None], extra: Iterable[str | AddedToken]
    ) -> None:
        super().__init__(backend, roles, extra)
        self._start()

    def _start(self) -> None:
        """Set what is not part of a pickle."""
        self._warned_too_long = self._warned_unknown = False
        self._lock = threading.Lock()  # truncation is a setting of the backend, not of one call to it
        _ENCODERS.add(self)

    def __getstate__(self) -> dict[str, Any]:
        # equal before and after a call, so that what is keyed by a tokenizer's pickle is found again
        return {name: value for name, value in vars(self).items() if name != "_lock" and "_warned" not in name}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        text_pair_target: Any = None,
        add_special_tokens: bool = True,
        padding: bool | str | None = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        *,
        split_special_tokens: bool | None = None,
    ) -> BatchEncoding:
        """Encode a text, a pair, or a batch (a list) of either.

        Args:
            text: a string, a list of strings or pairs; with `is_split_into_words` lists of words in place of strings.
            text_pair: the second text, or as many second texts.
            text_target, text_pair_target: encoded likewise; their ids are returned as `labels`.
            add_special_tokens: `[CLS] A [SEP] B [SEP]`.
            padding: True or "longest" of the batch, "max_length", False or "do_not_pad".
            truncation: True or "longest_first", "only_first", "only_second", False or "do_not_truncate". A
                `max_length` alone truncates.
            max_length: tokens, the special ones included. Default: the model's.
            stride: tokens that two windows share, with `return_overflowing_tokens`; fewer where a window of a pair is
                not longer than that.
            is_split_into_words: a text is a list of words.
            pad_to_multiple_of: round the padded length up to a multiple of it, in tokens.
            padding_side: "right" or "left". Default: the tokenizer's.
            return_tensors: "pt" or "np": int64 [rows, tokens]. None: lists, for one text without the axis of rows.
            return_token_type_ids, return_attention_mask: Default: if they are in `model_input_names`.
            return_overflowing_tokens: what is cut off becomes further rows; `overflow_to_sample_mapping` has the text
                of each row.
            return_special_tokens_mask: 1 for special tokens.
            return_offsets_mapping: (start, end) characters of each token; (0, 0) for special tokens.
            return_length: tokens of each row.
            verbose: warn of texts that are longer than the model takes.
            tokenizer_kwargs: more of these options by name; they win over those that are given beside them.
            split_special_tokens: treat special tokens in text as ordinary text. Default: the tokenizer's.

        Returns:
            As far as asked for, in this order: `input_ids`, `token_type_ids`, `attention_mask`, `special_tokens_mask`,
            `offset_mapping`, `length`, `overflow_to_sample_mapping`, `labels`.

        Raises:
            ValueError: something is not a text, an option is not allowed, the special tokens overfill `max_length`, or
                windows would not move on.
        """
        if tokenizer_kwargs:
            options = {name: value for name, value in locals().items() if name not in ("self", "tokenizer_kwargs")}
            return self(**{**options, **tokenizer_kwargs})
        limits = self._limits(padding, truncation, max_length, pad_to_multiple_of, verbose=verbose)
        cut = Cut(
            limits,
            side=choice("truncation_side", self.truncation_side, SIDES),
            stride=token_count("stride", stride) or 0 if return_overflowing_tokens else 0,
            overflow=return_overflowing_tokens,
            add_special_tokens=add_special_tokens,
            split_into_words=is_split_into_words,
        )
        columns = Columns(
            self._returns("token_type_ids", return_token_type_ids),
            self._returns("attention_mask", return_attention_mask),
            return_overflowing_tokens,
            return_special_tokens_mask,
            return_offsets_mapping,
            return_length,
        )
        fill = self._padding(limits, pad_to_multiple_of, padding_side)
        split = self.split_special_tokens if split_special_tokens is None else split_special_tokens

        def encode(one: Any, two: Any) -> BatchEncoding:
            rows, batched = as_rows(one, two, is_split_into_words)
            encodings = self._encode_rows(rows, cut, split)
            self._warn_unknown(encodings, rows)
            if verbose and max_length is None:
                self._warn_too_long(encodings)
            windows, samples = windows_of(encodings, columns.overflow)
            return build_batch(windows, samples, columns, fill, return_tensors, batched)

        if text is None and text_target is None:
            raise ValueError("there is nothing to encode: give text (or text_target)")
        encoded = encode(text_target if text is None else text, text_pair_target if text is None else text_pair)
        if text is not None and text_target is not None:
            encoded["labels"] = encode(text_target, text_pair_target)["input_ids"]
        return encoded

    def encode(self, text: Any, text_pair: Any = None, add_special_tokens: bool = True, **options: Any) -> Any:
        """The `input_ids` of a call with the same arguments."""
        return self(text, text_pair, add_special_tokens=add_special_tokens, **options)["input_ids"]

    def tokenize(self, text: Any, pair: Any = None, add_special_tokens: bool = False, **options: Any) -> list[str]:
        """The tokens of a text as strings."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad rows that are encoded already; the options are those of a call.

        Args:
            encoded_inputs: a mapping of columns, or a list of mappings as a data loader has them: lists, arrays or
                tensors, which is also what comes back unless `return_tensors` says otherwise. Columns other than the
                tokenizer's own (labels, for one) are not padded.
        """
        columns = collect(encoded_inputs)
        if "input_ids" not in columns:
            raise ValueError(f"there are no input_ids to pad, only the columns {list(columns) or 'none'}")
        kind = return_tensors or tensor_type_of(columns["input_ids"])
        columns = {name: plain(column) for name, column in columns.items()}
        limits = self._limits(padding, False, max_length, pad_to_multiple_of, verbose=False)
        fill = self._padding(limits, pad_to_multiple_of, padding_side)
        with_mask = self._returns("attention_mask", return_attention_mask)
        is_one_row = columns["input_ids"] and not isinstance(columns["input_ids"][0], list)
        padded = (pad_row if is_one_row else pad_columns)(columns, fill, with_mask)
        return BatchEncoding(padded, tensor_type=kind)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a row gets."""
        return self._backend.num_special_tokens_to_add(pair)

    def _limits(
        self,
        padding: bool | str | None,
        truncation: bool | str | None,
        max_length: int | None,
        pad_to_multiple_of: int | None,
        *,
        verbose: bool,
    ) -> Limits:
        """`resolve_limits` with this tokenizer's length."""
        return resolve_limits(
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            model_max_length=self.model_max_length,
            verbose=verbose,
        )

    def _returns(self, column: str, asked: bool | None) -> bool:
        return column in self.model_input_names if asked is None else asked

    def _padding(self, limits: Limits, multiple_of: int | None, side: str | None) -> Padding:
        side = choice("padding_side", side or self.padding_side, SIDES)
        token = self.pad_token
        if limits.padding != "do_not_pad" and token is None:
            raise ValueError("this tokenizer has no token to pad with; set pad_token to one that is in its vocabulary")
        token_id, type_id = self.pad_token_id or 0, self.pad_token_type_id
        return Padding(limits.padding, limits.max_length, multiple_of, side, token or "", token_id, type_id)

    def _encode_rows(self, rows: list[Any], cut: Cut, split_special_tokens: bool) -> list[Encoding]:
        with self._lock:
            if self._backend.encode_special_tokens != split_special_tokens:
                self._backend.encode_special_tokens = split_special_tokens
            return encode_rows(self._backend, rows, cut)

    def _warn_too_long(self, encodings: list[Encoding]) -> None:
        longest = max(map(len, encodings), default=0)
        if longest > self.model_max_length and not self._warned_too_long:
            self._warned_too_long = True
            logger.warning(
                "a text has %d tokens, the model takes %d; pass truncation=True to truncate such texts",
                longest,
                self.model_max_length,
            )

    def _warn_unknown(self, encodings: list[Encoding], rows: list[Any]) -> None:
        """Warn once if most of a call's text is unknown, as of Korean under an English vocabulary."""
        unknown_id = self.unk_token_id
        if self._warned_unknown or unknown_id is None:
            return
        unknown = sum(encoding.ids.count(unknown_id) for encoding in encodings)
        if not unknown:
            return
        tokens = sum(len(encoding) - sum(encoding.special_tokens_mask) for encoding in encodings)
        if unknown > MOSTLY_UNKNOWN * tokens:
            self._warned_unknown = True
            logger.warning(
                "most of the text is unknown to the tokenizer: %d of %d tokens are %s%s. Use a model whose vocabulary "
                "was made from text like this, or check that the tokenizer is the model's and keeps what its "
                "vocabulary has (do_lower_case, strip_accents)",
                unknown,
                tokens,
                self.unk_token,
                _example(encodings, rows, unknown_id),
            )


def _example(encodings: list[Encoding], rows: list[Any], unknown_id: int) -> str:
    """The first unknown word, where it can be read off the text."""
    for encoding, row in zip(encodings, rows, strict=True):
        text = row[0] if isinstance(row, tuple) else row
        if isinstance(text, str) and unknown_id in encoding.ids:
            at = encoding.ids.index(unknown_id)
            if encoding.sequence_ids[at] == 0:
                start, end = encoding.offsets[at]
                return f", such as {text[start : min(end, start + 40)]!r}"
    return ""


_ENCODERS: WeakSet[TextEncoder] = WeakSet()


class _ForkGuard:
    """Lets no thread encode while the process forks.

    A forked child has only the thread that forked. What another thread was holding at that moment, our lock or the one
    inside the `tokenizers` library, would never be released in the child, and its first call would wait for ever.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()  # two threads that fork would wait for each other's locks
        self._locks: list[threading.Lock] = []

    def before(self) -> None:
        self._one_at_a_time.acquire()
        self._locks = [encoder._lock for encoder in list(_ENCODERS)]
        for lock in self._locks:
            lock.acquire()

    def in_parent(self) -> None:
        for lock in self._locks:
            lock.release()
        self._locks = []
        self._one_at_a_time.release()

    def in_child(self) -> None:
        self.__init__()  # type: ignore[misc]
        for encoder in list(_ENCODERS):
            encoder._lock = threading.Lock()


_GUARD = _ForkGuard()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_GUARD.before, after_in_parent=_GUARD.in_parent, after_in_child=_GUARD.in_child)
