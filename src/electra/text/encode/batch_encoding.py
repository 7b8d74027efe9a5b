"""What a tokenizer returns: columns by name, and the mapping from tokens to words and characters."""

from __future__ import annotations

import sys
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from tokenizers import Encoding

from electra.text.encode.call_options import Columns, Padding, choice

if TYPE_CHECKING:
    import torch

TENSOR_TYPES = ("pt", "np")


class CharSpan(NamedTuple):
    """Characters [start, end) of a text."""

    start: int
    end: int


class TokenSpan(NamedTuple):
    """Tokens [start, end) of a row."""

    start: int
    end: int


class BatchEncoding(UserDict[str, Any]):
    """Columns (`input_ids`, `attention_mask`, ...) by name, as keys and as attributes.

    A column is a list for one text, a list of lists for a batch, or a tensor or array [rows, tokens] when tensors were
    asked for. `encoding[0]` is the first row's `tokenizers.Encoding`. Where a method takes a row and a position, the
    row can be left out and is then the first.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        encoding: Encoding | Sequence[Encoding] | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
        n_sequences: int | None = None,
    ) -> None:
        super().__init__(data)
        self._encodings = [encoding] if isinstance(encoding, Encoding) else encoding
        if n_sequences is None and self._encodings:
            n_sequences = self._encodings[0].n_sequences
        self._n_sequences = n_sequences
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            return self.data[item]
        if self._encodings is not None:
            return self._encodings[item]
        if isinstance(item, slice):
            return {name: column[item] for name, column in self.data.items()}
        raise KeyError(f"{item!r}: without token information only a column's name or a slice of rows can be asked for")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "data":  # copy and pickle ask before there is any data
            raise AttributeError(name)
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"there is no column {name!r}; there are {', '.join(self.data) or 'none'}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "encodings": self._encodings, "n_sequences": self._n_sequences}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.data = state["data"]
        self._encodings = state["encodings"]
        self._n_sequences = state["n_sequences"]

    @property
    def n_sequences(self) -> int | None:
        """1 for single texts, 2 for pairs, None when not known."""
        return self._n_sequences

    @property
    def is_fast(self) -> bool:
        """Whether the mapping to words and characters is known."""
        return self._encodings is not None

    @property
    def encodings(self) -> Sequence[Encoding] | None:
        return self._encodings

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row as strings."""
        return self._row(batch_index).tokens

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 or 1, the text of the pair that it comes from; None for special tokens."""
        return self._row(batch_index).sequence_ids

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the number of its word in its text; None for special tokens."""
        return self._row(batch_index).word_ids

    def words(self, batch_index: int = 0) -> list[int | None]:
        """`word_ids` under its older name."""
        return self.word_ids(batch_index)

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        row, token = self._token(batch_or_token_index, token_index)
        return row.token_to_sequence(token)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The number of the word that a token belongs to, or None for a special token."""
        row, token = self._token(batch_or_token_index, token_index)
        return row.token_to_word(token)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters of the text that a token covers, or None for a special token."""
        row, token = self._token(batch_or_token_index, token_index)
        span = row.token_to_chars(token)
        return None if span is None else CharSpan(*span)

    def word_to_tokens(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> TokenSpan | None:
        """The tokens of a word, or None where the row does not hold it. `sequence_index` 1: of a pair's second text."""
        row, word = self._place(batch_or_word_index, word_index)
        span = row.word_to_tokens(word, sequence_index)
        return None if span is None else TokenSpan(*span)

    def word_to_chars(
        self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> CharSpan:
        """The characters of a word. Raises ValueError when the row does not hold that word."""
        row, word = self._place(batch_or_word_index, word_index)
        span = row.word_to_chars(word, sequence_index)
        if span is None:
            raise ValueError(f"the row has no word {word} in its text {sequence_index}")
        return CharSpan(*span)

    def char_to_token(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The token that covers a character, or None (a space, or a character that was cut off)."""
        row, character = self._place(batch_or_char_index, char_index)
        return row.char_to_token(character, sequence_index)

    def char_to_word(
        self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The number of the word that holds a character, or None."""
        row, character = self._place(batch_or_char_index, char_index)
        return row.char_to_word(character, sequence_index)

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> BatchEncoding:
        """Make every column a tensor ("pt", int64) or array ("np", int64), in place. None changes nothing.

        Raises ValueError for columns whose rows differ in length with "pt".
        """
        if tensor_type is not None:
            for name, column in self.data.items():
                self.data[name] = to_tensor([column] if prepend_batch_axis else column, tensor_type, name)
        return self

    def to(self, device: str | int | torch.device, *, non_blocking: bool = False) -> BatchEncoding:
        """Move every tensor to `device`, in place; other columns stay as they are."""
        self.data = {
            name: column.to(device=device, non_blocking=non_blocking) if hasattr(column, "to") else column
            for name, column in self.data.items()
        }
        return self

    def _row(self, batch_index: int) -> Encoding:
        if not self._encodings:
            raise ValueError("tokens, words and characters are known only for what a tokenizer has just encoded")
        try:
            return self._encodings[batch_index]
        except IndexError:
            raise IndexError(f"there is no row {batch_index}; there are {len(self._encodings)}") from None

    def _row_and_position(self, row_or_position: int, position: int | None) -> tuple[Encoding, int]:
        return (self._row(0), row_or_position) if position is None else (self._row(row_or_position), position)

    def _place(self, row_or_place: int, place: int | None) -> tuple[Encoding, int]:
        """A row, and the number of a word or character of its text."""
        row, number = self._row_and_position(row_or_place, place)
        if number < 0:
            raise ValueError(f"words and characters are counted from 0; {number} is not allowed")
        return row, number

    def _token(self, row_or_token: int, token: int | None) -> tuple[Encoding, int]:
        """A negative token counts from the end of its row."""
        row, position = self._row_and_position(row_or_token, token)
        return row, position + len(row) if position < 0 else position


def build_batch(
    rows: list[Encoding], samples: list[int], columns: Columns, padding: Padding, tensors: str | None, batched: bool
) -> BatchEncoding:
    """The result of a call.

    Args:
        rows: one encoding for each row of the result; padded in place.
        samples: for each row the number of its text.
        columns: which columns to return.
        padding: how rows are padded.
        tensors: "pt", "np" or None for lists.
        batched: whether the call was for a batch; lists of a single text have no axis of rows.
    """
    _pad(rows, padding)
    made = _columns_of(rows, samples, columns)
    if not batched and tensors is None and not columns.overflow:
        made = {name: column[0] if isinstance(column[0], list) else column for name, column in made.items()}
    return BatchEncoding(made, rows, tensors)


def _pad(rows: list[Encoding], padding: Padding) -> None:
    target = padding.target([len(row) for row in rows])
    if target is None:
        return
    for row in rows:
        row.pad(
            target,
            direction=padding.side,
            pad_id=padding.token_id,
            pad_type_id=padding.type_id,
            pad_token=padding.token,
        )


def _columns_of(rows: list[Encoding], samples: list[int], columns: Columns) -> dict[str, Any]:
    made: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
    if columns.token_type_ids:
        made["token_type_ids"] = [row.type_ids for row in rows]
    if columns.attention_mask:
        made["attention_mask"] = [row.attention_mask for row in rows]
    if columns.special_tokens_mask:
        made["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
    if columns.offsets:
        made["offset_mapping"] = [row.offsets for row in rows]
    if columns.length:
        made["length"] = [len(row) for row in rows]
    if columns.overflow:
        made["overflow_to_sample_mapping"] = samples
    return made


def to_tensor(column: Any, tensor_type: str, name: str) -> Any:
    """A column [rows, tokens, ...] of whole numbers as an int64 tensor ("pt") or array ("np").

    What is a tensor or array of that kind already is returned as it is. Rows of different lengths become an array of
    objects with "np".

    Args:
        column: lists of numbers.
        tensor_type: "pt" or "np".
        name: the column's name, for messages.

    Raises:
        ValueError: rows of different lengths with "pt", or values that are no numbers.
    """
    kind = choice("return_tensors", tensor_type, TENSOR_TYPES)
    if kind == "np":
        return _to_array(column)
    import torch  # only here: lists and arrays need no PyTorch

    if isinstance(column, torch.Tensor):
        return column
    lengths = _row_lengths(column)
    if len(lengths) > 1:
        raise ValueError(
            f"the rows of {name!r} have {min(lengths)} to {max(lengths)} items and do not make one tensor; "
            "pass padding=True, and truncation=True with max_length=... to truncate long rows"
        )
    if _holds_nothing(column):
        return torch.zeros(np.shape(column), dtype=torch.int64)
    try:
        return torch.from_numpy(np.array(column))
    except (TypeError, ValueError) as error:
        raise ValueError(f"the column {name!r} does not hold numbers only and cannot become a tensor") from error


def plain(value: Any) -> Any:
    """Tensors and arrays, also within lists and tuples, as plain lists and numbers."""
    if isinstance(value, (np.ndarray, np.generic)) or is_torch_tensor(value):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value] if value and not isinstance(value[0], int) else list(value)
    return value


def tensor_type_of(value: Any) -> str | None:
    """ "np" or "pt" for what a tensor or array, or a sequence of them, is made of; None for plain numbers."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    if isinstance(value, np.ndarray):
        return "np"
    return "pt" if is_torch_tensor(value) else None


def is_torch_tensor(value: Any) -> bool:
    """Without importing PyTorch: where nobody has imported it, there are no tensors."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _to_array(column: Any) -> Any:
    if isinstance(column, np.ndarray):
        return column
    if len(_row_lengths(column)) > 1:
        rows = np.empty(len(column), dtype=object)
        rows[:] = [np.asarray(row) for row in column]
        return rows
    return np.zeros(np.shape(column), dtype=np.int64) if _holds_nothing(column) else np.array(column)


def _row_lengths(column: Any) -> set[int]:
    if isinstance(column, Sequence) and column and isinstance(column[0], (list, tuple, np.ndarray)):
        return {len(row) for row in column}
    return set()


def _holds_nothing(column: Any) -> bool:
    return isinstance(column, (list, tuple)) and np.size(column) == 0
