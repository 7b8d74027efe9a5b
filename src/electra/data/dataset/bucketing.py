"""Batches padded to a few fixed sizes, so that one compiled graph serves all of them."""

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
"""Numbers of tokens are multiples of this, because matrix products are faster then."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that batches are padded to: the first of `tokens` with room, and multiples of `rows` and `slots`.

    Unused rows are empty and cost attention nothing; unused slots have weight 0.
    """

    tokens: tuple[int, ...]
    rows: int
    slots: int
    longest: int
    """The longest row of padding, and the longest row that the layout declares."""

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int32], *, examples: int, length: int, predictions: int) -> Sizes:
        """Sizes for batches of `examples` examples with the distribution of these lengths.

        All batches but one in a thousand have room in the first size, three standard deviations above the mean; the
        second one is the largest possible batch.

        Args:
            lengths: `[examples of the text]` int32, in tokens.
            examples: in a batch.
            length: the largest number of tokens in an example.
            predictions: the largest number of masked tokens in an example.
        """
        most = examples * length
        first_size = lengths.mean() * examples + 3 * lengths.std() * examples**0.5
        tokens = {min(most, -(-int(first_size) // ALIGNED) * ALIGNED), most}
        return cls(tuple(sorted(tokens)), 2 * examples, predictions * examples, length)


def pad_to_sizes(example: MaskedBatch, sizes: Sizes) -> MaskedBatch:
    """Pad a batch with rows of padding tokens after the text and unused slots after the masked ones.

    Losses and gradients are those of the unpadded batch up to rounding: `Layout.real` marks the tokens that count, and
    an unused slot has weight 0. Dropout masks differ, because padding tokens get random numbers too.
    """
    batch, masked = example
    layout = _layout(batch.layout, sizes)
    more = layout.tokens - batch.layout.tokens
    position_ids = torch.cat([batch.position_ids, torch.arange(more) % sizes.longest])
    slots = _multiple(len(masked.positions), sizes.slots) - len(masked.positions)
    return Batch(
        _padded(batch.input_ids, more), _padded(batch.token_type_ids, more), position_ids, layout
    ), MaskedTokens(
        input_ids=_padded(masked.input_ids, more),
        positions=_padded(masked.positions, slots),
        original_ids=_padded(masked.original_ids, slots),
        weights=_padded(masked.weights, slots),
        uniforms=_padded(masked.uniforms, slots),
    )


def _layout(layout: Layout, sizes: Sizes) -> Layout:
    """Add rows of padding, as long as allowed, then empty rows."""
    tokens = next(size for size in (*sizes.tokens, layout.tokens) if size >= layout.tokens)
    whole, rest = divmod(tokens - layout.tokens, sizes.longest)
    lengths = (*layout.lengths, *[sizes.longest] * whole, *[rest] * (rest > 0))
    empty = _multiple(len(lengths), sizes.rows) - len(lengths)
    offsets = torch.tensor((0, *accumulate(lengths), *[tokens] * empty))
    real = torch.arange(tokens) < layout.tokens
    return Layout(None, None, lengths, offsets, tokens, max(sizes.longest, layout.longest), real)


def _multiple(count: int, of: int) -> int:
    """The smallest positive multiple that is not below the count."""
    return max(1, -(-count // of)) * of


def _padded(values: Tensor, by: int) -> Tensor:
    return F.pad(values, (0, by))
