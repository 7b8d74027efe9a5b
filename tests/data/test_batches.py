"""A batch is a function of (seed, step) alone, and all that is in it comes from the right samples."""

from __future__ import annotations

import threading
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from electra.data.dataset.batches import MaskedBatch, PretrainingBatches, samples, uniforms
from electra.data.dataset.shards import Shards, ShardWriter
from electra.objective.masking import Masking

PAD, CLS, SEP, MASK = 0, 2, 3, 4
EXAMPLES = 11


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    """Example i consists of tokens 100 * i + 10, 11, 12, …; the odd ones have a second segment."""
    with ShardWriter(tmp_path, "train", dtype="u2") as writer:
        for i in range(EXAMPLES):
            first = [CLS, *range(100 * i + 10, 100 * i + 14 + i), SEP]
            second = [*range(100 * i + 60, 100 * i + 65), SEP] if i % 2 else []
            writer.add(first + second)
        writer.end_document()
    return Shards(tmp_path, "train")


def batches_over(shards: Shards, **changed: Any) -> PretrainingBatches:
    options = {"batch_size": 4, "seed": 3, "masking": Masking(0.3), "special_ids": (PAD, CLS, SEP, MASK)}
    return PretrainingBatches(shards, **{**options, **changed}, mask_token_id=MASK, sep_token_id=SEP)


def tensors(made: MaskedBatch) -> list[torch.Tensor]:
    batch, masked = made
    of_masked = [masked.input_ids, masked.positions, masked.original_ids, masked.weights, masked.uniforms]
    return [batch.input_ids, batch.token_type_ids, batch.position_ids, *of_masked]


def equal(one: MaskedBatch, other: MaskedBatch) -> bool:
    pairs = zip(tensors(one), tensors(other), strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and one[0].layout == other[0].layout


def test_a_batch_holds_the_samples_that_follow_from_seed_and_step(shards: Shards) -> None:
    made = batches_over(shards)
    for step in (0, 2, 5, 1000):  # 2 and 5 lie across the end of an epoch of 11 samples
        batch, masked = made.batch(step)
        numbers = [step * 4 + i for i in range(4)]
        rows = [shards[example] for example in samples(numbers, EXAMPLES, seed=3)]
        assert batch.input_ids.tolist() == np.concatenate(rows).tolist()
        assert batch.input_ids.dtype == torch.int64
        assert batch.layout.lengths == tuple(map(len, rows))
        assert batch.position_ids.tolist() == [place for row in rows for place in range(len(row))]
        draws = torch.from_numpy(np.concatenate([uniforms(3, n, len(r)) for n, r in zip(numbers, rows, strict=True)]))
        again = Masking(0.3)(batch, draws, (PAD, CLS, SEP, MASK), MASK)
        assert equal((batch, masked), (batch, again))


def test_token_types_are_rebuilt_from_the_first_separator(shards: Shards) -> None:
    batch, _ = batches_over(shards, batch_size=EXAMPLES).batch(0)
    split = zip(batch.layout.split(batch.input_ids), batch.layout.split(batch.token_type_ids), strict=True)
    for ids, types in split:
        first = ids.tolist().index(SEP) + 1
        assert types.tolist() == [0] * first + [1] * (len(ids) - first)
    assert 0 < batch.token_type_ids.sum() < len(batch.token_type_ids)


def test_an_epoch_shows_every_example_once_and_the_next_in_another_order(shards: Shards) -> None:
    made = batches_over(shards)
    firsts = [int(row[1]) // 100 for step in range(11) for row in split(made.batch(step))]
    epochs = [firsts[i : i + EXAMPLES] for i in range(0, 44, EXAMPLES)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(EXAMPLES))] * 4
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert made.steps_per_epoch == 2.75


def split(made: MaskedBatch) -> tuple[torch.Tensor, ...]:
    return made[0].layout.split(made[0].input_ids)


def test_masks_differ_from_epoch_to_epoch(shards: Shards) -> None:
    made = batches_over(shards, batch_size=1)
    seen: dict[int, set[tuple[int, ...]]] = {}
    for step in range(5 * EXAMPLES):
        batch, masked = made.batch(step)
        seen.setdefault(int(batch.input_ids[1]) // 100, set()).add(tuple(masked.positions.tolist()))
    assert all(len(masks) > 1 for masks in seen.values())


def test_starting_in_the_middle_is_going_on(shards: Shards) -> None:
    made = batches_over(shards)
    run = list(islice(made.batches(), 9))
    resumed = list(islice(batches_over(shards).batches(5), 4))
    assert all(equal(one, other) for one, other in zip(run[5:], resumed, strict=True))
    assert not equal(run[0], batches_over(shards, seed=4).batch(0))
    assert equal(run[8], made.batch(8))


def test_the_background_thread_ends_and_hands_over_its_errors(shards: Shards, monkeypatch: pytest.MonkeyPatch) -> None:
    made = batches_over(shards)
    running = made.batches()
    next(running)
    assert "electra-ahead" in {thread.name for thread in threading.enumerate()}
    running.close()
    assert "electra-ahead" not in {thread.name for thread in threading.enumerate()}
    monkeypatch.setattr(Shards, "__getitem__", lambda *_: (_ for _ in ()).throw(OSError("the disk is gone")))
    with pytest.raises(OSError, match="the disk is gone"):
        next(made.batches())


def test_what_cannot_be_batched(shards: Shards) -> None:
    with pytest.raises(ValueError, match="gives 11 examples, fewer than one batch of 12: give more text"):
        batches_over(shards, batch_size=12)
    with pytest.raises(ValueError, match="batch_size=0"):
        batches_over(shards, batch_size=0)
    with pytest.raises(ValueError, match="seed=-3"):
        batches_over(shards, seed=-3)
    with pytest.raises(ValueError, match="start_step=-1"):
        batches_over(shards).batches(-1)
