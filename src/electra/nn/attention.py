"""Attention: the one place where a token looks at others, and the one function that chooses a kernel."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor
from torch.nn import functional as F

from electra.batch import Layout
from electra.nn.kernels.attention_dropout import attend_with_dropout
from electra.nn.kernels.attention_groups import attend_in_groups, groups_of
from electra.nn.kernels.dropout import draws_bits
from electra.nn.kernels.linear import watched


def attend(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Scaled dot-product attention inside each row: three times [T, N, D] -> [T, N, D].

    The kernel is chosen from the inputs, per call: grids take one call over [B, N, L, D]; ragged rows on a CPU one call
    for each run of neighbours of equal length (sorted batches have few runs; see `attention_dropout` for dropout and
    `attention_groups` for training on many short rows), on GPUs in half precision and without dropout one
    variable-length call for all. On other devices and with dropout, where many small calls keep the host busy and the
    device waiting, and under a compiler ragged rows take one call over a padded grid, whose shape does not depend on
    how the rows' lengths lie, so that one graph fits every batch.
    `attend_plainly` is the twin that all of them equal.
    """
    if layout.grid is not None:
        q, k, v = (layout.unflatten(t).transpose(1, 2) for t in (query, key, value))
        bias = kernel_mask(layout.mask, q.dtype)
        return attend_grid(q, k, v, bias, dropout=dropout, causal=causal).transpose(1, 2).flatten(0, 1)
    if _has_varlen(query, dropout):
        return _attend_varlen(query, key, value, layout, causal)
    if torch.compiler.is_compiling() or query.device.type != "cpu":
        return attend_padded(query, key, value, layout, dropout=dropout, causal=causal)
    return _attend_runs(query, key, value, layout, dropout, causal)


def kernel_mask(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """A layout's mask as the kernels take it: bool or float, broadcastable to [B, N, L, S]; not materialised."""
    if mask is None:
        return None
    if mask.dim() == 2:
        mask = mask[:, None, None, :]
    if mask.dtype == torch.bool:
        return mask
    # far enough down to count for nothing, and not so far that a row without any key becomes NaN
    return mask.to(dtype).clamp(min=torch.finfo(dtype).min / 2)


def attend_grid(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """[B, N, L, D], twice [B, N, S, D] -> [B, N, L, D]. Causal: the L queries are the last of the S tokens."""
    if not causal:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    if mask is None and q.shape[2] == k.shape[2]:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    both = with_causal(mask, q.shape[2], k.shape[2], q)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=both, dropout_p=dropout)


def with_causal(mask: Tensor | None, queries: int, keys: int, like: Tensor) -> Tensor:
    """The mask with later tokens closed off: bool or float, broadcastable to [B, N, L, S]."""
    past = torch.ones(queries, keys, dtype=torch.bool, device=like.device).tril(keys - queries)
    if mask is None:
        return past
    return mask & past if mask.dtype == torch.bool else mask.masked_fill(~past, torch.finfo(like.dtype).min)


def attend_plainly(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, dropout: float = 0.0, causal: bool = False
) -> tuple[Tensor, Tensor]:
    """As `attend_grid`, written out, with the weights it used (after dropout): [B, N, L, D], [B, N, L, S]."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if causal:
        mask = with_causal(mask, q.shape[2], k.shape[2], q)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    weights = F.dropout(scores.softmax(-1), dropout, training=dropout > 0)
    return weights @ v, weights


def attend_padded(
    query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, dropout: float = 0.0, causal: bool = False
) -> Tensor:
    """Ragged rows, padded to the longest for this call alone: three times [T, N, D] -> [T, N, D]."""
    cells, real = layout.cells(query.device)
    q, k, v = (t[cells].transpose(1, 2) for t in (query, key, value))
    attended = attend_grid(q, k, v, real[:, None, None], dropout=dropout, causal=causal)
    token = torch.arange(query.shape[0], device=query.device)
    row = torch.searchsorted(layout.first_tokens(query.device), token, right=True) - 1
    return attended.transpose(1, 2)[row, token - layout.first_tokens(query.device)[row]]


def attend_first(query: Tensor, key: Tensor, value: Tensor, layout: Layout, *, dropout: float = 0.0) -> Tensor:
    """As `attend` for each ragged row's first token alone: [B, N, D] and twice [T, N, D] -> [B, N, D]."""
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
    """Neighbours of equal length: how many rows, and how long."""
    return [(len(list(rows)), length) for length, rows in groupby(layout.lengths)]


def _attend_runs(query: Tensor, key: Tensor, value: Tensor, layout: Layout, dropout: float, causal: bool) -> Tensor:
    """Ragged rows: neighbours of equal length share one call. Tokens behind the last row become 0."""
    runs, behind = _runs(layout), query.shape[0] - layout.tokens
    if draws_bits(query, dropout) and not causal:
        return attend_with_dropout(query, key, value, runs, dropout)
    if not causal and _may_be_grouped(query, runs, dropout):
        groups = groups_of(layout.ragged_lengths, query.shape[1])
        if 2 * len(groups.shapes) <= len(runs):
            if not behind:
                return attend_in_groups(query, key, value, groups)
            attended = attend_in_groups(query[:-behind], key[:-behind], value[:-behind], groups)
            return torch.cat([attended, query.new_zeros(behind, *query.shape[1:])])
    sizes = [*(rows * length for rows, length in runs), behind]
    outputs = []
    for run, q, k, v in zip(runs, *(torch.split(t, sizes) for t in (query, key, value)), strict=False):
        grids = [t.view(*run, *t.shape[1:]).transpose(1, 2) for t in (q, k, v)]
        attended = F.scaled_dot_product_attention(grids[0], grids[1], grids[2], dropout_p=dropout, is_causal=causal)
        outputs.append(attended.transpose(1, 2).flatten(0, 1))
    if behind:
        outputs.append(query.new_zeros(behind, *query.shape[1:]))
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _may_be_grouped(query: Tensor, runs: list[tuple[int, int]], dropout: float) -> bool:
    """Whether rows may share calls with others of about their length: where calls are dear, with gradients, and where
    nobody looks at torch's own operations.
    """
    wanted = torch.is_grad_enabled() and query.requires_grad and len(runs) >= 4
    return wanted and dropout == 0.0 and type(query) is Tensor and not watched()


def _has_varlen(query: Tensor, dropout: float) -> bool:
    """Whether the variable-length kernel takes these: it is for GPUs, half precision and no dropout."""
    return query.is_cuda and dropout == 0.0 and query.dtype in (torch.float16, torch.bfloat16)


def _attend_varlen(query: Tensor, key: Tensor, value: Tensor, layout: Layout, causal: bool) -> Tensor:
    """Ragged rows on a GPU: one call for all of them."""
    from torch.nn.attention.varlen import varlen_attn

    assert layout.cumulative_lengths is not None
    offsets, longest = layout.cumulative_lengths.to(query.device, torch.int32), layout.longest
    if causal:
        attended = varlen_attn(query, key, value, offsets, offsets, longest, longest, window_size=(-1, 0))
    else:
        attended = varlen_attn(query, key, value, offsets, offsets, longest, longest)
    assert isinstance(attended, Tensor)
    return attended
