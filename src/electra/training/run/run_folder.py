"""The folder of a run: its settings, its metrics line by line, its checkpoints, and who may work in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from electra.files.atomic import UNFINISHED, remove_unfinished, write_text
from electra.files.locks import LOCK_FILES, FolderLock, lock_folder
from electra.training.run.checkpoints import Checkpoints
from electra.training.run.settings import Setting, differences, read_settings, write_settings
from electra.training.run.trackers import Tracker


class Run:
    """A run's folder, open for one process: `config.toml`, `metrics.jsonl`, `checkpoints/`, and what the verb adds.

    Args:
        folder: made if missing. One that holds other things than a run is refused.
        settings: what was asked for. Once there is a checkpoint, they must be what they were.
        changeable: the names of settings that may differ when the run goes on.
        keep: how many checkpoints are kept.

    Raises:
        ValueError: the folder is a file, or holds something else, or a run with other settings (each is named).
        OSError: the folder cannot be written, or another process works in it.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Setting], *, changeable: Collection[str] = (), keep: int = 5
    ) -> None:
        self.folder = folder
        self.metrics = folder / "metrics.jsonl"
        self.checkpoints = Checkpoints(folder / "checkpoints", keep=keep)
        self.trackers: list[Tracker] = []
        """What else is told of every line of the metrics; closed when the run is."""
        self._settings, self._changeable = settings, changeable
        self._lock: FolderLock | None = None
        self._check()

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def unchanged(self) -> bool:
        """Whether the folder holds a run with these settings, so that what was prepared for it can be used."""
        return self.config.is_file() and not self._differences()

    def _differences(self) -> list[str]:
        return differences(read_settings(self.config), self._settings, ignoring=self._changeable)

    def _check(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise ValueError(
                f"the output {self.folder} is a file: give a folder, a new one or that of the run to go on with"
            )
        if not self.config.is_file():
            if any(not path.match(UNFINISHED) and path.name not in LOCK_FILES for path in self.folder.iterdir()):
                raise ValueError(
                    f"the output {self.folder} has files in it and is not a run: give a new or an empty folder"
                )
        elif self.checkpoints.steps() and (found := self._differences()):
            raise ValueError(
                f"{self.folder} holds a run with other settings: {'; '.join(found)}. "
                "Give the settings it was started with to go on, or another output folder for a new run"
            )

    def __enter__(self) -> Run:
        """Make the folder, lock it for this process, clear away unfinished work, and write the settings."""
        self._made = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(
            self.folder, f"works in {self.folder}", "wait until it ends, or give another output folder"
        )
        try:
            self._check()
            remove_unfinished(self.folder)  # nobody else writes here now
            title = "The settings of this run: the same command goes on with it."
            write_settings(self.config, self._settings, title=title)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)  # else the folder would stay locked
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the folder; one made here is removed when the input was refused before anything was trained."""
        while self.trackers:
            self.trackers.pop().close()
        # text prepared in part or whole: hours of work perhaps
        begun = any(self.folder.rglob(".*.unfinished")) or any(self.folder.glob("examples/*/shards.json"))
        untrained = not self.metrics.exists() and not self.checkpoints.steps() and not begun
        if isinstance(error, (ValueError, FileNotFoundError)) and self._made and untrained:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def log(self, record: Mapping[str, object]) -> None:
        """Append one line of JSON to the metrics, on the disk when this returns, and tell the trackers."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for tracker in self.trackers:
            tracker.log(record)

    def rewind(self, step: int) -> None:
        """Drop the metrics of the steps after `step`, which will be taken again, and a line not written to its end.

        Checkpoints of those steps, which could not be read, are set aside.
        """
        self.checkpoints.set_aside(after=step)
        if self.metrics.exists():
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self.metrics, "".join(line for line in lines if _step(line) <= step and line.endswith("\n")))

    def read_metrics(self) -> Iterator[dict[str, object]]:
        """The lines of the metrics, in order; see the function of that name."""
        if self.metrics.exists():
            yield from read_metrics(self.metrics)


def read_metrics(path: Path) -> Iterator[dict[str, object]]:
    """The lines of a run's metrics, in order. A last line without an end is still being written, and left out.

    Raises:
        ValueError: a line is not one of a run; the message has its number.
        OSError: the file cannot be read.
    """
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if not isinstance(record, dict) or type(record.get("step")) is not int:
                raise ValueError(
                    f"{path}, line {number} is damaged: {line.strip()[:60]!r} is not a JSON object with a whole number "
                    "as its step. Remove that line (the others are used as they are)"
                )
            yield record


def _step(line: str) -> float:
    with suppress(ValueError, KeyError, TypeError, OverflowError):
        return int(json.loads(line)["step"])
    return float("inf")
