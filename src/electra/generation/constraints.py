"""What is wanted of the next token, and what is forbidden: ids [R, n] and their scores [R, V] -> scores [R, V].

A forbidden token's score is -inf. Formulas as in transformers 5.23, so that the same options give the same text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

Biases = tuple[Tensor, Tensor, Tensor]
"""k sequences of m + 1 tokens: how they begin, int64 [k, m], their last tokens [k], and the biases on these [k]."""


def penalise_repetition(ids: Tensor, scores: Tensor, *, penalty: float, padding: Tensor | None = None) -> Tensor:
    """Tokens of the text: a score above 0 divided by the penalty, one below multiplied. (Keskar et al. 2019)

    padding: int64 [R], how many of a row's first columns do not count.
    """
    seen = torch.zeros(scores.shape[0], scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
    if padding is not None:
        columns = torch.arange(ids.shape[1], device=ids.device)
        ids = ids.masked_fill(columns < padding[:, None], scores.shape[1])
    seen.scatter_(1, ids, True)
    penalised = torch.where(scores < 0, scores * penalty, scores / penalty)
    return torch.where(seen[:, :-1], penalised, scores)


def forbid_repeated_ngrams(ids: Tensor, scores: Tensor, *, size: int) -> Tensor:
    """No `size` tokens in a row that the text has already; the padding counts as text."""
    if ids.shape[1] < size:
        return scores
    ngrams = ids.unfold(1, size, 1)  # [R, n - size + 1, size]
    begun = ids[:, ids.shape[1] - size + 1 :]
    continues = (ngrams[..., :-1] == begun[:, None]).all(-1)
    spare = scores.shape[1]
    forbidden = torch.zeros(scores.shape[0], spare + 1, dtype=torch.bool, device=scores.device)
    forbidden.scatter_(1, torch.where(continues, ngrams[..., -1], spare), True)
    return scores.masked_fill(forbidden[:, :-1], -math.inf)


def add_bias(ids: Tensor, scores: Tensor, *, biases: Sequence[Biases]) -> Tensor:
    """A bias on the token that would complete one of some sequences; -inf forbids it."""
    added = torch.zeros_like(scores)
    for begun, last, bias in biases:
        if begun.shape[1] <= ids.shape[1]:
            completes = (ids[:, None, ids.shape[1] - begun.shape[1] :] == begun).all(-1)
            added.index_add_(1, last, torch.where(completes, bias, 0.0).to(added.dtype))
    return scores + added


def group_biases(pairs: Iterable[tuple[Sequence[int], float]], device: torch.device) -> list[Biases]:
    """Sequences and their biases as `add_bias` reads them: those of a length together."""
    by_length: dict[int, list[tuple[Sequence[int], float]]] = {}
    for sequence, bias in pairs:
        by_length.setdefault(len(sequence), []).append((sequence, bias))
    return [
        (
            torch.tensor([list(sequence[:-1]) for sequence, _ in group], dtype=torch.int64, device=device),
            torch.tensor([sequence[-1] for sequence, _ in group], device=device),
            torch.tensor([bias for _, bias in group], dtype=torch.float32, device=device),
        )
        for group in by_length.values()
    ]


def forbid_before(ids: Tensor, scores: Tensor, *, tokens: Sequence[int], length: int) -> Tensor:
    """None of these tokens while the text is shorter than `length`."""
    return forbid(ids, scores, tokens=tokens) if ids.shape[1] < length else scores


def forbid_at(ids: Tensor, scores: Tensor, *, tokens: Sequence[int], length: int) -> Tensor:
    """None of these tokens right after `length` columns."""
    return forbid(ids, scores, tokens=tokens) if ids.shape[1] == length else scores


def forbid(ids: Tensor, scores: Tensor, *, tokens: Sequence[int]) -> Tensor:
    """None of these tokens."""
    return scores.index_fill(1, _known(tokens, scores), -math.inf)


def force_at(ids: Tensor, scores: Tensor, *, tokens: Sequence[int], length: int) -> Tensor:
    """Right after `length` columns none but these tokens."""
    if ids.shape[1] != length:
        return scores
    return torch.full_like(scores, -math.inf).index_fill(1, _known(tokens, scores), 0.0)


def allow_only(ids: Tensor, scores: Tensor, *, allowed: Callable[[int, Tensor], Sequence[int]], beams: int) -> Tensor:
    """The tokens that `allowed(prompt, ids [n])` gives for each row.

    Where all that it allows to a prompt's beams is forbidden already, that is allowed all the same.
    """
    closed = torch.full_like(scores, -math.inf)
    for row in range(ids.shape[0]):
        tokens = allowed(row // beams, ids[row])
        if len(tokens) == 0:
            raise ValueError(f"prefix_allowed_tokens_fn allows no token for prompt {row // beams}: it must allow some")
        closed[row, torch.as_tensor(tokens, device=scores.device)] = 0.0
    left = scores + closed
    nothing = left.amax(-1).isneginf().view(-1, beams).all(-1).repeat_interleave(beams)
    return torch.where(nothing[:, None], closed, left)


def make_finite(ids: Tensor, scores: Tensor) -> Tensor:
    """NaN becomes 0, infinity the largest number."""
    return scores.nan_to_num(0.0)


def favour_the_end(ids: Tensor, scores: Tensor, *, ends: Sequence[int], start: int, factor: float) -> Tensor:
    """From `start` columns on, the end's score grows by its size times (factor ** columns since - 1)."""
    since = ids.shape[1] - start
    if since <= 0:
        return scores
    where = _known(ends, scores)
    end = scores[:, where]
    grown = torch.where(end.isfinite(), end + end.abs() * (factor**since - 1), end)
    return scores.index_copy(1, where, grown)


def normalise(ids: Tensor, scores: Tensor) -> Tensor:
    """Log probabilities."""
    return scores.log_softmax(-1)


def _known(tokens: Sequence[int], scores: Tensor) -> Tensor:
    """Those of the tokens that the vocabulary has: int64."""
    known = sorted({token for token in tokens if 0 <= token < scores.shape[1]})
    return torch.tensor(known, dtype=torch.int64, device=scores.device)
