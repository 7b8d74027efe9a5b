"""Attention with dropout over ragged batches on a CPU: one autograd function for all sequences.

torch's CPU kernel has no dropout. What torch does instead takes a dozen small operations and as many gradients for each
sequence, which takes twice the time of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from electra.hardware.torch_internals import is_batched_gradient, softmax_backward
from electra.nn.kernels.dropout import keep_mask

Runs = Sequence[tuple[int, int]]
"""Groups of neighbouring sequences of equal length: how many sequences, and their length."""


def attend_with_dropout(query: Tensor, key: Tensor, value: Tensor, runs: Runs, probability: float) -> Tensor:
    """Self-attention inside each sequence, with dropout of the attention weights.

    Args:
        query, key, value: [T, N, D].
        runs: the sequences in order; T may be larger than their tokens.
        probability: of dropping a weight.

    Returns:
        [T, N, D]; 0 at the tokens behind the last sequence.
    """
    heads = query.shape[1]
    keep = keep_mask(sum(rows * heads * length * length for rows, length in runs), probability)
    attended: Tensor = _AttentionWithDropout.apply(query, key, value, keep, runs, probability)  # type: ignore[no-untyped-call]
    return attended


def reference_attention_with_dropout(
    query: Tensor, key: Tensor, value: Tensor, keep: Tensor, runs: Runs, probability: float
) -> Tensor:
    """Eager reference implementation, from operations that torch has the gradients of.

    Args:
        query, key, value: [T, N, D].
        keep: which attention weights stay, bool [W]: [rows, N, length, length] of each run, flat and one after another.
        runs, probability: as in `attend_with_dropout`.
    """
    scale, factor = query.shape[-1] ** -0.5, 1.0 / (1.0 - probability)
    attended = []
    for tokens, weights, rows, length in _slices(runs, query.shape[1]):
        q, k, v = (t[tokens].view(rows, length, *t.shape[1:]).transpose(1, 2) for t in (query, key, value))
        dropped = (q * scale @ k.transpose(-1, -2)).softmax(-1) * keep[weights].view(rows, -1, length, length) * factor
        attended.append((dropped @ v).transpose(1, 2).flatten(0, 1))
    padding = query.shape[0] - sum(rows * length for rows, length in runs)
    return torch.cat([*attended, query.new_zeros(padding, *query.shape[1:])])


class _AttentionWithDropout(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, keep: Tensor, runs: Runs, probability: float
    ) -> Tensor:
        scale, factor = query.shape[-1] ** -0.5, 1.0 / (1.0 - probability)
        attended, softmax = torch.zeros_like(query), []
        for tokens, weights, rows, length in _slices(runs, query.shape[1]):
            q, k, v = (_by_head(t[tokens], rows) for t in (query, key, value))
            softmax.append(torch.bmm(q.mul_(scale), k.transpose(1, 2)).softmax(-1))
            dropped = softmax[-1] * keep[weights].view(-1, length, length)
            _copy_back(attended[tokens], torch.bmm(dropped, v).mul_(factor))
        ctx.save_for_backward(query, key, value, keep, *softmax)
        ctx.runs, ctx.probability = runs, probability
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (query, key, value, keep, *softmax) = gradients, ctx.saved_tensors
        runs: Runs = ctx.runs
        twice = torch.is_grad_enabled()  # a gradient of this gradient is needed
        if twice or is_batched_gradient(gradient):
            # the in-place operations below are neither differentiable nor batched: differentiate the reference instead
            with torch.enable_grad():
                q, k, v = inputs = [t if t.requires_grad else t.detach().requires_grad_() for t in (query, key, value)]
                attended = reference_attention_with_dropout(q, k, v, keep, runs, ctx.probability)
            return (*torch.autograd.grad(attended, inputs, gradient, create_graph=twice), None, None, None)
        scale, factor = query.shape[-1] ** -0.5, 1.0 / (1.0 - ctx.probability)
        d_query, d_key, d_value = (torch.zeros_like(t) for t in (query, key, value))
        for (tokens, weights, rows, length), probabilities in zip(_slices(runs, query.shape[1]), softmax, strict=True):
            q, k, v, d_attended = (_by_head(t[tokens], rows) for t in (query, key, value, gradient))
            d_attended.mul_(factor)
            kept = keep[weights].view(-1, length, length)
            _copy_back(d_value[tokens], torch.bmm((probabilities * kept).transpose(1, 2), d_attended))
            d_weights = torch.bmm(d_attended, v.transpose(1, 2)).mul_(kept)
            d_scores = softmax_backward(d_weights, probabilities).mul_(scale)
            _copy_back(d_query[tokens], torch.bmm(d_scores, k))
            _copy_back(d_key[tokens], torch.bmm(d_scores.transpose(1, 2), q))
        return d_query, d_key, d_value, None, None, None


def _slices(runs: Runs, heads: int) -> Iterator[tuple[slice, slice, int, int]]:
    """For each run: its tokens, its attention weights, its sequences and their length."""
    last_tokens = accumulate(rows * length for rows, length in runs)
    last_weights = accumulate(rows * heads * length * length for rows, length in runs)
    for (rows, length), end, last in zip(runs, last_tokens, last_weights, strict=True):
        yield slice(end - rows * length, end), slice(last - rows * heads * length * length, last), rows, length


def _by_head(values: Tensor, rows: int) -> Tensor:
    """The tokens of a run, [rows * length, N, D] -> a copy [rows * N, length, D]."""
    grid = values.view(rows, -1, *values.shape[1:])
    return grid.transpose(1, 2).clone(memory_format=torch.contiguous_format).flatten(0, 1)


def _copy_back(target: Tensor, values: Tensor) -> None:
    """Copy [rows * N, length, D] into [rows * length, N, D]."""
    _, heads, width = target.shape
    length = values.shape[1]
    target.view(-1, length, heads, width).transpose(1, 2).copy_(values.view(-1, heads, length, width))
