"""Signals that end a run in good order: the current step is finished and a checkpoint written before the exit"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType, TracebackType
from typing import Any, TypeVar

TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h, "try again later": Slurm and other schedulers requeue a job that exits with it."""

# 130 and 129 are what a shell shows for Ctrl-C and for a closed terminal or ssh connection. SIGUSR1 and SIGUSR2 are
# what schedulers send some minutes before the end, by default or on request.
_BY_NAME = {"SIGTERM": TRY_AGAIN, "SIGINT": 130, "SIGUSR1": TRY_AGAIN, "SIGUSR2": TRY_AGAIN, "SIGHUP": 129}
EXIT_CODES = {signal.Signals[name]: code for name, code in _BY_NAME.items() if name in signal.Signals.__members__}
"""The signals after which a run saves and ends, and its exit code."""

SECOND_CTRL_C_SECONDS = 1.0
"""A Ctrl-C that comes sooner after the first is the same one: launchers pass on what the terminal has sent already."""

Result = TypeVar("Result")


def listening(work: Callable[[], Result]) -> Result:
    """Do the work in another thread and wait for it here, so that signals are handled meanwhile.

    Python runs signal handlers in the main thread only, and only when the call that it is in has returned: a library
    that computes for an hour in threads of its own would delay them for that hour.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="electra-work") as executor:
        return executor.submit(work).result()


class Interruption:
    """Within this block the signals of `EXIT_CODES` only set `received` and `exit_code`; later ones change nothing.

    Schedulers and launchers often send a signal twice, or SIGTERM and then SIGHUP; the second would break off the
    checkpoint that the first one asked for. A person can insist: a second Ctrl-C acts as it would without the block,
    unless it comes within a second of the first. A signal that was ignored before (SIGHUP under nohup) stays ignored.
    Outside the main thread, where Python allows no handlers, nothing is caught.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self.exit_code = 0
        """That of the signal in `EXIT_CODES`; 0 while none has come."""
        self._before: dict[signal.Signals, Any] = {}
        self._first_ctrl_c: float | None = None

    def __call__(self) -> bool:
        """Whether a signal has come."""
        return self.received is not None

    def __enter__(self) -> Interruption:
        try:
            for number in EXIT_CODES:
                # Ctrl-C is taken over even where a shell's background job ignores it: a launcher may send it
                if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
        except ValueError:  # not in the main thread
            self._before = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
            self.exit_code = EXIT_CODES[self.received]
        if number != signal.SIGINT:
            return
        now = time.monotonic()
        if self._first_ctrl_c is None:
            self._first_ctrl_c = now
        elif now > self._first_ctrl_c + SECOND_CTRL_C_SECONDS:
            signal.signal(signal.SIGINT, self._before.pop(signal.SIGINT))
            signal.raise_signal(signal.SIGINT)
