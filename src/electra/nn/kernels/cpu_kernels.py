"""Faster single operations on CPUs: products by oneDNN, dropout of values, and attention with dropout.

torch leaves float32 products to MKL, which some processors are slow with (`hardware.devices.onednn_is_faster`);
`project` calls the faster library where a layer is nothing but a product. Dropout decides on a value with 16 random
bits, a third of the time of torch's. Attention with dropout is one autograd function for all sequences: torch's CPU
kernel has no dropout, and what torch does instead takes twice the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.batch import Layout
from electra.hardware.devices import onednn_is_faster
from electra.hardware.torch_internals import (
    has_hooks,
    is_batched_gradient,
    is_instrumented,
    onednn_product,
    softmax_backward,
    tracing_state,
)
from electra.nn.activations import Activation

_LEVELS = 2**16
"""16 random bits decide on a value, so that a probability is rounded to a 65,536th."""


def drop(module: nn.Dropout, values: Tensor, layout: Layout) -> Tensor:
    """`module(values)`; for ragged batches on a CPU faster, from other random numbers.

    Padded batches keep torch's dropout, so that a seed gives the same numbers as in transformers.

    Args:
        module: its probability, and whether it is training.
        values: [T, …].
        layout: how the T tokens lie in the batch.

    Returns:
        The values, some of them 0 and the others divided by 1 - probability.
    """
    unmodified = type(module) is nn.Dropout and not has_hooks(module)
    if module.training and layout.grid is None and unmodified and uses_fast_dropout(values, module.p):
        keep = keep_mask(values.numel(), module.p).view(values.shape)
        result: Tensor = _Dropout.apply(values, keep, module.p)  # type: ignore[no-untyped-call]
        return result
    dropped: Tensor = module(values)
    return dropped


def uses_fast_dropout(values: Tensor, probability: float) -> bool:
    """Whether dropout of these values is computed here: on a CPU, without tracing or instrumentation."""
    on_cpu = type(values) is Tensor and values.device.type == "cpu"
    return 0.0 < probability < 1.0 and on_cpu and not is_instrumented()


def keep_mask(count: int, probability: float) -> Tensor:
    """Which of `count` values stay, each with probability 1 - `probability`: bool [count].

    The bits are sampled 64 at a time from torch's generator; torch's own dropout samples 64 for each value.
    """
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None)
    dropped_levels = min(round(probability * _LEVELS), _LEVELS - 1)
    return bits.view(torch.int16)[:count] >= dropped_levels - _LEVELS // 2


class _Dropout(torch.autograd.Function):
    """A value that stays is divided by 1 - probability, the others become 0."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, keep: Tensor, probability: float) -> Tensor:
        ctx.save_for_backward(keep)
        ctx.scale = 1.0 / (1.0 - probability)
        return (values * keep).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (keep,) = gradients, ctx.saved_tensors
        return gradient * keep * ctx.scale, None, None


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


FEWEST_TOKENS = 256
"""Products of fewer rows are left to torch: oneDNN prepares a kernel for every new shape, which takes a millisecond."""


def project(dense: nn.Linear, hidden: Tensor, activation: Activation | None = None) -> Tensor:
    """`activation(dense(hidden))`, by the faster library where nothing depends on how it is computed.

    Args:
        dense: the layer.
        hidden: [T, in], or any shape that ends in `in`.
        activation: applied to the product. None: the product itself.

    Returns:
        [T, out], in the dtype that `dense(hidden)` has.
    """
    if not _is_plain_product(dense, hidden):
        projected: Tensor = dense(hidden)
        return projected if activation is None else activation(projected)
    operands = (hidden, dense.weight, dense.bias)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in operands):
        projected = _Linear.apply(*operands)  # type: ignore[no-untyped-call]
    elif activation is F.gelu:
        return onednn_product(*operands, gelu=True)  # without a gradient the library applies GELU in the same pass
    else:
        projected = onednn_product(*operands)
    return projected if activation is None else activation(projected)


def padding_tokens(hidden: Tensor) -> int:
    """How many tokens to append to these [T, H], so that batches of many sizes have products of few shapes.

    oneDNN keeps a kernel for each shape. A sixteenth of the tokens at most; 0 where `project` leaves the product to
    torch.
    """
    if torch.compiler.is_compiling() or not onednn_is_faster():  # the cheapest questions first
        return 0
    if is_instrumented() or not _is_float32_matrix(hidden):
        return 0
    tokens = hidden.shape[0]
    if tokens < FEWEST_TOKENS:
        return 0
    step = 1 << (tokens.bit_length() - 5)
    return -tokens % step


def _is_plain_product(dense: nn.Linear, hidden: Tensor) -> bool:
    """Whether this call is a product of two float32 matrices on a CPU and nothing else.

    No hook, no adapter, no tracer, no other tensor type, no transform that has to see torch's operations.
    """
    if (
        torch.compiler.is_compiling() or tracing_state() is not None
    ):  # before any comparison, which would become part of it
        return False
    if hidden.dim() != 2 or hidden.shape[0] < FEWEST_TOKENS or not onednn_is_faster():
        return False
    return (
        not is_instrumented()
        and type(dense) is nn.Linear  # not a subclass, which may compute something else
        and type(dense.weight) is nn.Parameter  # not a quantised one
        and _is_float32_matrix(hidden)
        and _is_float32_matrix(dense.weight.data)
        and not has_hooks(dense)
    )


def _is_float32_matrix(values: Tensor) -> bool:
    return type(values) is Tensor and values.dtype == torch.float32 and values.device.type == "cpu"


class _Linear(torch.autograd.Function):
    """The product, and its gradients by the same library."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        needs_hidden, needs_weight, _ = ctx.needs_input_grad
        # a factor is kept only if the gradient of the other one is needed
        ctx.save_for_backward(hidden if needs_weight else None, weight if needs_hidden else None)
        return onednn_product(hidden, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        hidden, weight = ctx.saved_tensors
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # a gradient of this gradient is needed: oneDNN's product has none
            return (
                gradient @ weight if needs_hidden else None,
                gradient.t() @ hidden if needs_weight else None,
                gradient.sum(0) if needs_bias else None,
            )
        return (
            onednn_product(gradient, weight.t(), None) if needs_hidden else None,
            _weight_gradient(gradient, hidden) if needs_weight else None,
            gradient.sum(0) if needs_bias else None,
        )


def _weight_gradient(gradient: Tensor, hidden: Tensor) -> Tensor:
    """gradient^T @ hidden: [T, out], [T, in] -> [out, in]."""
    # oneDNN is faster if the wider of the two sides is the inner one
    if gradient.shape[1] > hidden.shape[1]:
        return onednn_product(hidden.t(), gradient.t(), None).t()
    return onednn_product(gradient.t(), hidden.t(), None)
