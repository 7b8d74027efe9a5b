"""Masking: which tokens the generator has to predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from electra.batch import Batch
from electra.objective.whole_words import choose_words
from electra.validation import is_number, require, require_count


@dataclass(frozen=True)
class MaskedTokens:
    """M of the T tokens of a batch, masked.

    input_ids: int64 [T], what the generator reads.  positions: int64 [M], the tokens that it has to predict.
    original_ids: int64 [M].  weights: float32 [M], 0 where a slot is unused.
    uniforms: float32 [M] in [0, 1), the random numbers of the generator's samples.
    """

    input_ids: Tensor
    positions: Tensor
    original_ids: Tensor
    weights: Tensor
    uniforms: Tensor

    def to(self, device: torch.device | str) -> MaskedTokens:
        """The same on another device."""
        return MaskedTokens(*(tensor.to(device, non_blocking=True) for tensor in self._tensors()))

    def pin_memory(self) -> MaskedTokens:
        """The same in page-locked memory, from which `to` copies while the accelerator computes."""
        return MaskedTokens(*(tensor.pin_memory() for tensor in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.input_ids, self.positions, self.original_ids, self.weights, self.uniforms


@dataclass(frozen=True)
class Masking:
    """The masking strategy of google-research/electra pretrain/pretrain_helpers.py, mask().

    Of a sequence of n tokens, k = max(1, min(max_predictions, round(fraction * n))) are chosen among those that are
    not special (rounding half to even); each becomes [MASK] with probability `mask_token_probability`, else it stays as
    it is. All k are predicted. Google's code samples the k positions with replacement, so that 7 to 12 % of them are
    sampled twice; here they are distinct unless `with_replacement`.

    Args:
        fraction: of a sequence's tokens that are chosen, above 0 and at most 1.
        mask_token_probability: that a chosen token becomes [MASK], above 0 and at most 1.
        max_predictions: the most tokens of a sequence that are chosen. None: any number.
        with_replacement: sample positions as Google's code does.
        continuations: bool [V], which ids continue the word of the token before (pieces with ##). With it, whole words
            are chosen, as many as fit into the k tokens (`choose_words`).

    Raises:
        ValueError: a value is out of its range, or `continuations` is given with `with_replacement`.
    """

    fraction: float = 0.15
    mask_token_probability: float = 0.85
    max_predictions: int | None = None
    with_replacement: bool = False
    continuations: Tensor | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("fraction", "mask_token_probability"):
            value = getattr(self, name)
            require(is_number(value) and 0 < value <= 1, name, value, "a number above 0 and at most 1")
        if self.max_predictions is not None:
            require_count("max_predictions", self.max_predictions)
        if self.with_replacement and self.continuations is not None:
            raise ValueError("continuations and with_replacement=True: with replacement tokens are chosen, not words")

    def __call__(
        self,
        batch: Batch,
        uniforms: Tensor,
        special_ids: Sequence[int],
        mask_token_id: int,
        continues: Tensor | None = None,
    ) -> MaskedTokens:
        """Choose tokens and mask them. Sequences do not affect one another, so each is masked alike in any batch.

        Args:
            batch: of T tokens.
            uniforms: float32 [T, 3] in [0, 1). Column 0 chooses the positions, column 1 says whether one becomes
                [MASK], column 2 goes to the sampler.
            special_ids: ids that are never chosen.
            mask_token_id: the id of [MASK].
            continues: bool [T], which tokens belong to the word of the token before, for text whose word boundaries are
                known from elsewhere (Chinese, for one). Default: by `continuations` and the tokens' ids.

        Raises:
            ValueError: uniforms or continues has the wrong shape or dtype.
        """
        ids, layout = batch.input_ids, batch.layout
        if uniforms.shape != (len(ids), 3):
            raise ValueError(f"uniforms are {list(uniforms.shape)}: they must be [{len(ids)}, 3], three for each token")
        real = layout.real_tokens()
        candidate = ~torch.isin(ids, torch.tensor(list(special_ids), device=ids.device))
        candidate = candidate if real is None else candidate & real
        row = layout.row_of_token(ids.device)
        counts = self._counts(torch.ones_like(candidate) if real is None else real, row, layout.rows)
        if continues is None and self.continuations is not None:
            continues = self.continuations.to(ids.device)[ids]
        if continues is not None:
            positions, slots = choose_words(uniforms[:, 0], candidate, row, counts, self._checked(continues, ids))
        else:
            choose = self._with_replacement if self.with_replacement else self._distinct
            positions, slots = choose(uniforms[:, 0], candidate, row, counts, layout.first_tokens(ids.device))
        hidden = positions[uniforms[slots, 1] < self.mask_token_probability]
        return MaskedTokens(
            input_ids=ids.index_fill(0, hidden, mask_token_id),
            positions=positions,
            original_ids=ids[positions],
            weights=torch.ones(len(positions), device=ids.device),
            uniforms=uniforms[slots, 2],
        )

    def _checked(self, continues: Tensor, ids: Tensor) -> Tensor:
        if self.with_replacement:
            raise ValueError("continues and with_replacement=True: with replacement tokens are chosen, not words")
        if continues.shape != ids.shape or continues.dtype != torch.bool:
            raise ValueError(
                f"continues is {continues.dtype} {list(continues.shape)}: it must be bool [{len(ids)}], one a token"
            )
        return continues

    def _counts(self, real: Tensor, row: Tensor, rows: int) -> Tensor:
        """How many tokens of each sequence to choose: real bool [T], row int64 [T] -> int64 [B]."""
        lengths = torch.zeros(rows, dtype=torch.int64, device=row.device).index_add_(0, row, real.long())
        counts = (lengths.double() * self.fraction).round().long()
        return counts.clamp(min=1, max=self.max_predictions)

    @staticmethod
    def _distinct(
        draws: Tensor, candidate: Tensor, row: Tensor, counts: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The candidates with the smallest draws of each sequence: positions [M], and whose uniforms they use."""
        # one sort by sequence and draw: draws are multiples of 2**-24, so that the sum is exact
        order = (4 * row.double() + draws.masked_fill(~candidate, 2.0)).argsort(stable=True)
        rank = torch.arange(len(row), device=row.device) - first[row]
        chosen = order[(rank < counts[row]) & candidate[order]].sort().values
        return chosen, chosen

    @staticmethod
    def _with_replacement(
        draws: Tensor, candidate: Tensor, row: Tensor, counts: Tensor, first: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As in Google's code: slot j of a sequence uses its j-th uniforms and may choose a position again."""
        places = candidate.nonzero().squeeze(1)
        available = torch.zeros_like(counts).index_add_(0, row[places], torch.ones_like(places))
        begins = available.cumsum(0) - available
        rank = torch.arange(len(row), device=row.device) - first[row]
        slots = ((rank < counts[row]) & (available[row] > 0)).nonzero().squeeze(1)
        of = row[slots]
        picked = (draws[slots].double() * available[of]).long()
        return places[begins[of] + picked], slots
