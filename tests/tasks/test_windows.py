"""Windows: every token once, each where it has context."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from electra.tasks.inputs.sliding_windows import windows


@given(st.integers(0, 300), st.integers(1, 40), st.data())
def test_every_token_is_judged_once(tokens: int, capacity: int, data: st.DataObject) -> None:
    overlap = data.draw(st.one_of(st.none(), st.integers(0, capacity - 1)))
    found = windows(tokens, capacity, overlap)
    assert [i for w in found for i in range(w.first, w.last)] == list(range(tokens))
    for window in found:
        assert window.start <= window.first <= window.last <= window.stop
        assert window.stop - window.start == min(tokens, capacity)
    shared = [a.stop - b.start for a, b in pairwise(found)]
    assert all(count >= (capacity // 4 if overlap is None else overlap) for count in shared)


def test_a_token_is_judged_where_it_has_the_more_context() -> None:
    found = windows(20, 10, 4)
    assert [(w.start, w.stop) for w in found] == [(0, 10), (6, 16), (10, 20)]
    assert [(w.first, w.last) for w in found] == [(0, 8), (8, 13), (13, 20)]


@pytest.mark.parametrize("overlap", [-1, 10])
def test_an_impossible_overlap_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"stride={overlap}: windows of 10 tokens can share 0 to 9"):
        windows(20, 10, overlap)
