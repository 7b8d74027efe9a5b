"""Batches of masked examples, each a function of (seed, step) alone, made ahead by a thread.

Sample number `counter` of a run (step * batch size + place in the batch) is sample `counter % size` of epoch
`counter // size`; an epoch contains every example once, in a new order.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from electra.batch import Batch, Layout
from electra.data.dataset.shards import Ids, Shards
from electra.hardware import devices as hardware
from electra.objective.masking import MaskedTokens, Masking

MaskedBatch = tuple[Batch, MaskedTokens]


class PretrainingBatches:
    """An endless sequence of batches over prepared examples that can start at any step at no cost.

    Batch `step` holds samples `step * batch_size` to `(step + 1) * batch_size - 1` of the run. Sample number `c` is
    example `c % len(shards)` in the order of epoch `c // len(shards)`, so an epoch may end inside a batch. Order and
    masks follow from `seed` and the sample's number; there is no state between steps.

    Args:
        shards: the examples (`[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`, or several such rows, concatenated).
        batch_size: examples in a batch; at most `len(shards)`, so that none is twice in a batch of one epoch.
        seed: 0 or more.
        masking: selects and replaces tokens.
        special_ids: ids that are never masked.
        mask_token_id: the id of [MASK].
        sep_token_id: the id that ends a segment; tokens after the first one of a row have token type 1.
        marked_words: mask whole words, whose boundaries were marked in the text of the shards.

    Raises:
        ValueError: an invalid seed or batch size, too few examples, or shards that do not store word starts.
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
            shards.word_starts(0)  # raises now, not in the first batch, if they are not stored
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
        """Batches in which every example is seen once; a fraction where an epoch ends inside a batch."""
        return len(self.shards) / self.batch_size

    def batches(self, start_step: int = 0, *, ahead_steps: int = 4) -> Iterator[MaskedBatch]:
        """Iterate endlessly over the batches from `start_step`, on the CPU.

        A background thread stays up to `ahead_steps` batches ahead; close the iterator to end it. Its exceptions are
        raised here.

        Args:
            start_step: the first batch's number, from 0.
            ahead_steps: how many batches the thread makes in advance.
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
        """As `batches`, but each batch is a list of parts, one for each range of `places`.

        Args:
            start_step: the first batch's number, from 0.
            places: the indices within a batch of each part's examples.
            change: applied to each part, in the background thread.
            pinned: whether parts are in page-locked memory, from which an accelerator copies while it computes.
            ahead_steps: how many batches the thread makes in advance.
        """
        _check_start(start_step)

        def parts_of(step: int) -> list[MaskedBatch]:
            made = [change(self.batch(step, part)) for part in places]
            return [(batch.pin_memory(), masked.pin_memory()) for batch, masked in made] if pinned else made

        return ahead(lambda: map(parts_of, count(start_step)), items=ahead_steps)

    def batch(self, step: int, places: range | None = None) -> MaskedBatch:
        """Make batch number `step`, or only its examples in `places`, bit-identical to those in the whole batch."""
        counters = step * self.batch_size + np.asarray(range(self.batch_size) if places is None else places)
        indices = samples(counters, len(self.shards), seed=self.seed).tolist()
        examples = [self.shards[number] for number in indices]
        batch = self._batch(examples)
        random_numbers = uniforms_of(self.seed, counters.tolist(), list(map(len, examples)))
        continues = None
        if self._marked_words:
            continues = torch.from_numpy(~np.concatenate([self.shards.word_starts(number) for number in indices]))
        return batch, self.masking(
            batch, torch.from_numpy(random_numbers), self._special_ids, self._mask_token_id, continues
        )

    def _batch(self, examples: list[Ids]) -> Batch:
        ids = np.concatenate(examples).astype(np.int64)
        layout = Layout.ragged(row_lengths(ids))
        types = token_types(ids, layout.lengths, self._sep_token_id)
        return Batch(torch.from_numpy(ids), torch.from_numpy(types), layout.positions(), layout)


def _check_start(step: int) -> None:
    if step < 0:
        raise ValueError(f"start_step={step}: it must be 0 or more")


def row_lengths(ids: Ids) -> list[int]:
    """`[T]`, concatenated examples -> the lengths of their rows.

    A row begins with the id that every example begins with, [CLS]; a packed example has several, and
    attention stays within each.
    """
    starts = np.flatnonzero(ids == ids[0])
    lengths: list[int] = np.diff(starts, append=len(ids)).tolist()
    return lengths


def token_types(ids: Ids, lengths: Sequence[int], sep_token_id: int) -> Ids:
    """`[T]`, concatenated rows of `lengths` `-> [T]` int64: 0 up to and including a row's first [SEP], 1 after it."""
    ends = ids == sep_token_id
    ends_before = np.cumsum(ends) - ends
    starts = np.cumsum(lengths) - lengths
    types: Ids = (ends_before > np.repeat(ends_before[starts], lengths)).astype(np.int64)
    return types


Integers = npt.NDArray[np.uint64]

ROUNDS = 8


def check_seed(seed: int) -> None:
    """Raise ValueError for a seed that does not fit into the generators' 64 bits."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed={seed}: a seed is a whole number from 0 to 2**63 - 1")


def samples(counters: npt.ArrayLike, size: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Run-wide sample numbers -> which of `size` examples each of them is: `[N] -> [N]` int64."""
    numbers = np.asarray(counters, dtype=np.int64)
    epochs, places = numbers // size, numbers % size
    indices = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = permuted(places[here], size, seed=seed, epoch=int(epoch))
    return indices


def permuted(places: npt.NDArray[np.int64], size: int, *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Where a permutation of 0..size-1, keyed by (seed, epoch), puts each place: `[N] -> [N]` int64, in O(N).

    A Feistel network permutes the numbers of an even count of bits; where it leaves 0..size-1 it is applied again
    until the number is inside ("cycle walking"), which keeps the map one to one. The domain is less than four times
    as large as `size` (8 at least), so this takes a few rounds.
    """
    if len(places) and not 0 <= places.min() <= places.max() < size:
        raise ValueError(f"places must be from 0 to {size - 1}, were {places.min()} to {places.max()}")
    half_bits = max((size - 1).bit_length() + 1, 2) // 2
    # a counter of its own keeps these numbers independent of those of sample number `epoch`
    keys = np.random.Philox(key=_key(seed, epoch), counter=_FOR_ORDER).random_raw(ROUNDS)
    permuted_places = _feistel(places.astype(np.uint64), half_bits, keys)
    while (outside := permuted_places >= np.uint64(size)).any():
        permuted_places[outside] = _feistel(permuted_places[outside], half_bits, keys)
    return permuted_places.astype(np.int64)


def uniforms(seed: int, counter: int, length: int) -> npt.NDArray[np.float32]:
    """Three numbers in [0, 1) for each token of one sample: `[length, 3]` float32, keyed by (seed, counter).

    They are multiples of 2**-24 of Philox, whose raw numbers are the same on every machine and numpy version. A longer
    sample begins with the numbers of a shorter one.
    """
    return uniforms_of(seed, [counter], [length])


def uniforms_of(seed: int, counters: Sequence[int], lengths: Sequence[int]) -> npt.NDArray[np.float32]:
    """The `uniforms` of several samples, concatenated: `[sum of lengths, 3]` float32."""
    generator = np.random.Philox(key=_key(seed, 0))
    state = generator.state  # setting the key for each sample is four times as fast as a new generator
    raw = []
    for counter, length in zip(counters, lengths, strict=True):
        state["state"]["key"][1] = counter
        generator.state = state
        raw.append(generator.random_raw(length * 3))
    high = np.concatenate(raw) >> np.uint64(40)
    return (high.astype(np.float32) * np.float32(2.0**-24)).reshape(-1, 3)


_FOR_ORDER = np.array([0, 0, 0, 1], dtype=np.uint64)


def _key(seed: int, number: int) -> Integers:
    return np.array([seed, number], dtype=np.uint64)


def _feistel(numbers: Integers, half_bits: int, keys: Integers) -> Integers:
    """`[N] -> [N]`: one to one on 0..4**half_bits - 1, whatever `_mixed` is."""
    bits, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = numbers >> bits, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << bits) | right


def _mixed(numbers: Integers) -> Integers:
    """Spread every bit over all (the finalizer of SplitMix64, Steele and others 2014); wraps at 64 bits."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """The last entry of the queue: there are no more items, or making one failed."""

    error: BaseException | None = None


def ahead(make: Callable[[], Iterator[Item]], *, items: int = 4) -> Iterator[Item]:
    """Iterate over `make()` in a thread that stays up to `items` items ahead of the consumer.

    The thread starts with the first `next` and has ended when the iterator is closed, dropped or exhausted. An
    exception in the thread is raised here, in its place among the items.
    """
    made: queue.Queue[Item | _End] = queue.Queue(maxsize=items)
    stop = threading.Event()

    def work() -> None:
        try:
            for item in make():
                made.put(item)
                if stop.is_set():
                    return
            made.put(_End())
        except BaseException as error:
            made.put(_End(error))

    thread = hardware.start_thread(work, name="electra-ahead")
    try:
        while not isinstance(item := made.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        while thread.is_alive():  # it may be blocked because the queue is full
            _empty(made)
            thread.join(timeout=0.01)


def _empty(made: queue.Queue[Item]) -> None:
    while True:
        try:
            made.get_nowait()
        except queue.Empty:
            return
