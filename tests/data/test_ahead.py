"""The background thread: in order, bounded, ended with its consumer, and honest about errors."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
import torch

from electra.data.dataset.batches import ahead


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "electra-ahead"]


def test_items_come_in_order_and_the_thread_ends_with_them() -> None:
    assert list(ahead(lambda: iter(range(100)), items=3)) == list(range(100))
    assert threads() == []


def test_it_works_ahead_but_not_further_than_asked() -> None:
    made = []

    def make() -> Iterator[int]:
        for number in count():
            made.append(number)
            yield number

    items = ahead(make, items=3)
    assert made == []  # nothing runs before it is asked for
    assert next(items) == 0
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert len(made) == 5  # one taken, three waiting, one in hand
    items.close()
    assert threads() == []


@pytest.mark.parametrize("dropped", [False, True])
def test_closing_or_dropping_it_ends_a_thread_that_waits_for_room(dropped: bool) -> None:
    items = ahead(lambda: count(), items=1)
    next(items)
    assert len(threads()) == 1
    if dropped:
        del items
        gc.collect()
    else:
        items.close()
    assert threads() == []


def test_the_consumers_exception_ends_the_thread() -> None:
    def consume() -> None:
        for item in ahead(lambda: count()):
            if item == 10:
                raise KeyError("consumer")

    with pytest.raises(KeyError):
        consume()
    gc.collect()
    assert threads() == []


def test_the_threads_exception_arrives_after_the_items_before_it() -> None:
    def make() -> Iterator[int]:
        yield from (1, 2)
        raise OSError("the disk is gone")

    items = ahead(make)
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)
    assert threads() == []


def test_torch_keeps_to_the_one_thread_there_and_works_as_before_everywhere_else() -> None:
    before, begun = torch.get_num_threads(), threading.Event()

    def make() -> Iterator[int]:
        yield 0
        begun.wait(timeout=10)
        yield torch.get_num_threads()

    try:
        torch.set_num_threads(3)
        items = ahead(make)
        next(items)
        begun.set()
        assert next(items) == 1
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as executor:
            assert executor.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)
