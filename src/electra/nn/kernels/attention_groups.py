"""Attention of many short sequences on a CPU: sequences of nearly equal length share one kernel call.

A call, with its gradients, costs as much as attention over thousands of pairs of tokens. Where almost every sequence
has a different length, one call for each length took a third of a step of ELECTRA-tiny (benchmarks/LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

PAIRS_FOR_A_CALL = 10_000
"""How many padded pairs of tokens, of all heads, cost as much as another call; measured."""


@dataclass(frozen=True)
class Groups:
    """A ragged batch laid out as several padded grids, one after another, of C cells in all."""

    shapes: tuple[tuple[int, int], ...]
    """For each grid: how many sequences, and the length of the longest."""
    masks: tuple[Tensor | None, ...]
    """For each grid: which keys are tokens, bool [rows, 1, 1, length]; None: all of them."""
    cells: Tensor
    """The token in each cell, int64 [C]; padding cells repeat the sequence's first token."""
    real: Tensor
    """Which cells are not padding, bool [C, 1, 1]."""
    homes: Tensor
    """The cell of each token, int64 [T]."""


@lru_cache(maxsize=16)  # every layer asks for the same batch; pretraining has two networks with their own heads
def groups_of(lengths: tuple[int, ...], heads: int) -> Groups:
    """How to group sequences of these lengths for attention with this many heads."""
    groups = _grouped(lengths, heads)
    shapes = tuple((len(group), lengths[group[0]]) for group in groups)
    length = torch.tensor(lengths, device="cpu")
    first = length.cumsum(0) - length
    cells, real = [], []
    for group, (_, longest) in zip(groups, shapes, strict=True):
        columns, indices = torch.arange(longest, device="cpu"), torch.tensor(group, device="cpu")
        real.append(columns < length[indices, None])
        cells.append(first[indices, None] + columns * real[-1])
    masks = tuple(None if bool(each.all()) else each[:, None, None] for each in real)
    tokens, is_real = (torch.cat([each.flatten() for each in parts]) for parts in (cells, real))
    homes = length.new_empty(sum(lengths))
    homes[tokens[is_real]] = is_real.nonzero().squeeze(1)
    return Groups(shapes, masks, tokens, is_real[:, None, None], homes)


def attend_in_groups(query: Tensor, key: Tensor, value: Tensor, groups: Groups) -> Tensor:
    """Self-attention inside each sequence, without dropout: query, key, value [T, N, D] -> [T, N, D]."""
    sizes = [rows * length for rows, length in groups.shapes]
    laid_out = (torch.split(_LayOut.apply(t, groups.cells, groups.homes), sizes) for t in (query, key, value))  # type: ignore[no-untyped-call]
    attended = []
    for shape, mask, *parts in zip(groups.shapes, groups.masks, *laid_out, strict=True):
        q, k, v = (t.view(*shape, *t.shape[1:]).transpose(1, 2) for t in parts)
        attended.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(0, 1))
    collected: Tensor = _Collect.apply(torch.cat(attended), groups.cells, groups.homes, groups.real)  # type: ignore[no-untyped-call]
    return collected


def _grouped(lengths: Sequence[int], heads: int) -> list[list[int]]:
    """Numbers of the sequences from long to short, in groups that begin with their longest."""
    groups: list[list[int]] = []
    room = 0  # how much more padding the last group may take before a call of its own is cheaper
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        padding = heads * (lengths[groups[-1][0]] ** 2 - lengths[row] ** 2) if groups else 0
        if not groups or padding > room:
            groups.append([])
            room, padding = PAIRS_FOR_A_CALL, 0
        groups[-1].append(row)
        room -= padding
    return groups


class _LayOut(torch.autograd.Function):
    """Tokens to cells. Padding cells are masked in attention, so that they have no gradient."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, cells: Tensor, homes: Tensor) -> Tensor:
        ctx.homes = homes
        return values.index_select(0, cells)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].index_select(0, ctx.homes), None, None


class _Collect(torch.autograd.Function):
    """Cells to tokens."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, cells: Tensor, homes: Tensor, real: Tensor) -> Tensor:
        ctx.cells, ctx.real = cells, real
        return values.index_select(0, homes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0].index_select(0, ctx.cells) * ctx.real, None, None, None
