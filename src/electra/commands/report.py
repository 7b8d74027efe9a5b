"""The folder of a run -> a page of HTML: its curves, its alarms or errors, text as its networks see it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from electra.commands.verb import verb


@dataclass(frozen=True)
class ReportConfig:
    """Which runs to show, and where."""

    runs: tuple[Path, ...]
    """The folders of pretraining runs, finished or not; several are compared on one page. Or one that `electra
    finetune` wrote."""
    _: KW_ONLY
    output: Path | None = None
    """The page to write (one run: RUN/report.html; several: comparison.html in the current folder)."""
    overwrite: bool = False
    """Replace a file at --output that is no page of `electra report`."""

    def __post_init__(self) -> None:
        runs = (self.runs,) if isinstance(self.runs, (str, Path)) else self.runs
        object.__setattr__(self, "runs", tuple(Path(run) for run in runs))
        if not self.runs:
            raise ValueError("runs is empty: give at least one folder of a run")


@verb(ReportConfig)
def report(config: ReportConfig) -> Path:
    """Write the page, and return where it is. What the run's folder holds is read only: it may still be at work.

    Raises:
        ValueError: a folder is no run's, or a file in it is damaged; the message names file and line. Fitted models
            beside others: they are compared by `electra evaluate`.
        OSError: a file cannot be read or written.
    """
    from electra.files.output_places import holding_files
    from electra.finetuning.output.finetuning_page import is_fitted, write_fit_report
    from electra.pretraining.monitoring.pretraining_page import write_report

    alone = config.runs[0] / "report.html" if len(config.runs) == 1 else Path("comparison.html")
    output = config.output or alone
    fitted = [run for run in config.runs if is_fitted(run)]
    if fitted and len(config.runs) > 1:
        raise ValueError(
            f"{fitted[0]} is a fitted model: give it alone, or compare two with "
            "`electra evaluate ONE --compare OTHER --data FILE`"
        )
    inputs = {f"run {number}": run for number, run in enumerate(config.runs, start=1)}
    with holding_files({"output": output}, inputs, overwrite=config.overwrite, is_own=_is_page):
        return write_fit_report(fitted[0], output) if fitted else write_report(config.runs, output)


def _is_page(option: str, path: Path) -> bool:
    """Whether a file is an earlier page, which may be replaced."""
    try:
        with path.open(encoding="utf-8") as file:
            start = file.read(4000)
    except (OSError, UnicodeError):
        return False
    return start.startswith("<!doctype html>") and ("<title>Pretraining: " in start or "<title>Fine-tuning: " in start)
