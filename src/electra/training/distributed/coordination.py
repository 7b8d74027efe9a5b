"""What rank 0 does alone while the other ranks wait for it, and how all of them leave together"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.progress import Reporter

HEARTBEAT_SECONDS = 2.0
"""How often the other ranks send a heartbeat, and rank 0 reads it."""
SILENCE_SECONDS = 40.0
"""After how long without a heartbeat a rank counts as lost. It does nothing else, so its process or machine is gone."""


@contextmanager
def rank_zero_work(processes: Processes, report: Reporter, interruption: Interruption) -> Iterator[Callable[[], None]]:
    """A block of work in rank 0 (or the only process); yields a function to call in it now and then.

    When a signal has come to any process, that function raises `SystemExit` with the signal's exit code, and all
    processes leave with it. It raises `ConnectionError` when another rank is lost.
    """
    others = _Heartbeats(processes)

    def check() -> None:
        if code := interruption.exit_code or others.exit_code():
            raise SystemExit(code)

    try:
        yield check
        check()
    except SystemExit as stop:
        report.say("stopped before the first step; what is finished is kept: the same command resumes from there")
        _announce(processes, int(stop.code or 0))
        raise
    _announce(processes, 0)


def wait_for_rank_zero(processes: Processes, interruption: Interruption) -> None:
    """In the other ranks: wait until `rank_zero_work` has ended; leave as rank 0 does when a signal came to any."""
    number = 0

    def heartbeat() -> None:
        nonlocal number
        number += 1
        processes.store.set(_key(processes.rank), f"{interruption.exit_code} {number}")

    if code := _announce(processes, 0, meanwhile=heartbeat):
        raise SystemExit(code)


class _Heartbeats:
    """The last heartbeat of every other rank, and when it changed."""

    def __init__(self, processes: Processes) -> None:
        self._store = processes.store
        self._last = {rank: (time.monotonic(), "") for rank in range(1, processes.world_size)}
        self._checked = time.monotonic()

    def exit_code(self) -> int:
        """That of a signal that another rank got; 0 if none has, or if the last check was a moment ago."""
        now = time.monotonic()
        if not self._last or now < self._checked + HEARTBEAT_SECONDS:
            return 0
        if now > self._checked + SILENCE_SECONDS / 2:
            # rank 0 was busy and read nothing: how long the others have been silent is not known
            self._last = {rank: (now, heartbeat) for rank, (_, heartbeat) in self._last.items()}
        self._checked = now
        return max(self._exit_code(rank, now) for rank in self._last)

    def _exit_code(self, rank: int, now: float) -> int:
        changed, before = self._last[rank]
        heartbeat = self._store.get(_key(rank)).decode() if self._store.check([_key(rank)]) else ""
        if heartbeat != before:
            self._last[rank] = (now, heartbeat)
        elif now > changed + SILENCE_SECONDS:
            raise ConnectionError(
                f"process {rank} of {len(self._last) + 1} has sent nothing for {SILENCE_SECONDS:.0f} seconds: it has "
                "ended, and its own message says why, or its machine cannot be reached"
            )
        return int(heartbeat.partition(" ")[0] or 0)


def _key(rank: int) -> str:
    return f"electra/waiting/{rank}"


def _announce(processes: Processes, code: int, *, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Rank 0's exit code, in every process; until it arrives, `meanwhile` is called again and again.

    Polled, because Python runs no signal handler while torch waits.
    """
    if processes.world_size == 1:
        return code
    announced = torch.tensor(code)
    work = dist.broadcast(announced, src=0, group=processes.slow_group, async_op=True)
    assert work is not None
    last_heartbeat = -HEARTBEAT_SECONDS
    while not work.is_completed():
        if time.monotonic() >= last_heartbeat + HEARTBEAT_SECONDS:
            last_heartbeat = time.monotonic()
            meanwhile()
        time.sleep(0.05)
    work.wait()
    return int(announced)
