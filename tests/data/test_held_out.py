"""Which documents are held out."""

from __future__ import annotations

from itertools import pairwise

import pytest

from electra.data.corpus.held_out import holding_out


@pytest.mark.parametrize("period", [2, 3, 4, 7, 10, 20, 33, 99, 100, 128, 200, 1000, 12345])
def test_a_reciprocal_holds_out_every_kth_document_from_the_middle_of_the_first_k(period: int) -> None:
    """Which is what was held out before other shares were exact: prepared text stays the same."""
    is_held_out = holding_out(1 / period)
    assert [number for number in range(5 * period) if is_held_out(number)] == [
        number for number in range(5 * period) if number % period == period // 2
    ]


@pytest.mark.parametrize("fraction", [0.5, 0.41, 0.4, 0.35, 0.3, 0.26, 0.15, 0.03, 0.011, 1e-3, 0.333, 0.123456])
def test_the_share_is_what_was_asked_for_and_evenly_spread(fraction: float) -> None:
    is_held_out = holding_out(fraction)
    chosen = [is_held_out(number) for number in range(20_000)]
    assert abs(sum(chosen) - 20_000 * fraction) <= 1
    places = [number for number, one in enumerate(chosen) if one]
    apart = {later - place for place, later in pairwise(places)}
    assert max(apart) - min(apart) <= 1
