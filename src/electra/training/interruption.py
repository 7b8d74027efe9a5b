"""Signals that end a run in good order: the step is finished and a checkpoint written before the process leaves."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any, TypeVar

# 75 is EX_TEMPFAIL: "try again later", which is what Slurm and others requeue on. 130 is what a shell shows for Ctrl-C.
# SIGUSR1 and SIGUSR2 are what clusters send some minutes before the end, by default or by choice.
EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
EXIT_CODES |= {signal.Signals[name]: 75 for name in ("SIGUSR1", "SIGUSR2") if name in signal.Signals.__members__}

AGAIN_SECONDS = 1.0
"""From a Ctrl-C to one that is meant as a second: launchers hand on to their processes what the terminal has sent."""

Result = TypeVar("Result")


def listening(work: Callable[[], Result]) -> Result:
    """Do the work in another thread, and wait for it here.

    Python runs handlers of signals in the main thread alone, and not before what that calls has returned: a library
    that reads for an hour, in threads of its own, would hide them.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="electra-work") as executor:
        return executor.submit(work).result()


class Interruption:
    """Within this block SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 only set `received`, and more of them change nothing.

    Schedulers and launchers often send a signal twice, and each would end what the one before began: a checkpoint being
    written, say. A person who is tired of waiting has Ctrl-C: a second one acts as it would without the block, unless
    it comes within a second of the first. Outside the main thread, where Python allows no handlers, nothing is caught.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._first_ctrl_c: float | None = None

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.received is not None

    @property
    def exit_code(self) -> int:
        """130 for SIGINT, 75 for the others, 0 when none has come."""
        return EXIT_CODES[self.received] if self.received is not None else 0

    def __enter__(self) -> Interruption:
        try:
            for number in EXIT_CODES:
                self._before[number] = signal.signal(number, self._receive)
        except ValueError:  # not in the main thread
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = self.received or signal.Signals(number)
        if number != signal.SIGINT:
            return
        now = time.monotonic()
        if self._first_ctrl_c is None:
            self._first_ctrl_c = now
        elif now > self._first_ctrl_c + AGAIN_SECONDS:
            signal.signal(signal.SIGINT, self._before.pop(signal.SIGINT))
            signal.raise_signal(signal.SIGINT)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
