"""Token ids to rows: special tokens around them, cut to a length, padded. What a tokenizer does without any text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from electra.text.compat.id_decoding import Decoder
from electra.text.encode.encoding import BatchEncoding
from electra.text.encode.padding import Padding, collect, pad_columns, pad_row
from electra.text.encode.tensors import plain, tensor_type_of
from electra.text.encode.truncation import SIDES, Limits, choice, cut_ids, resolve_limits


class Assembler(Decoder):
    """A token table that makes rows of ids.

    `prepare_for_model` and what it stands on are the names of transformers 4 for this, with its results; a call of the
    tokenizer does the same for texts, and is faster.
    """

    model_input_names: list[str] = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012
    model_max_length: int
    padding_side: str
    truncation_side: str

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
        """Pad rows that are encoded already: a mapping of columns, or a list of mappings as a data loader has them.

        Takes lists, arrays or tensors and returns what it was given unless `return_tensors` says otherwise. Columns
        other than the tokenizer's own (labels, for one) are not padded.
        """
        given = collect(encoded_inputs)
        if "input_ids" not in given:
            raise ValueError(f"there are no input_ids to pad, only the columns {list(given) or 'none'}")
        kind = return_tensors or tensor_type_of(given["input_ids"])
        columns = {name: plain(column) for name, column in given.items()}
        limits = self._limits(padding, False, max_length, pad_to_multiple_of, verbose=False)
        fill = self._padding(limits, pad_to_multiple_of, padding_side)
        with_mask = self._wants("attention_mask", return_attention_mask)
        if columns["input_ids"] and not isinstance(columns["input_ids"][0], list):
            return BatchEncoding(pad_row(columns, fill, with_mask), tensor_type=kind)
        return BatchEncoding(pad_columns(columns, fill, with_mask), tensor_type=kind)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens a row gets."""
        return self._backend.num_special_tokens_to_add(pair)

    @property
    def max_len_single_sentence(self) -> int:
        """How many tokens of a single text fit into `model_max_length`."""
        return self.model_max_length - self.num_special_tokens_to_add(False)

    @property
    def max_len_sentences_pair(self) -> int:
        """How many tokens of a pair fit into `model_max_length`."""
        return self.model_max_length - self.num_special_tokens_to_add(True)

    def build_inputs_with_special_tokens(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """`[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]` from ids without special tokens."""
        second = [] if token_ids_1 is None else [*token_ids_1, *self._ids_of("sep_token")]
        return [*self._ids_of("cls_token"), *token_ids_0, *self._ids_of("sep_token"), *second]

    def create_token_type_ids_from_sequences(
        self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
    ) -> list[int]:
        """Token types of what `build_inputs_with_special_tokens` makes: 0 up to the first `[SEP]`, then 1."""
        length = len(self.build_inputs_with_special_tokens(token_ids_0, token_ids_1))
        first = len(self.build_inputs_with_special_tokens(token_ids_0))
        return [0] * first + [1] * (length - first)

    def get_special_tokens_mask(
        self,
        token_ids_0: Sequence[int],
        token_ids_1: Sequence[int] | None = None,
        already_has_special_tokens: bool = False,
    ) -> list[int]:
        """1 for each special token, 0 for the others, in a row that has its special tokens already, or in the row that
        `build_inputs_with_special_tokens` would make."""
        if already_has_special_tokens:
            if token_ids_1 is not None:
                raise ValueError("a row that has its special tokens already is one list; leave token_ids_1 out")
            special = set(self.all_special_ids)
            return [int(int(number) in special) for number in token_ids_0]
        second = None if token_ids_1 is None else [-1] * len(token_ids_1)
        return [int(mark != -1) for mark in self.build_inputs_with_special_tokens([-1] * len(token_ids_0), second)]

    def truncate_sequences(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: str = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """`ids` and `pair_ids` without `num_tokens_to_remove` tokens at `truncation_side`, and what was cut off of one
        text together with the `stride` tokens beside it (nothing where "longest_first" cuts a pair).

        "longest_first" takes from the longer text until both are equally long, then from both. Raises ValueError where
        the text that is to be cut would have nothing left.
        """
        side = choice("truncation_side", self.truncation_side, SIDES)
        return cut_ids(list(ids), pair_ids, num_tokens_to_remove, truncation_strategy, stride, side)

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        prepend_batch_axis: bool = False,
    ) -> BatchEncoding:
        """One row from ids without special tokens; options as in a call of the tokenizer.

        `return_overflowing_tokens` adds `overflowing_tokens`, what was cut off (with `stride` tokens before it) as one
        list, and `num_truncated_tokens`, by how many tokens the row was too long (below 0: how many were free).
        """
        limits = self._limits(padding, truncation, max_length, pad_to_multiple_of, verbose=verbose)
        special = self.num_special_tokens_to_add(pair_ids is not None) if add_special_tokens else 0
        limit = None if limits.truncation == "do_not_truncate" else limits.max_length
        too_many = len(ids) + len(pair_ids or ()) + special - (limit or 0)
        first, second, rest = self.truncate_sequences(
            ids, pair_ids, 0 if limit is None else too_many, limits.truncation, stride
        )
        columns: dict[str, Any] = {}
        if return_overflowing_tokens:
            if limit is None:
                raise ValueError("return_overflowing_tokens needs truncation and a max_length: nothing else is cut off")
            columns = {"overflowing_tokens": rest, "num_truncated_tokens": too_many}
        columns |= self._row(first, second, add_special_tokens)
        if not self._wants("token_type_ids", return_token_type_ids):
            del columns["token_type_ids"]
        if not return_special_tokens_mask:
            del columns["special_tokens_mask"]
        fill = self._padding(limits, pad_to_multiple_of, padding_side)
        columns = pad_row(columns, fill, self._wants("attention_mask", return_attention_mask))
        if return_length:
            columns["length"] = len(columns["input_ids"])
        return BatchEncoding(columns, tensor_type=return_tensors, prepend_batch_axis=prepend_batch_axis)

    def _row(self, first: list[int], second: list[int] | None, add_special_tokens: bool) -> dict[str, list[int]]:
        if add_special_tokens:
            return {
                "input_ids": self.build_inputs_with_special_tokens(first, second),
                "token_type_ids": self.create_token_type_ids_from_sequences(first, second),
                "special_tokens_mask": self.get_special_tokens_mask(first, second),
            }
        ids = [*first, *(second or ())]
        return {"input_ids": ids, "token_type_ids": [0] * len(ids), "special_tokens_mask": [0] * len(ids)}

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

    def _wants(self, column: str, asked: bool | None) -> bool:
        return column in self.model_input_names if asked is None else asked

    def _padding(self, limits: Limits, multiple_of: int | None, side: str | None) -> Padding:
        side = choice("padding_side", side or self.padding_side, SIDES)
        if limits.padding != "do_not_pad" and self.pad_token is None:
            raise ValueError("this tokenizer has no token to pad with; set pad_token to one that is in its vocabulary")
        return Padding(
            limits.padding,
            limits.max_length,
            multiple_of,
            side,
            self.pad_token or "",
            self.pad_token_id or 0,
            self.pad_token_type_id,
        )
