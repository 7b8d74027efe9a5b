"""How far a run is: a bar on a terminal, plain lines in a log; on stderr, because stdout is for data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Counter = Callable[[int, int], None]
"""Called with (done, of all)."""


class Reporter:
    """Tells a person what happens.

    Args:
        stream: where to write; stderr by default. A terminal gets bars, anything else plain lines.
        quiet: write nothing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True, quiet=quiet)

    @property
    def has_bars(self) -> bool:
        """Whether `counting` shows anything, so that counting is worth its time."""
        return self._console.is_terminal and not self._console.quiet

    def say(self, text: str) -> None:
        """One line, above the bar if there is one."""
        self._print(text)

    def alarm(self, text: str) -> None:
        """A line that must be seen."""
        self._print(text, style="bold yellow")

    def _print(self, text: str, style: str | None = None) -> None:
        with suppress(OSError):  # a full disk under the log, say: no reason to lose the run
            self._console.print(text, markup=False, style=style)

    @contextmanager
    def counting(self, what: str) -> Iterator[Counter]:
        """Show how much of something is done; the function that this yields is called with the number."""
        if not self._console.is_terminal:
            self.say(what)
            yield lambda done, whole: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, whole: progress.update(task, completed=done, total=whole)


class Stopwatch:
    """The time that the steps of this process take, and the time that is left.

    Args:
        first_step: the step that this process starts after.
        steps: the number of steps in all.
        every: for each kind of work that `paused` is called with, after how many steps it is done again.
    """

    def __init__(self, first_step: int, steps: int, every: Mapping[str, int] | None = None) -> None:
        self._first, self._steps, self._every = first_step, steps, dict(every or {})
        self._start = self._lap = time.perf_counter()
        self._paused = self._paused_in_lap = 0.0
        self._pauses: dict[str, list[float]] = {}

    def lap(self) -> float:
        """Seconds of training since the last call, without pauses."""
        now = time.perf_counter()
        seconds = now - self._lap - self._paused_in_lap
        self._lap, self._paused_in_lap = now, 0.0
        return seconds

    @contextmanager
    def paused(self, what: str) -> Iterator[None]:
        """Work that is no training: an evaluation, a checkpoint."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            self._paused += seconds
            self._paused_in_lap += seconds
            self._pauses.setdefault(what, []).append(seconds)

    def last_pause(self, what: str) -> float:
        """Seconds of the last pause of this kind."""
        return self._pauses[what][-1]

    def remaining(self, step: int) -> float:
        """Seconds until the end, if steps and pauses to come are like those so far."""
        training = time.perf_counter() - self._start - self._paused
        seconds = training / max(1, step - self._first) * (self._steps - step)
        for what, every in self._every.items():
            if pauses := self._pauses.get(what):
                seconds += sum(pauses) / len(pauses) * self._times_left(step, every)
        return seconds

    def _times_left(self, step: int, every: int) -> int:
        """How often something is still done after every so many steps and after the last one, from `step` on."""
        return self._steps // every - (step - 1) // every + (self._steps % every > 0)


def clock(seconds: float) -> str:
    """1:02:03"""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
