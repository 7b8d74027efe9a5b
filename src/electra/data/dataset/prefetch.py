"""Make the next items in a background thread while the present one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from electra.hardware import devices as hardware

Item = TypeVar("Item")


@dataclass(frozen=True)
class _End:
    """The last thing in the queue: the items ran out, or making one failed."""

    error: BaseException | None = None


def ahead(make: Callable[[], Iterator[Item]], *, items: int = 4) -> Iterator[Item]:
    """What `make()` iterates over, in its order; a thread stays up to `items` ahead of the consumer.

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
        while thread.is_alive():  # it may wait for room in the queue
            _empty(made)
            thread.join(timeout=0.01)


def _empty(made: queue.Queue[Item]) -> None:
    while True:
        try:
            made.get_nowait()
        except queue.Empty:
            return
