"""One batch for every step, in parts that fit into memory, in an order that follows from the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from electra.data.dataset.sample_order import samples
from electra.tasks.labelled_task import LabelledTask, TrainingBatch, TrainingItem

PART_TOKENS = 16_384  # a step's items are computed in parts of about this many tokens, so that memory stays bounded


def batches(
    items: Sequence[TrainingItem],
    task: LabelledTask[Any],
    steps: int,
    batch_size: int,
    seed: int,
    *,
    first_step: int = 0,
    share: tuple[int, int] = (0, 1),
) -> Iterator[list[TrainingBatch]]:
    """Those of the steps `first_step` to `steps - 1`; every item once an epoch, in an order that follows from the seed.

    A step has so many items, as in Google's code, and not so many tokens; its parts are filled by tokens. Within a step
    the longest come first: rows of equal length share a call of attention. `share`: which of how many processes this
    is; each computes every so manieth of a step's items, so that all have long and short ones.
    """
    rank, count = share
    for step in range(first_step, steps):
        counters = np.arange(step * batch_size, (step + 1) * batch_size)
        chosen = [items[i] for i in samples(counters, len(items), seed=seed)]
        mine = sorted(chosen, key=len, reverse=True)[rank::count]
        yield [task.training_batch(part) for part in _parts(mine)]


def _parts(items: Sequence[TrainingItem]) -> Iterator[list[TrainingItem]]:
    part: list[TrainingItem] = []
    for item in items:
        if part and sum(map(len, part)) + len(item) > PART_TOKENS:
            yield part
            part = []
        part.append(item)
    yield part
