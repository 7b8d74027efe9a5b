"""Batches of a few fixed sizes: filled up with what counts for nothing, so that one compiled graph takes them all."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from electra.batch import Batch, Layout
from electra.data.dataset.batches import MaskedBatch
from electra.objective.masking import MaskedTokens

ALIGNED = 64
"""Counts of tokens are multiples of this: matrix products are faster so."""


@dataclass(frozen=True)
class Sizes:
    """What batches are filled up to: the first of `tokens` that has room, and multiples of `rows` and `slots`.

    Rows that are left are empty, and cost attention nothing; slots that are left weigh nothing.
    """

    tokens: tuple[int, ...]
    rows: int
    slots: int
    longest: int
    """How long a row of filler may be, and how long the longest row is said to be."""

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int32], *, examples: int, length: int, predictions: int) -> Sizes:
        """Sizes for batches of so many `examples` of a text whose examples have these lengths, `length` at most.

        All batches but one in a thousand have room in the first size, three deviations above the mean; the second one
        is the largest batch that can be.
        """
        most = examples * length
        usual = lengths.mean() * examples + 3 * lengths.std() * examples**0.5
        tokens = {min(most, -(-int(usual) // ALIGNED) * ALIGNED), most}
        return cls(tuple(sorted(tokens)), 2 * examples, predictions * examples, length)


def filled(example: MaskedBatch, sizes: Sizes) -> MaskedBatch:
    """The same with rows of filler behind the text, and unused slots behind the masked ones.

    Losses and gradients are those of the batch as it was, to rounding: `Layout.real` says which tokens count, and an
    unused slot has weight 0. What dropout drops is other, as it draws for the filler too.
    """
    batch, masked = example
    layout = _layout(batch.layout, sizes)
    more = layout.tokens - batch.layout.tokens
    position_ids = torch.cat([batch.position_ids, torch.arange(more) % sizes.longest])
    slots = _multiple(len(masked.positions), sizes.slots) - len(masked.positions)
    return Batch(
        _longer(batch.input_ids, more), _longer(batch.token_type_ids, more), position_ids, layout
    ), MaskedTokens(
        input_ids=_longer(masked.input_ids, more),
        positions=_longer(masked.positions, slots),
        original_ids=_longer(masked.original_ids, slots),
        weights=_longer(masked.weights, slots),
        uniforms=_longer(masked.uniforms, slots),
    )


def _layout(layout: Layout, sizes: Sizes) -> Layout:
    """Rows of filler as long as may be, then empty ones."""
    tokens = next(size for size in (*sizes.tokens, layout.tokens) if size >= layout.tokens)
    whole, rest = divmod(tokens - layout.tokens, sizes.longest)
    lengths = (*layout.lengths, *[sizes.longest] * whole, *[rest] * (rest > 0))
    empty = _multiple(len(lengths), sizes.rows) - len(lengths)
    offsets = torch.tensor((0, *accumulate(lengths), *[tokens] * empty))
    real = torch.arange(tokens) < layout.tokens
    return Layout(None, None, lengths, offsets, tokens, max(sizes.longest, layout.longest), real)


def _multiple(count: int, of: int) -> int:
    """The smallest multiple that is not below the count, and not 0."""
    return max(1, -(-count // of)) * of


def _longer(values: Tensor, by: int) -> Tensor:
    return F.pad(values, (0, by))
