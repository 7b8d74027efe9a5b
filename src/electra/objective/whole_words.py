"""Which words the generator has to guess, where it guesses whole ones."""

from __future__ import annotations

import torch
from torch import Tensor


def choose_words(
    draws: Tensor, candidate: Tensor, row: Tensor, counts: Tensor, continues: Tensor
) -> tuple[Tensor, Tensor]:
    """As many words of each row as fit into its count of tokens: positions [M] in order, and whose uniforms they use.

    In the order of their first tokens' draws, every word is taken that has no more tokens than are left of the count;
    the others are passed over (google-research/bert create_pretraining_data.py, whole word masking). A word longer than
    the whole count would never be guessed: its tokens are words of their own here, so that text without spaces is
    masked too.

    draws: float32 [T].  candidate: bool [T], what may be chosen.  row: int64 [T].  counts: int64 [B].
    continues: bool [T], tokens that belong to the word of the token before; after one that may not be chosen, or at the
    beginning of a row, it begins a word all the same.
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
    """How many tokens each word has: int64 [W], one more than none."""
    return torch.bincount(word[candidate], minlength=1)


def _fitting(draws: Tensor, row: Tensor, sizes: Tensor, counts: Tensor) -> Tensor:
    """Words [W] of rows [W], one at a time by their draws, as long as they fit: bool [W].

    All rows at once: of the words that still fit, a pass takes those up to where the count is reached; what is longer
    than what is then left can never fit again. As many passes as words differ in size, at most.
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
