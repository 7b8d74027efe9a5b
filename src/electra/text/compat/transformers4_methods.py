"""Methods of transformers 4's tokenizers that version 5 dropped or renamed, with their results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tokenizers import AddedToken

from electra.text.compat.absent_names import explain
from electra.text.compat.id_truncation import cut_ids
from electra.text.decode import clean_up_text
from electra.text.encode.batch_encoding import BatchEncoding
from electra.text.encode.call_options import SIDES, choice
from electra.text.encode.padding import pad_row
from electra.text.special_tokens import EXTRA_BEFORE_V5
from electra.text.text_encoder import TextEncoder

if TYPE_CHECKING:
    _Tokenizer = TextEncoder
else:
    _Tokenizer = object


class Transformers4Methods(_Tokenizer):
    """Mixin of ElectraTokenizer: every method is here only for callers that were written for transformers 4."""

    chat_template = None

    def encode_plus(self, text: Any, text_pair: Any = None, **options: Any) -> BatchEncoding:
        """Call the tokenizer."""
        return self(text, text_pair, **options)

    def batch_encode_plus(self, batch_text_or_text_pairs: Sequence[Any], **options: Any) -> BatchEncoding:
        """Call the tokenizer with a list of texts or pairs."""
        return self(batch_text_or_text_pairs, **options)

    # -- rows from ids -------------------------------------------------------------------------------------------------

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

        Args:
            ids: of the first text.
            pair_ids: of the second text.
            return_overflowing_tokens: add `overflowing_tokens`, what was cut off (with `stride` tokens before it) as
                one list, and `num_truncated_tokens`, by how many tokens the row was too long (below 0: how many were
                free).
            prepend_batch_axis: return tensors of one row, [1, tokens].
        """
        limits = self._limits(padding, truncation, max_length, pad_to_multiple_of, verbose=verbose)
        special = self.num_special_tokens_to_add(pair_ids is not None) if add_special_tokens else 0
        limit = None if limits.truncation == "do_not_truncate" else limits.max_length
        excess = len(ids) + len(pair_ids or ()) + special - (limit or 0)
        first, second, rest = self.truncate_sequences(
            ids, pair_ids, 0 if limit is None else excess, limits.truncation, stride
        )
        columns: dict[str, Any] = {}
        if return_overflowing_tokens:
            if limit is None:
                raise ValueError("return_overflowing_tokens needs truncation and a max_length: nothing else is cut off")
            columns = {"overflowing_tokens": rest, "num_truncated_tokens": excess}
        columns |= self._row(first, second, add_special_tokens)
        if not self._returns("token_type_ids", return_token_type_ids):
            del columns["token_type_ids"]
        if not return_special_tokens_mask:
            del columns["special_tokens_mask"]
        fill = self._padding(limits, pad_to_multiple_of, padding_side)
        columns = pad_row(columns, fill, self._returns("attention_mask", return_attention_mask))
        if return_length:
            columns["length"] = len(columns["input_ids"])
        return BatchEncoding(columns, tensor_type=return_tensors, prepend_batch_axis=prepend_batch_axis)

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
        """1 for each special token, 0 for the others.

        Args:
            token_ids_0: ids of a text, or of a row that has its special tokens already.
            token_ids_1: ids of the second text of a pair.
            already_has_special_tokens: mark those of the row `token_ids_0`; otherwise those of the row that
                `build_inputs_with_special_tokens` would make.
        """
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
        """`ids` and `pair_ids` without `num_tokens_to_remove` tokens at `truncation_side`, and what was cut off.

        "longest_first" takes from the longer text until both are equally long, then from both; what it cuts off a pair
        is not returned. Else what was cut off comes with the `stride` tokens beside it.

        Raises:
            ValueError: the text that is to be truncated would have nothing left.
        """
        side = choice("truncation_side", self.truncation_side, SIDES)
        return cut_ids(list(ids), pair_ids, num_tokens_to_remove, truncation_strategy, stride, side)

    def _row(self, first: list[int], second: list[int] | None, add_special_tokens: bool) -> dict[str, list[int]]:
        if add_special_tokens:
            return {
                "input_ids": self.build_inputs_with_special_tokens(first, second),
                "token_type_ids": self.create_token_type_ids_from_sequences(first, second),
                "special_tokens_mask": self.get_special_tokens_mask(first, second),
            }
        ids = [*first, *(second or ())]
        return {"input_ids": ids, "token_type_ids": [0] * len(ids), "special_tokens_mask": [0] * len(ids)}

    @property
    def max_len_single_sentence(self) -> int:
        """How many tokens of a single text fit into `model_max_length`."""
        return self.model_max_length - self.num_special_tokens_to_add(False)

    @property
    def max_len_sentences_pair(self) -> int:
        """How many tokens of a pair fit into `model_max_length`."""
        return self.model_max_length - self.num_special_tokens_to_add(True)

    # -- tokens under older names --------------------------------------------------------------------------------------

    def get_added_vocab(self) -> dict[str, int]:
        """`added_tokens_encoder`."""
        return self.added_tokens_encoder

    @property
    def additional_special_tokens(self) -> list[str]:
        """`extra_special_tokens`."""
        return self.extra_special_tokens

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[str | AddedToken]) -> None:
        self.extra_special_tokens = tokens

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """`extra_special_tokens_ids`."""
        return self.extra_special_tokens_ids

    @property
    def special_tokens_map_extended(self) -> dict[str, AddedToken | list[AddedToken]]:
        """`special_tokens_map` with tokens as AddedToken."""
        roles = zip(self.special_tokens_map, self._described(self.special_tokens_map.values()), strict=True)
        extra = self._described(self.extra_special_tokens)
        return {**dict(roles), **({EXTRA_BEFORE_V5: extra} if extra else {})}

    @property
    def all_special_tokens_extended(self) -> list[AddedToken]:
        """`all_special_tokens` as AddedToken."""
        return self._described(self.all_special_tokens)

    def _described(self, tokens: Iterable[str]) -> list[AddedToken]:
        known = {token.content: token for token in self.added_tokens_decoder.values()}
        return [known.get(token, AddedToken(token)) for token in tokens]  # a role may be an ordinary token's

    # -- what other models have ----------------------------------------------------------------------------------------

    @staticmethod
    def clean_up_tokenization(text: str) -> str:
        """A text without the spaces before punctuation and English contractions."""
        return clean_up_text(text)

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        """Raises ValueError: an ELECTRA model has no chat template."""
        raise ValueError(
            "an ELECTRA model reads a text and does not chat, so it has no chat template; "
            "join the messages to one text and call the tokenizer with it"
        )

    def apply_chat_template(self, conversation: Any, *_: Any, **__: Any) -> str:
        """Raises ValueError: an ELECTRA model has no chat template."""
        return self.get_chat_template()

    if not TYPE_CHECKING:  # a type checker shall report a misspelt name

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(explain(type(self).__name__, name))
