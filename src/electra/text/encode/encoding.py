"""What a tokenizer returns: columns by name, and the way back from tokens to words and characters."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Encoding

from electra.text.encode.tensors import to_tensor

if TYPE_CHECKING:
    import torch


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
        """Whether the way back to words and characters is known."""
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
            raise ValueError(f"words and characters are counted from 0; there is no number {number}")
        return row, number

    def _token(self, row_or_token: int, token: int | None) -> tuple[Encoding, int]:
        """A negative token counts from the end of its row."""
        row, position = self._row_and_position(row_or_token, token)
        return row, position + len(row) if position < 0 else position
