"""Order and random numbers are arithmetic on (seed, sample)."""

from __future__ import annotations

import numpy as np
import pytest

from electra.data.dataset.batches import check_seed, permuted, samples, uniforms, uniforms_of


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 1000, 1023, 1024, 1025])
def test_the_permutation_is_one_to_one(size: int) -> None:
    for epoch in range(5):
        assert sorted(permuted(np.arange(size), size, seed=3, epoch=epoch)) == list(range(size))


def test_one_place_of_a_huge_permutation_needs_no_other() -> None:
    places = np.array([0, 10**12, 10**15 - 1])
    together = permuted(places, 10**15, seed=1, epoch=2)
    assert [permuted(places[i : i + 1], 10**15, seed=1, epoch=2)[0] for i in range(3)] == together.tolist()
    assert len(set(together.tolist())) == 3


def test_every_epoch_and_seed_has_its_own_order_that_looks_like_chance() -> None:
    size = 10_000
    orders = [permuted(np.arange(size), size, seed=seed, epoch=epoch) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    for order in orders:
        others = [np.arange(size)] + [other for other in orders if other is not order]
        for other in others:
            assert abs(np.corrcoef(order, other)[0, 1]) < 0.05
            assert (order == other).sum() < 10  # 1 is expected
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.05  # neighbours are parted


def test_all_orders_of_three_occur() -> None:
    orders = [tuple(permuted(np.arange(3), 3, seed=0, epoch=epoch)) for epoch in range(3000)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert min(counts) > 350


def test_samples_wrap_into_the_next_epoch() -> None:
    size, seed = 10, 5
    run = samples(np.arange(3 * size), size, seed=seed)
    for epoch in range(3):
        expected = permuted(np.arange(size), size, seed=seed, epoch=epoch)
        assert run[epoch * size : (epoch + 1) * size].tolist() == expected.tolist()
    assert samples([17, 3, 22], size, seed=seed).tolist() == run[[17, 3, 22]].tolist()


def test_uniforms_follow_from_seed_and_sample_alone() -> None:
    drawn = uniforms(7, 123, 50)
    assert drawn.shape == (50, 3)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, uniforms(7, 123, 50))
    assert np.array_equal(drawn, uniforms(7, 123, 80)[:50])
    for other in (uniforms(7, 124, 50), uniforms(8, 123, 50), uniforms(123, 7, 50)):
        assert not np.isin(drawn, other).any()


def test_uniforms_of_several_samples_are_those_of_each() -> None:
    counters, lengths = [5, 2**40, 0, 7], [3, 50, 1, 130]
    alone = [np.random.Philox(key=np.array([9, counter], np.uint64)).random_raw(3 * 130) for counter in counters]
    expected = [(raw[: 3 * length] >> np.uint64(40)).reshape(-1, 3) for raw, length in zip(alone, lengths, strict=True)]
    assert np.array_equal(uniforms_of(9, counters, lengths) * 2**24, np.concatenate(expected))


def test_uniforms_are_uniform_from_zero_to_below_one() -> None:
    drawn = np.concatenate([uniforms(0, sample, 128) for sample in range(500)])
    assert drawn.min() >= 0
    assert drawn.max() < 1
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert abs(counts / counts.mean() - 1).max() < 0.05
    assert abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.02


def test_the_numbers_stay_what_they_are() -> None:
    """A run is resumed by another version of the program: these must never change."""
    assert permuted(np.arange(5), 1000, seed=42, epoch=1).tolist() == [899, 675, 65, 440, 100]
    assert (uniforms(42, 7, 1) * 2**24).tolist() == [[10895460, 14845845, 9290113]]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed={seed}"):
        check_seed(seed)
