"""Attention of many short rows on a CPU: rows of nearly equal length share a call, and so a few calls do for all.

A call, with its gradients, costs as much as attention over thousands of pairs of tokens. Where almost every row has a
length of its own, calls of one length each were a third of a step of ELECTRA-tiny (benchmarks/LOG.md).
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
"""Pairs of tokens, of all heads, that a group may be padded with before another call is the cheaper way; measured."""


@dataclass(frozen=True)
class Groups:
    """Ragged rows, laid out as some grids after one another; C cells in all."""

    shapes: tuple[tuple[int, int], ...]
    """Of each grid, how many rows, and how long the longest of them is."""
    masks: tuple[Tensor | None, ...]
    """Of each grid, which keys there are, bool [rows, 1, 1, length]; None: all."""
    cells: Tensor
    """Which token each cell holds, int64 [C]; one behind its row's end the row's first."""
    real: Tensor
    """Whether a cell holds a token at all, bool [C, 1, 1]."""
    homes: Tensor
    """Which cell holds each token, int64 [T]."""


@lru_cache(maxsize=16)  # all layers of a network ask, and at most the two networks of pretraining
def groups_of(lengths: tuple[int, ...], heads: int) -> Groups:
    """How rows of these lengths are best put together for attention of so many heads."""
    rows = _together(lengths, heads)
    shapes = tuple((len(group), lengths[group[0]]) for group in rows)
    length = torch.tensor(lengths, device="cpu")
    first = length.cumsum(0) - length
    cells, real = [], []
    for group, (_, longest) in zip(rows, shapes, strict=True):
        columns, chosen = torch.arange(longest, device="cpu"), torch.tensor(group, device="cpu")
        real.append(columns < length[chosen, None])
        cells.append(first[chosen, None] + columns * real[-1])
    masks = tuple(None if bool(each.all()) else each[:, None, None] for each in real)
    held, is_held = (torch.cat([each.flatten() for each in parts]) for parts in (cells, real))
    homes = length.new_empty(sum(lengths))
    homes[held[is_held]] = is_held.nonzero().squeeze(1)
    return Groups(shapes, masks, held, is_held[:, None, None], homes)


def attend_in_groups(query: Tensor, key: Tensor, value: Tensor, groups: Groups) -> Tensor:
    """As `attend` without dropout: three times [T, N, D] -> [T, N, D]."""
    sizes = [rows * length for rows, length in groups.shapes]
    laid_out = (torch.split(_LayOut.apply(t, groups.cells, groups.homes), sizes) for t in (query, key, value))  # type: ignore[no-untyped-call]
    attended = []
    for shape, mask, *parts in zip(groups.shapes, groups.masks, *laid_out, strict=True):
        q, k, v = (t.view(*shape, *t.shape[1:]).transpose(1, 2) for t in parts)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended.append(found.transpose(1, 2).flatten(0, 1))
    collected: Tensor = _Collect.apply(torch.cat(attended), groups.cells, groups.homes, groups.real)  # type: ignore[no-untyped-call]
    return collected


def _together(lengths: Sequence[int], heads: int) -> list[list[int]]:
    """The rows from long to short, in groups that begin with their longest."""
    groups: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        padding = heads * (lengths[groups[-1][0]] ** 2 - lengths[row] ** 2) if groups else 0
        if not groups or padding > room:
            groups.append([])
            room, padding = PAIRS_FOR_A_CALL, 0
        groups[-1].append(row)
        room -= padding
    return groups


class _LayOut(torch.autograd.Function):
    """Tokens to cells. What a cell behind a row's end holds is masked, so that it has no gradient."""

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
