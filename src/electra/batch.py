"""Batches of token ids, padded or ragged: what a tokenizer gives to the network.

Shape letters, used in every docstring of the network:
  T tokens of the batch, its sequences one after another    B sequences (rows)    L columns of a padded batch
  E embedding_size    H hidden_size    N attention heads    D width of one head    I intermediate_size
  V vocabulary    K labels    M masked tokens    S keys that a query may attend to

A padded batch is a grid of B * L cells, the padding included. A ragged batch has no padding: its T tokens are those of
its sequences, of whatever lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One sequence of token ids, and which of its tokens belong to a second text."""

    input_ids: Sequence[int]
    token_type_ids: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class Layout:
    """Which of a batch's T tokens belong to which sequence. Only attention reads it; every other layer is token-wise.

    Either padded (`grid` = (B, L): sequence b has the tokens b * L to b * L + L, padding included) or ragged (`grid` is
    None: sequences of different lengths, one after another). Make it with `of_grid` or `ragged`.

    What the network reads of a ragged layout are a tensor and two numbers, not the tuple of lengths: a compiler
    specialises on the entries of a tuple, and would make a graph for each batch.
    """

    grid: tuple[int, int] | None = None
    """Padded: B and L."""
    mask: Tensor | None = None
    """Padded: bool [B, L], False for padding; or broadcastable to [B, N, L, S], bool (which keys a query attends to) or
    float (added to the attention scores)."""
    ragged_lengths: tuple[int, ...] = ()
    """Ragged: the number of tokens of each sequence."""
    cumulative_lengths: Tensor | None = field(default=None, compare=False)
    """Ragged: the index of each sequence's first token, and T; int64 [B + 1]."""
    tokens: int = 0
    longest: int = 0
    """The number of tokens of the longest sequence; L of a padded batch."""
    real: Tensor | None = field(default=None, compare=False)
    """Ragged: False for padding behind the last sequence, bool [T]; None: there is none."""

    @classmethod
    def of_grid(cls, rows: int, columns: int, mask: Tensor | None = None) -> Layout:
        """The layout of a padded batch of B = `rows` sequences and L = `columns`."""
        return cls((rows, columns), mask, tokens=rows * columns, longest=columns)

    @classmethod
    def ragged(cls, lengths: Sequence[int], device: torch.device | str | None = None) -> Layout:
        """The layout of a ragged batch, from the number of tokens of each sequence.

        Raises:
            ValueError: there is no sequence, or one without tokens.
        """
        if not lengths or min(lengths) < 1:
            raise ValueError(f"the rows' lengths are {list(lengths)}: a batch needs rows of at least one token")
        offsets = torch.tensor((0, *accumulate(lengths)), device=device)
        return cls(None, None, tuple(lengths), offsets, sum(lengths), max(lengths))

    @property
    def lengths(self) -> tuple[int, ...]:
        """The number of tokens of each sequence, padding included: B numbers."""
        return self.ragged_lengths if self.grid is None else (self.grid[1],) * self.grid[0]

    @property
    def rows(self) -> int:
        """The number of sequences, B."""
        return self._boundaries().shape[0] - 1 if self.grid is None else self.grid[0]

    @property
    def offsets(self) -> tuple[int, ...]:
        """The index of each sequence's first token, and T: B + 1 numbers."""
        return (0, *accumulate(self.lengths))

    def first_tokens(self, device: torch.device | str | None = None) -> Tensor:
        """The index of each sequence's first token: int64 [B]."""
        if self.grid is None:
            return self._boundaries(device)[:-1]
        return torch.arange(self.grid[0], device=device) * self.grid[1]

    def row_lengths(self, device: torch.device | str | None = None) -> Tensor:
        """The number of tokens of each sequence: int64 [B]."""
        if self.grid is None:
            return self._boundaries(device).diff()
        return torch.full((self.grid[0],), self.grid[1], device=device)

    def last_tokens(self, device: torch.device | str | None = None) -> Tensor:
        """The index of each sequence's last token: int64 [B]."""
        return self.first_tokens(device) + self.row_lengths(device) - 1

    def row_of_token(self, device: torch.device | str | None = None) -> Tensor:
        """The sequence of each token: int64 [T]."""
        rows = torch.arange(self.rows, device=device)
        return torch.repeat_interleave(rows, self.row_lengths(device), output_size=self.tokens)

    def positions(self, device: torch.device | str | None = None) -> Tensor:
        """Each token's column in its sequence: int64 [T]."""
        starts = torch.repeat_interleave(self.first_tokens(device), self.row_lengths(device), output_size=self.tokens)
        return torch.arange(self.tokens, device=device) - starts

    def real_tokens(self) -> Tensor | None:
        """Which tokens are not padding: bool [T]; None: all of them, or unknown (a mask for each query)."""
        if self.grid is None:
            return self.real
        return self.mask.flatten() if self.mask is not None and self.mask.dim() == 2 else None

    def count_real(self) -> int | Tensor:
        """The number of tokens that are not padding: an int, or int64 [] on their device if they have to be counted."""
        real = self.real_tokens()
        return self.tokens if real is None else real.sum()

    def unflatten(self, values: Tensor) -> Tensor:
        """[T, …] -> [B, L, …] for a padded batch; values of a ragged batch stay as they are."""
        return values if self.grid is None else values.reshape(*self.grid, *values.shape[1:])

    def cells(self, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
        """The rows as a grid, L columns for the longest: which token a cell holds, int64 [B, L], and whether it holds
        one at all, bool [B, L]; one that does not holds its row's first.
        """
        columns = torch.arange(self.longest, device=device)
        real = columns < self.row_lengths(device)[:, None]
        first = self.first_tokens(device)
        if self.real is not None:  # empty rows behind the last token begin at it
            first = torch.minimum(first, self._boundaries(device)[-1] - 1)
        return first[:, None] + columns * real, real

    def pad(self, values: Tensor, fill: float = 0) -> Tensor:
        """[T, …] -> [B, L, …], with L columns for the longest sequence and `fill` behind the end of shorter ones."""
        if self.grid is not None:
            return self.unflatten(values)
        cells, real = self.cells(values.device)
        return values[cells].masked_fill(~real.view(*real.shape, *[1] * (values.dim() - 1)), fill)

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """[T, …] -> the values of each sequence's tokens."""
        return torch.split(values, list(self.lengths))

    def to(self, device: torch.device | str) -> Layout:
        """The same on another device."""
        mask, offsets, real = (
            None if tensor is None else tensor.to(device, non_blocking=True)
            for tensor in (self.mask, self.cumulative_lengths, self.real)
        )
        return replace(self, mask=mask, cumulative_lengths=offsets, real=real)

    def pin_memory(self) -> Layout:
        """The same in page-locked memory."""
        mask, offsets, real = (
            None if tensor is None else tensor.pin_memory()
            for tensor in (self.mask, self.cumulative_lengths, self.real)
        )
        return replace(self, mask=mask, cumulative_lengths=offsets, real=real)

    def _boundaries(self, device: torch.device | str | None = None) -> Tensor:
        assert self.cumulative_lengths is not None, "a layout is made by of_grid or ragged"
        return self.cumulative_lengths if device is None else self.cumulative_lengths.to(device)


@dataclass(frozen=True)
class Batch:
    """Token ids of several sequences: `input_ids`, `token_type_ids`, `position_ids`, int64 [T], and their layout.

    Example:
        >>> from electra import Batch, Row
        >>> batch = Batch.from_rows([Row([101, 2023, 2003, 102]), Row([101, 102])])
        >>> batch.input_ids.tolist(), batch.layout.lengths
        ([101, 2023, 2003, 102, 101, 102], (4, 2))
    """

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    layout: Layout

    @classmethod
    def from_rows(cls, rows: Sequence[Row], device: torch.device | str | None = None) -> Batch:
        """A ragged batch.

        Args:
            rows: the sequences.
            device: of its tensors. Default: torch's default device.

        Raises:
            ValueError: there is no sequence, one is empty, or its ids and types differ in number.
        """
        layout = Layout.ragged([len(row) for row in rows], device)
        types = [t for row in rows for t in (row.token_type_ids or [0] * len(row))]
        if len(types) != layout.tokens:
            raise ValueError("a row's token_type_ids and input_ids must have the same length")
        return cls(
            torch.tensor([i for row in rows for i in row.input_ids], device=device),
            torch.tensor(types, device=device),
            layout.positions(device),
            layout,
        )

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.input_ids.device

    def replace_ids(self, input_ids: Tensor) -> Batch:
        """The same sequences with other ids, int64 [T]."""
        return Batch(input_ids, self.token_type_ids, self.position_ids, self.layout)

    def padded(self, pad_token_id: int = 0) -> tuple[Tensor, Tensor]:
        """As padded tensors: ids, and a mask that is 1 for tokens and 0 for padding, both int64 [B, L]."""
        _, mask = self.layout.cells(self.device)
        return self.layout.pad(self.input_ids, pad_token_id), mask.long()

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        ids, types, positions = (
            t.to(device, non_blocking=True) for t in (self.input_ids, self.token_type_ids, self.position_ids)
        )
        return Batch(ids, types, positions, self.layout.to(device))

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which `to` copies while the accelerator computes."""
        ids, types, positions = (t.pin_memory() for t in (self.input_ids, self.token_type_ids, self.position_ids))
        return Batch(ids, types, positions, self.layout.pin_memory())
