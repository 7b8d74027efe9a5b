"""Attention with dropout over ragged rows on a CPU: all rows in one function, with its gradients written out.

torch's kernel for CPUs has no dropout. What torch does instead takes a dozen small operations and as many gradients for
each row, which is twice the time of this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from electra.nn.kernels.dropout import kept

Runs = Sequence[tuple[int, int]]
"""Neighbouring rows of equal length: how many rows, and how long."""


def attend_with_dropout(query: Tensor, key: Tensor, value: Tensor, runs: Runs, probability: float) -> Tensor:
    """As `attend`, three times [T, N, D] -> [T, N, D]; tokens behind the last run become 0."""
    heads = query.shape[1]
    stay = kept(sum(rows * heads * length * length for rows, length in runs), probability)
    given = (query, key, value, stay, runs, probability)
    attended: Tensor = _AttentionWithDropout.apply(*given)  # type: ignore[no-untyped-call]
    return attended


def written_out(query: Tensor, key: Tensor, value: Tensor, stay: Tensor, runs: Runs, probability: float) -> Tensor:
    """The same from operations that torch has the gradients of.

    stay: which attention weights are kept, bool, those of all runs after one another, [rows, N, length, length] each.
    """
    scale, factor = query.shape[-1] ** -0.5, 1.0 / (1.0 - probability)
    attended = []
    for tokens, weights, rows, length in _places(runs, query.shape[1]):
        q, k, v = (t[tokens].view(rows, length, *t.shape[1:]).transpose(1, 2) for t in (query, key, value))
        dropped = (q * scale @ k.transpose(-1, -2)).softmax(-1) * stay[weights].view(rows, -1, length, length) * factor
        attended.append((dropped @ v).transpose(1, 2).flatten(0, 1))
    behind = query.shape[0] - sum(rows * length for rows, length in runs)
    return torch.cat([*attended, query.new_zeros(behind, *query.shape[1:])])


class _AttentionWithDropout(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, stay: Tensor, runs: Runs, probability: float
    ) -> Tensor:
        scale, factor = query.shape[-1] ** -0.5, 1.0 / (1.0 - probability)
        attended, softmax = torch.zeros_like(query), []
        for tokens, weights, rows, length in _places(runs, query.shape[1]):
            q, k, v = (_by_head(t[tokens], rows) for t in (query, key, value))
            softmax.append(torch.bmm(q.mul_(scale), k.transpose(1, 2)).softmax(-1))
            dropped = softmax[-1] * stay[weights].view(-1, length, length)
            _put(attended[tokens], torch.bmm(dropped, v).mul_(factor))
        ctx.save_for_backward(query, key, value, stay, *softmax)
        ctx.runs, ctx.probability = runs, probability
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (query, key, value, stay, *softmax) = gradients, ctx.saved_tensors
        runs: Runs = ctx.runs
        again = torch.is_grad_enabled()  # a gradient of this gradient is wanted
        if again or torch._C._functorch.is_legacy_batchedtensor(gradient):  # or many gradients at once
            with torch.enable_grad():
                q, k, v = inputs = [t if t.requires_grad else t.detach().requires_grad_() for t in (query, key, value)]
                attended = written_out(q, k, v, stay, runs, ctx.probability)
            return (*torch.autograd.grad(attended, inputs, gradient, create_graph=again), None, None, None)
        scale, factor = query.shape[-1] ** -0.5, 1.0 / (1.0 - ctx.probability)
        of_query, of_key, of_value = (torch.zeros_like(t) for t in (query, key, value))
        for (tokens, weights, rows, length), probabilities in zip(_places(runs, query.shape[1]), softmax, strict=True):
            q, k, v, of_attended = (_by_head(t[tokens], rows) for t in (query, key, value, gradient))
            of_attended.mul_(factor)
            left = stay[weights].view(-1, length, length)
            _put(of_value[tokens], torch.bmm((probabilities * left).transpose(1, 2), of_attended))
            of_weights = torch.bmm(of_attended, v.transpose(1, 2)).mul_(left)
            of_scores = torch._softmax_backward_data(of_weights, probabilities, -1, query.dtype).mul_(scale)
            _put(of_query[tokens], torch.bmm(of_scores, k))
            _put(of_key[tokens], torch.bmm(of_scores.transpose(1, 2), q))
        return of_query, of_key, of_value, None, None, None


def _places(runs: Runs, heads: int) -> Iterator[tuple[slice, slice, int, int]]:
    """Which tokens and which attention weights each run has, its rows and their length."""
    ends = accumulate(rows * length for rows, length in runs)
    last_weights = accumulate(rows * heads * length * length for rows, length in runs)
    for (rows, length), end, last in zip(runs, ends, last_weights, strict=True):
        yield slice(end - rows * length, end), slice(last - rows * heads * length * length, last), rows, length


def _by_head(values: Tensor, rows: int) -> Tensor:
    """The tokens of a run, [rows · length, N, D] -> a copy [rows · N, length, D]."""
    grid = values.view(rows, -1, *values.shape[1:])
    return grid.transpose(1, 2).clone(memory_format=torch.contiguous_format).flatten(0, 1)


def _put(place: Tensor, values: Tensor) -> None:
    """Back from [rows · N, length, D] into [rows · length, N, D]."""
    _, heads, width = place.shape
    length = values.shape[1]
    place.view(-1, length, heads, width).transpose(1, 2).copy_(values.view(-1, heads, length, width))
