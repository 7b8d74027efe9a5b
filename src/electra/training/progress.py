"""How far a run is: a bar on a terminal, plain lines in a log; on stderr, as stdout is for data."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Counter = Callable[[int, int], None]
"""Called with (done, of all)."""


class Reporter:
    """Tells a person what goes on.

    Args:
        stream: where to; stderr by default. A terminal gets bars, anything else a line now and then.
        quiet: tell nothing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._console = Console(file=stream or sys.stderr, highlight=False, soft_wrap=True, quiet=quiet)

    def say(self, text: str) -> None:
        """One line, above the bar if there is one."""
        self._console.print(text, markup=False)

    def alarm(self, text: str) -> None:
        """A line that must be seen."""
        self._console.print(text, markup=False, style="bold yellow")

    @contextmanager
    def counting(self, what: str) -> Iterator[Counter]:
        """A function that is told how much of something is done."""
        if not self._console.is_terminal:
            self.say(what)
            yield lambda done, whole: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task(what, total=None)
            yield lambda done, whole: progress.update(task, completed=done, total=whole)


class Stopwatch:
    """Time since the start of this process's part of a run, and what is left of it."""

    def __init__(self, first_step: int, steps: int) -> None:
        self._first, self._steps = first_step, steps
        self._start = self._lap = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last call."""
        before, self._lap = self._lap, time.perf_counter()
        return self._lap - before

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def remaining(self, step: int) -> float:
        """Seconds that the steps after `step` will take if they are like those so far."""
        return self.seconds() / max(1, step - self._first) * (self._steps - step)


def clock(seconds: float) -> str:
    """1:02:03"""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
