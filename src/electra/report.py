"""The folder of a run -> a page of HTML: its curves, its alarms, text as its networks see it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from electra.pretraining.page import write_report


@dataclass(frozen=True)
class ReportConfig:
    """Which runs to show, and where."""

    runs: tuple[Path, ...]
    """The folders of runs, finished or not; several are compared on one page."""
    _: KW_ONLY
    output: Path | None = None
    """The page to write (one run: RUN/report.html; several: comparison.html in the current folder)."""

    def __post_init__(self) -> None:
        runs = (self.runs,) if isinstance(self.runs, (str, Path)) else self.runs
        object.__setattr__(self, "runs", tuple(Path(run) for run in runs))
        if not self.runs:
            raise ValueError("runs is empty: give at least one folder of a run")


def report(config: ReportConfig) -> Path:
    """Write the page, and return where it is. What the run's folder holds is read only: it may still be at work.

    Raises:
        ValueError: a folder is no run's, or a file in it is damaged; the message names file and line.
        OSError: a file cannot be read or written.
    """
    alone = config.runs[0] / "report.html" if len(config.runs) == 1 else Path("comparison.html")
    return write_report(config.runs, config.output or alone)
