"""Prepared examples -> masked batches, each a function of (seed, step) alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import torch

from electra.batch import Batch, Layout
from electra.data.dataset.prefetch import ahead
from electra.data.dataset.sample_order import check_seed, samples, uniforms_of
from electra.data.dataset.shards import Ids, Shards
from electra.objective.masking import MaskedTokens, Masking

MaskedBatch = tuple[Batch, MaskedTokens]


class PretrainingBatches:
    """An endless sequence of batches over prepared examples, which can be entered at any step at no cost.

    Batch `step` holds samples `step * batch_size` to `(step + 1) * batch_size - 1` of the run. Sample number `c` is
    example `c % len(shards)` in the order of epoch `c // len(shards)`, so an epoch may end inside a batch. Order and
    masks follow from `seed` and the sample's number; nothing is remembered from step to step.

    shards: the examples (`[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`, or several such rows after one another).
    batch_size: examples in a batch; at most `len(shards)`, so that none is twice in a batch of one epoch.
    seed: 0 or more.
    masking: which tokens are chosen. special_ids: ids that never are. mask_token_id: what hides a chosen token.
    sep_token_id: the id that ends a segment; what follows the first one has token type 1.
    marked_words: choose whole words, whose boundaries were marked in the text that the shards were made of; a
        `ValueError` where they do not tell.
    """

    def __init__(
        self,
        shards: Shards,
        *,
        batch_size: int,
        seed: int,
        masking: Masking,
        special_ids: Sequence[int],
        mask_token_id: int,
        sep_token_id: int,
        marked_words: bool = False,
    ) -> None:
        check_seed(seed)
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}: it must be 1 or more")
        if len(shards) < batch_size:
            raise ValueError(
                f"{shards.path.name} text: it gives {len(shards)} examples, fewer than one batch of {batch_size}: "
                f"give more text, a smaller batch size, or a smaller length (more, shorter examples)"
            )
        if marked_words:
            shards.word_starts(0)  # refused now if they do not tell
        self.shards = shards
        self.batch_size = batch_size
        self.seed = seed
        self.masking = masking
        self._special_ids = tuple(special_ids)
        self._mask_token_id = mask_token_id
        self._sep_token_id = sep_token_id
        self._marked_words = marked_words

    @property
    def steps_per_epoch(self) -> float:
        """Batches in which every example is seen once."""
        return len(self.shards) / self.batch_size

    def batches(self, start_step: int = 0, *, ahead_steps: int = 4) -> Iterator[MaskedBatch]:
        """The batches from `start_step` on, without end, on the CPU.

        A background thread stays up to `ahead_steps` batches ahead; close the iterator to end it. Its exceptions are
        raised here.
        """
        _check_start(start_step)
        return ahead(lambda: map(self.batch, count(start_step)), items=ahead_steps)

    def parts(
        self,
        start_step: int,
        places: Sequence[range],
        *,
        change: Callable[[MaskedBatch], MaskedBatch] = lambda example: example,
        pinned: bool = False,
        ahead_steps: int = 4,
    ) -> Iterator[list[MaskedBatch]]:
        """As `batches`, of each batch a list of parts: its examples in each of `places`.

        change: what is done with each part. pinned: in page-locked memory, from which an accelerator copies while it
        computes.
        """
        _check_start(start_step)

        def parts_of(step: int) -> list[MaskedBatch]:
            made = [change(self.batch(step, part)) for part in places]
            return [(batch.pin_memory(), masked.pin_memory()) for batch, masked in made] if pinned else made

        return ahead(lambda: map(parts_of, count(start_step)), items=ahead_steps)

    def batch(self, step: int, places: range | None = None) -> MaskedBatch:
        """Batch number `step`, made here and now, or those of its examples that are in `places`, alike to the bit."""
        counters = step * self.batch_size + np.asarray(range(self.batch_size) if places is None else places)
        chosen = samples(counters, len(self.shards), seed=self.seed).tolist()
        examples = [self.shards[number] for number in chosen]
        batch = self._batch(examples)
        draws = uniforms_of(self.seed, counters.tolist(), list(map(len, examples)))
        continues = None
        if self._marked_words:
            continues = torch.from_numpy(~np.concatenate([self.shards.word_starts(number) for number in chosen]))
        return batch, self.masking(batch, torch.from_numpy(draws), self._special_ids, self._mask_token_id, continues)

    def _batch(self, examples: list[Ids]) -> Batch:
        ids = np.concatenate(examples).astype(np.int64)
        layout = Layout.ragged(row_lengths(ids))
        types = token_types(ids, layout.lengths, self._sep_token_id)
        return Batch(torch.from_numpy(ids), torch.from_numpy(types), layout.positions(), layout)


def _check_start(step: int) -> None:
    if step < 0:
        raise ValueError(f"start_step={step}: it must be 0 or more")


def row_lengths(ids: Ids) -> list[int]:
    """`[T]`, examples after one another -> the lengths of their rows.

    A row begins with the id that every example begins with, [CLS]; a packed example has several, and they attend to
    nothing outside themselves.
    """
    starts = np.flatnonzero(ids == ids[0])
    lengths: list[int] = np.diff(starts, append=len(ids)).tolist()
    return lengths


def token_types(ids: Ids, lengths: Sequence[int], sep_token_id: int) -> Ids:
    """`[T]`, rows of `lengths` after one another `-> [T]` int64: 0 up to and with a row's first [SEP], 1 after it."""
    ends = ids == sep_token_id
    ends_before = np.cumsum(ends) - ends
    starts = np.cumsum(lengths) - lengths
    types: Ids = (ends_before > np.repeat(ends_before[starts], lengths)).astype(np.int64)
    return types
