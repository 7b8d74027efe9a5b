"""The order of samples and the random numbers of each: arithmetic on (seed, sample), no state.

Sample number `counter` of a run (step * batch size + place in the batch) is sample `counter % size` of epoch
`counter // size`; an epoch shows every example once, in an order of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.uint64]

ROUNDS = 8


def check_seed(seed: int) -> None:
    """Refuse a seed that does not fit the generators' 64 bits."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed={seed}: a seed is a whole number from 0 to 2**63 - 1")


def samples(counters: npt.ArrayLike, size: int, *, seed: int) -> npt.NDArray[np.int64]:
    """Run-wide sample numbers -> which of `size` examples each of them is: `[N] -> [N]` int64."""
    numbers = np.asarray(counters, dtype=np.int64)
    epochs, places = numbers // size, numbers % size
    chosen = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        chosen[here] = permuted(places[here], size, seed=seed, epoch=int(epoch))
    return chosen


def permuted(places: npt.NDArray[np.int64], size: int, *, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Where a permutation of 0..size-1, keyed by (seed, epoch), puts each place: `[N] -> [N]` int64, in O(N).

    A Feistel network permutes the numbers of an even count of bits; where it leaves 0..size-1 it is applied again
    until it comes back ("cycle walking"), which keeps it one to one. The domain is less than four times as large as
    `size` (8 at least), so this takes a few rounds.
    """
    if len(places) and not 0 <= places.min() <= places.max() < size:
        raise ValueError(f"places must be from 0 to {size - 1}, were {places.min()} to {places.max()}")
    half_bits = max((size - 1).bit_length() + 1, 2) // 2
    # the counter sets these numbers apart from those of sample number `epoch`
    keys = np.random.Philox(key=_key(seed, epoch), counter=_FOR_ORDER).random_raw(ROUNDS)
    chosen = _feistel(places.astype(np.uint64), half_bits, keys)
    while (outside := chosen >= np.uint64(size)).any():
        chosen[outside] = _feistel(chosen[outside], half_bits, keys)
    return chosen.astype(np.int64)


def uniforms(seed: int, counter: int, length: int) -> npt.NDArray[np.float32]:
    """Three numbers in [0, 1) for each token of one sample: `[length, 3]` float32, keyed by (seed, counter).

    They are multiples of 2**-24 of Philox, whose raw numbers are the same on every machine and numpy version. A longer
    sample begins with the numbers of a shorter one.
    """
    return uniforms_of(seed, [counter], [length])


def uniforms_of(seed: int, counters: Sequence[int], lengths: Sequence[int]) -> npt.NDArray[np.float32]:
    """The `uniforms` of several samples after one another: `[sum of lengths, 3]`."""
    generator = np.random.Philox(key=_key(seed, 0))
    state = generator.state  # keyed anew for each sample: four times as fast as a new generator
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
