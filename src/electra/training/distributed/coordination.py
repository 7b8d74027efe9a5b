"""What the first process does alone while the others wait for it, and how all of them leave it together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.progress import Reporter

LOOK_SECONDS = 2.0
"""How often the others say that they are there, and the first looks."""
SILENCE_SECONDS = 40.0
"""How long one of them may say nothing. They do nothing else, so it has ended, or its machine has."""


@contextmanager
def leading(processes: Processes, report: Reporter, interruption: Interruption) -> Iterator[Callable[[], None]]:
    """In the first process, or the only one: a block of work, and a function to be called in it now and then.

    When a signal has come to any of the processes, that function raises `SystemExit` with the exit code of
    `interruption`, in all of them; it raises `ConnectionError` when another process says nothing any more.
    """
    others = _Others(processes)

    def look() -> None:
        if code := interruption.exit_code or others.exit_code():
            raise SystemExit(code)

    try:
        yield look
        look()
    except SystemExit as stop:
        report.say("stopped before the first step; what is finished is kept: the same command goes on from there")
        _announce(processes, int(stop.code or 0))
        raise
    _announce(processes, 0)


def following(processes: Processes, interruption: Interruption) -> None:
    """In the others: wait until the first process is through; leave as it does when a signal has come to any."""
    number = 0

    def be_there() -> None:
        nonlocal number
        number += 1
        processes.store.set(_name(processes.rank), f"{interruption.exit_code} {number}")

    if code := _announce(processes, 0, meanwhile=be_there):
        raise SystemExit(code)


class _Others:
    """What the processes that wait have said last, and when."""

    def __init__(self, processes: Processes) -> None:
        self._store = processes.store
        self._said = {rank: (time.monotonic(), "") for rank in range(1, processes.count)}
        self._looked = time.monotonic()

    def exit_code(self) -> int:
        """That of a signal that one of them has got; 0 if none has, or if it is not long since the last look."""
        now = time.monotonic()
        if not self._said or now < self._looked + LOOK_SECONDS:
            return 0
        if now > self._looked + SILENCE_SECONDS / 2:  # nobody looked: how long they are silent is not known
            self._said = {rank: (now, said) for rank, (_, said) in self._said.items()}
        self._looked = now
        return max(self._exit_code(rank, now) for rank in self._said)

    def _exit_code(self, rank: int, now: float) -> int:
        when, before = self._said[rank]
        said = self._store.get(_name(rank)).decode() if self._store.check([_name(rank)]) else ""
        if said != before:
            self._said[rank] = (now, said)
        elif now > when + SILENCE_SECONDS:
            raise ConnectionError(
                f"process {rank} of {len(self._said) + 1} has said nothing for {SILENCE_SECONDS:.0f} seconds: it has "
                "ended, and its own message says why, or its machine cannot be reached"
            )
        return int(said.partition(" ")[0] or 0)


def _name(rank: int) -> str:
    return f"electra/waiting/{rank}"


def _announce(processes: Processes, code: int, *, meanwhile: Callable[[], None] = lambda: None) -> int:
    """The first process's code, in all of them; until it comes, `meanwhile` is called again and again.

    Python runs no handler of a signal while torch waits: hence the looking.
    """
    if processes.count == 1:
        return code
    told = torch.tensor(code)
    work = dist.broadcast(told, src=0, group=processes.patient, async_op=True)
    assert work is not None
    said = -LOOK_SECONDS
    while not work.is_completed():
        if time.monotonic() >= said + LOOK_SECONDS:
            said = time.monotonic()
            meanwhile()
        time.sleep(0.05)
    work.wait()
    return int(told)
