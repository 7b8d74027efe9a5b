"""The folder of a run: its settings, its metrics line by line, its checkpoints, and the lock on it"""

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
        settings: of this run. Once there is a checkpoint, they must equal those in the folder.
        changeable: the names of settings that may differ when the run resumes.
        renamed: the settings that earlier versions wrote under another name: that name -> the present one.
        keep: how many checkpoints are kept.

    Raises:
        ValueError: the folder is a file, or holds something else, or a run with other settings (each is named).
        OSError: the folder cannot be written, or another process works in it.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, Setting],
        *,
        changeable: Collection[str] = (),
        renamed: Mapping[str, str] | None = None,
        keep: int = 5,
    ) -> None:
        self.folder = folder
        self.metrics = folder / "metrics.jsonl"
        self.checkpoints = Checkpoints(folder / "checkpoints", keep=keep)
        self.trackers: list[Tracker] = []
        """They get every line of the metrics, and are closed with the run."""
        self._settings, self._changeable, self._renamed = settings, changeable, renamed
        self._lock: FolderLock | None = None
        self._check()

    @property
    def config(self) -> Path:
        """The file of the settings."""
        return self.folder / "config.toml"

    @property
    def resumes(self) -> bool:
        """Whether there is a checkpoint to resume from."""
        return bool(self.checkpoints.steps())

    @property
    def unchanged(self) -> bool:
        """Whether the folder holds a run with these settings, so that what was prepared for it can be used."""
        return self.config.is_file() and not self._differences()

    def _differences(self) -> list[str]:
        before = read_settings(self.config, renamed=self._renamed)
        return differences(before, self._settings, ignoring=self._changeable)

    def _check(self) -> None:
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise ValueError(
                f"the output {self.folder} is a file: give a folder, a new one or that of the run to resume"
            )
        if not self.config.is_file():
            if any(not path.match(UNFINISHED) and path.name not in LOCK_FILES for path in self.folder.iterdir()):
                raise ValueError(
                    f"the output {self.folder} has files in it and is not a run: give a new or an empty folder"
                )
        elif self.resumes and (differing := self._differences()):
            raise ValueError(
                f"{self.folder} holds a run with other settings: {'; '.join(differing)}. "
                "Give the settings it was started with to resume it, or another output folder for a new run"
            )

    def __enter__(self) -> Run:
        """Make the folder, lock it for this process, remove unfinished files, write the settings."""
        self._made = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = lock_folder(
            self.folder, f"works in {self.folder}", "wait until it ends, or give another output folder"
        )
        try:
            self._check()
            remove_unfinished(self.folder)  # nobody else writes here now
            title = "The settings of this run: the same command resumes it."
            write_settings(self.config, self._settings, title=title)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)  # else the folder would stay locked
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the folder; if it was made here and the input was refused before any training, it is removed."""
        while self.trackers:
            self.trackers.pop().close()
        # examples prepared in part or whole may be hours of work
        prepared = any(self.folder.rglob(".*.unfinished")) or any(self.folder.glob("examples/*/shards.json"))
        untrained = not self.metrics.exists() and not self.resumes and not prepared
        if isinstance(error, (ValueError, FileNotFoundError)) and self._made and untrained:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def log(self, record: Mapping[str, object]) -> None:
        """Append one line of JSON to the metrics, on the disk when this returns, and pass it to the trackers."""
        with self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for tracker in self.trackers:
            tracker.log(record)

    def rewind(self, step: int) -> None:
        """Drop the metrics of the steps after `step`, which will be taken again, and a half-written last line.

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
    """The lines of a run's metrics, in order; a last line without its end is still being written and left out.

    Raises:
        ValueError: a line is damaged; the message has its number.
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
