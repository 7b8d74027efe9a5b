"""Attention: the one place where tokens see other tokens, and the one function that chooses a kernel.

On a CPU, a kernel call with its gradients costs as much as attention over thousands of pairs of tokens. Where almost
every sequence has a different length, one call for each took a third of a step of ELECTRA-tiny (benchmarks/LOG.md):
sequences of nearly equal length therefore share one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from electra.batch import Layout
from electra.hardware.torch_internals import REFERENCE_KERNELS, is_instrumented
from electra.nn.kernels.cpu_kernels import attend_with_dropout, uses_fast_dropout


def attend(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Scaled dot-product attention inside each sequence.

    The kernel is chosen from the inputs, for each call:

    | batch  | where                           | kernel                                                        |
    |--------|---------------------------------|---------------------------------------------------------------|
    | padded | anywhere                        | one call over [B, N, L, D]                                    |
    | ragged | GPU, half precision, no dropout | one variable-length call for all sequences                    |
    | ragged | other GPUs; under a compiler    | one call over a padded copy: many small calls would keep the  |
    |        |                                 | device waiting, and one graph has to fit every batch          |
    | ragged | CPU                             | one call for each run of neighbours of equal length;          |
    |        |                                 | `attend_with_dropout` with dropout, `attend_in_groups` in     |
    |        |                                 | training on many short sequences                              |

    `attend_eager` is the reference that all of them equal; with `ELECTRA_REFERENCE_KERNELS=1` it computes everything.

    Args:
        query, key, value: [T, N, D].
        layout: how the T tokens lie in the batch, and the mask of a padded one.
        dropout: probability of dropping an attention weight.
        causal: attend to earlier tokens only.

    Returns:
        [T, N, D]; 0 at tokens behind the last sequence.
    """
    if layout.grid is not None:
        q, k, v = (layout.unflatten(t).transpose(1, 2) for t in (query, key, value))
        bias = kernel_mask(layout.mask, q.dtype)
        return attend_padded(q, k, v, bias, dropout=dropout, causal=causal).transpose(1, 2).flatten(0, 1)
    if _has_varlen_kernel(query, dropout):
        return _attend_varlen(query, key, value, layout, causal)
    if torch.compiler.is_compiling() or query.device.type != "cpu" or REFERENCE_KERNELS:
        return attend_padded_copy(query, key, value, layout, dropout=dropout, causal=causal)
    return _attend_runs(query, key, value, layout, dropout, causal)


def kernel_mask(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """A layout's mask as the kernels take it: bool or float, broadcastable to [B, N, L, S]; nothing is expanded."""
    if mask is None:
        return None
    if mask.dim() == 2:
        mask = mask[:, None, None, :]
    if mask.dtype == torch.bool:
        return mask
    # low enough to mask a key, and high enough that a row without any key does not become NaN
    return mask.to(dtype).clamp(min=torch.finfo(dtype).min / 2)


def attend_padded(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Attention over a padded batch: [B, N, L, D], twice [B, N, S, D] -> [B, N, L, D].

    Causal: the L queries are the last of the S tokens.
    """
    if REFERENCE_KERNELS:
        return attend_eager(q, k, v, mask, dropout=dropout, causal=causal)[0]
    if not causal:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    if mask is None and q.shape[2] == k.shape[2]:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    both = with_causal(mask, q.shape[2], k.shape[2], q)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=both, dropout_p=dropout)


def with_causal(mask: Tensor | None, queries: int, keys: int, like: Tensor) -> Tensor:
    """The mask with later tokens masked too: bool or float, broadcastable to [B, N, L, S]."""
    past = torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril(keys - queries)
    if mask is None:
        return past
    return mask & past if mask.dtype == torch.bool else mask.masked_fill(~past, torch.finfo(like.dtype).min)


def attend_eager(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, dropout: float = 0.0, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """Eager reference of `attend_padded`, and the weights it used (after dropout): [B, N, L, D], [B, N, L, S]."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        mask = with_causal(mask, q.shape[2], k.shape[2], q)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    weights = F.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    return weights @ v, weights


def attend_padded_copy(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Attention over a ragged batch, padded for this call alone: three times [T, N, D] -> [T, N, D].

    The shape of the copy does not depend on how the sequences' lengths are distributed.
    """
    cells, real = layout.cells(query.device)
    q, k, v = (t[cells].transpose(1, 2) for t in (query, key, value))
    attended = attend_padded(q, k, v, real[:, None, None], dropout=dropout, causal=causal)
    token = torch.arange(query.shape[0], device=query.device)
    row = torch.searchsorted(layout.first_tokens(query.device), token, right=True) - 1
    return attended.transpose(1, 2)[row, token - layout.first_tokens(query.device)[row]]


def attend_first(query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, dropout: float = 0.0) -> Tensor:
    """As `attend`, for the first token of each sequence of a ragged batch: [B, N, D], twice [T, N, D] -> [B, N, D]."""
    runs = _runs(layout)
    queries = torch.split(query, [rows for rows, _ in runs])
    sizes = [*(rows * length for rows, length in runs), key.shape[0] - layout.tokens]
    keys, values = (torch.split(t, sizes) for t in (key, value))
    outputs = []
    for run, q, k, v in zip(runs, queries, keys, values, strict=False):
        k, v = (t.view(*run, *t.shape[1:]).transpose(1, 2) for t in (k, v))
        outputs.append(F.scaled_dot_product_attention(q.unsqueeze(2), k, v, dropout_p=dropout).squeeze(2))
    return torch.cat(outputs)


def _runs(layout: Layout) -> list[tuple[int, int]]:
    """Groups of neighbouring sequences of equal length: how many, and how long. Sorted batches have few."""
    return [(len(list(rows)), length) for length, rows in groupby(layout.lengths)]


def _attend_runs(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float, causal: bool) -> Tensor:
    """Ragged batch on a CPU: neighbouring sequences of equal length share a call."""
    runs, padding = _runs(layout), query.shape[0] - layout.tokens
    if uses_fast_dropout(query, dropout) and not causal:
        return attend_with_dropout(query, key, value, runs, dropout)
    if not causal and _may_be_grouped(query, runs, dropout):
        groups = groups_of(layout.ragged_lengths, query.shape[1])
        if 2 * len(groups.shapes) <= len(runs):  # copying pays from half the calls on
            if not padding:
                return attend_in_groups(query, key, value, groups)
            attended = attend_in_groups(query[:-padding], key[:-padding], value[:-padding], groups)
            return torch.cat([attended, query.new_zeros(padding, *query.shape[1:])])
    sizes = [*(rows * length for rows, length in runs), padding]
    outputs = []
    for run, q, k, v in zip(runs, *(torch.split(t, sizes) for t in (query, key, value)), strict=False):
        grids = [t.view(*run, *t.shape[1:]).transpose(1, 2) for t in (q, k, v)]
        attended = F.scaled_dot_product_attention(grids[0], grids[1], grids[2], dropout_p=dropout, is_causal=causal)
        outputs.append(attended.transpose(1, 2).flatten(0, 1))
    if padding:
        outputs.append(query.new_zeros(padding, *query.shape[1:]))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _may_be_grouped(query: Tensor, runs: list[tuple[int, int]], dropout: float) -> bool:
    """Whether sequences may share calls with others of about their length: in training, where many calls are expensive,
    and without tracing or instrumentation.
    """
    trains = torch.is_grad_enabled() and query.requires_grad and len(runs) >= 4
    return trains and dropout == 0.0 and type(query) is Tensor and not is_instrumented()


def _has_varlen_kernel(query: Tensor, dropout: float) -> bool:
    """Whether torch's variable-length kernel takes these: it is for GPUs, half precision and no dropout."""
    half = query.dtype in (torch.float16, torch.bfloat16)
    return query.is_cuda and dropout == 0.0 and half and not REFERENCE_KERNELS


def _attend_varlen(query: Tensor, key: Tensor, value: Tensor, layout: Layout, causal: bool) -> Tensor:
    """Ragged batch on a GPU: one call for all sequences."""
    from torch.nn.attention.varlen import varlen_attn

    assert layout.cumulative_lengths is not None
    offsets, longest = layout.cumulative_lengths.to(query.device, torch.int32), layout.longest
    if causal:
        attended = varlen_attn(query, key, value, offsets, offsets, longest, longest, window_size=(-1, 0))
    else:
        attended = varlen_attn(query, key, value, offsets, offsets, longest, longest)
    assert isinstance(attended, Tensor)
    return attended


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
