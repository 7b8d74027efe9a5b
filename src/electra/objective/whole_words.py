"""Whole-word masking: which words the generator has to predict."""

from __future__ import annotations

import torch
from torch import Tensor


def choose_words(
    draws: Tensor, candidate: Tensor, row: Tensor, counts: Tensor, continues: Tensor
) -> tuple[Tensor, Tensor]:
    """Choose as many words of each sequence as fit into its number of tokens.

    In the order of their first tokens' draws, every word is taken that has no more tokens than are left; the others are
    skipped (google-research/bert create_pretraining_data.py, whole word masking). A word longer than the whole number
    would never be chosen: its tokens count as words here, so that text without spaces is masked too.

    Args:
        draws: float32 [T], a random number for each token.
        candidate: bool [T], which tokens may be chosen.
        row: int64 [T], the sequence of each token.
        counts: int64 [B], how many tokens of each sequence to choose.
        continues: bool [T], which tokens belong to the word of the token before; after a token that may not be chosen,
            and at the beginning of a sequence, a token starts a word all the same.

    Returns:
        The positions, int64 [M] in order, and the tokens whose uniforms they use, the same.
    """
    before = candidate.roll(1) & (row == row.roll(1))
    if len(row):
        before[0] = False
    starts = candidate & ~(continues & before)
    word = starts.cumsum(0) - 1
    too_long = _sizes(word, candidate)[word.clamp(min=0)] > counts[row]
    starts |= candidate & too_long
    word = starts.cumsum(0) - 1
    taken = _fitting(draws[starts], row[starts], _sizes(word, candidate), counts)
    chosen = (candidate & taken[word.clamp(min=0)]).nonzero().squeeze(1) if len(taken) else word[:0]
    return chosen, chosen


def _sizes(word: Tensor, candidate: Tensor) -> Tensor:
    """How many tokens each word has: int64 [W], at least one entry."""
    return torch.bincount(word[candidate], minlength=1)


def _fitting(draws: Tensor, row: Tensor, sizes: Tensor, counts: Tensor) -> Tensor:
    """Which words fit, taken one at a time by their draws: draws, row and sizes [W], counts [B] -> bool [W].

    All sequences at once: of the words that still fit, a pass takes those up to where the count is reached; a word that
    is longer than what is then left can never fit again. At most as many passes as words differ in size.
    """
    order = draws.argsort(stable=True)
    order = order[row[order].argsort(stable=True)]
    row, sizes = row[order], sizes[: len(row)][order]
    first = torch.searchsorted(row, torch.arange(len(counts), device=row.device))
    left, taken = counts.clone(), torch.zeros_like(row, dtype=torch.bool)
    pending = sizes <= left[row]
    while pending.any():
        reached = torch.cat([sizes.new_zeros(1), (sizes * pending).cumsum(0)])
        take = pending & (reached[1:] - reached[first][row] <= left[row])
        left.index_add_(0, row[take], -sizes[take])
        taken |= take
        pending = pending & ~take & (sizes <= left[row])
    return torch.zeros_like(taken).index_copy_(0, order, taken)
