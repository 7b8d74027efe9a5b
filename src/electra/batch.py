"""Rows of token ids and how they lie in a batch: what text hands to the network.

Shape letters, used in every docstring of the network:
  T tokens of the batch, all rows after one another     B rows     L columns of a padded grid
  E embedding_size    H hidden_size    N attention heads    D width of one head    I intermediate_size
  V vocabulary    K labels    M masked tokens    S keys that a row attends to
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Row:
    """One sequence as the tokenizer made it."""

    input_ids: Sequence[int]
    token_type_ids: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class Layout:
    """Which of a batch's T tokens belong to which row. Only attention reads it; every other layer is token-wise.

    Either a grid (`grid` = (B, L): row b owns tokens b*L to b*L+L, the padded ones too) or ragged (`grid` is None: rows
    of their own `lengths` after one another, nothing padded).
    `mask`: grids only; bool `[B, L]` (False: nobody attends to this token), or what is to be added to the attention
    scores (float) or kept of them (bool), broadcastable to `[B, N, L, S]`.
    """

    lengths: tuple[int, ...]
    grid: tuple[int, int] | None = None
    mask: Tensor | None = None

    @classmethod
    def of_grid(cls, rows: int, columns: int, mask: Tensor | None = None) -> Layout:
        return cls((columns,) * rows, (rows, columns), mask)

    @classmethod
    def ragged(cls, lengths: Sequence[int]) -> Layout:
        if not lengths or min(lengths) < 1:
            raise ValueError(f"the rows' lengths are {list(lengths)}: a batch needs rows of at least one token")
        return cls(tuple(lengths))

    @property
    def rows(self) -> int:
        return len(self.lengths)

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each row begins, and T: B + 1 numbers."""
        return (0, *accumulate(self.lengths))

    def first_tokens(self, device: torch.device | str | None = None) -> Tensor:
        """Index of each row's first token: int64 [B]."""
        return torch.tensor(self.offsets[:-1], device=device)

    def row_of_token(self, device: torch.device | str | None = None) -> Tensor:
        """Which row each token belongs to: int64 [T]."""
        counts = torch.tensor(self.lengths, device=device)
        return torch.repeat_interleave(torch.arange(self.rows, device=device), counts, output_size=self.tokens)

    def positions(self, device: torch.device | str | None = None) -> Tensor:
        """Each token's column in its row: int64 [T]."""
        starts = torch.repeat_interleave(
            self.first_tokens(device), torch.tensor(self.lengths, device=device), output_size=self.tokens
        )
        return torch.arange(self.tokens, device=device) - starts

    def real_tokens(self) -> Tensor | None:
        """Which tokens are not padding: bool [T]; None: all of them, or unknown (a mask of pairs)."""
        return self.mask.flatten() if self.mask is not None and self.mask.dim() == 2 else None

    def unflatten(self, values: Tensor) -> Tensor:
        """[T, …] -> [B, L, …] for a grid; a ragged batch's values stay as they are."""
        return values if self.grid is None else values.reshape(*self.grid, *values.shape[1:])

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """[T, …] -> the tokens of each row."""
        return torch.split(values, list(self.lengths))

    def to(self, device: torch.device | str) -> Layout:
        return self if self.mask is None else Layout(self.lengths, self.grid, self.mask.to(device, non_blocking=True))


@dataclass(frozen=True)
class Batch:
    """Token ids of several rows, flat: `input_ids`, `token_type_ids`, `position_ids` are int64 [T]."""

    input_ids: Tensor
    token_type_ids: Tensor
    position_ids: Tensor
    layout: Layout

    @classmethod
    def from_rows(cls, rows: Sequence[Row], device: torch.device | str | None = None) -> Batch:
        """A ragged batch, without any padding."""
        layout = Layout.ragged([len(row) for row in rows])
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
        return self.input_ids.device

    def replace_ids(self, input_ids: Tensor) -> Batch:
        """The same rows with other ids [T]."""
        return Batch(input_ids, self.token_type_ids, self.position_ids, self.layout)

    def padded(self, pad_token_id: int = 0) -> tuple[Tensor, Tensor]:
        """The rows as a grid: ids [B, L] and a mask of the real tokens, both int64 [B, L]."""
        ids = torch.nn.utils.rnn.pad_sequence(list(self.layout.split(self.input_ids)), True, pad_token_id)
        lengths = torch.tensor(self.layout.lengths, device=self.device)
        mask = torch.arange(ids.shape[1], device=self.device) < lengths[:, None]
        return ids, mask.long()

    def to(self, device: torch.device | str) -> Batch:
        ids, types, positions = (
            t.to(device, non_blocking=True) for t in (self.input_ids, self.token_type_ids, self.position_ids)
        )
        return Batch(ids, types, positions, self.layout.to(device))
