"""Trackers that show the metrics of a run besides its own file: TensorBoard, Weights & Biases"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from electra.files.atomic import write_text
from electra.validation import import_extra, require_one_of

logger = logging.getLogger("electra")

MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}
"""The trackers, and the module that each needs; the extra that installs it has the tracker's name."""


class Tracker(Protocol):
    """Shows the metrics of a run."""

    def log(self, record: Mapping[str, object]) -> None:
        """Take one line of the metrics."""

    def close(self) -> None:
        """Write what is still in memory."""


def open_tracker(name: str, folder: Path, settings: Mapping[str, object], *, first_step: int = 0) -> Tracker:
    """The tracker of this name for the run in `folder`; if it fails later, it is switched off with a warning.

    Args:
        name: "tensorboard" (writes into `folder/tensorboard`) or "wandb" (a run of the folder's name in the project
            "electra", or that of $WANDB_PROJECT; the same one when the run resumes).
        settings: shown beside the metrics.
        first_step: the step that the run resumes after: what TensorBoard has of later steps is dropped.

    Raises:
        ValueError: there is no such tracker.
        ImportError: its package is not installed; the message says how to get it.
    """
    require_tracker(name)
    kind = TensorBoard if name == "tensorboard" else WeightsAndBiases
    return Forgiving(kind(folder, settings, first_step=first_step), name)


def require_tracker(name: str) -> None:
    """Raise what `open_tracker` would raise, before any work is done."""
    require_one_of("tracker", name, MODULES)
    _load(name)


class Forgiving:
    """Another tracker, until it fails: a curve on a screen is not worth the loss of a run."""

    def __init__(self, tracker: Tracker, name: str) -> None:
        self._tracker: Tracker | None = tracker
        self._name = name

    def log(self, record: Mapping[str, object]) -> None:
        self._try("log", record)

    def close(self) -> None:
        self._try("close")

    def _try(self, method: str, *arguments: object) -> None:
        if self._tracker is None:
            return
        try:
            getattr(self._tracker, method)(*arguments)
        except Exception as error:
            self._tracker = None
            logger.warning(
                "the tracker %s failed and gets no more metrics (metrics.jsonl has them all): %r", self._name, error
            )


class TensorBoard:
    """Metrics as scalars `train/loss`, alarms as text; read with `tensorboard --logdir RUN/tensorboard`."""

    def __init__(self, folder: Path, settings: Mapping[str, object], *, first_step: int = 0) -> None:
        module = _load("tensorboard")
        # TensorBoard drops this step and all later ones; the resumed run takes them again
        self._writer = module.SummaryWriter(str(folder / "tensorboard"), purge_step=first_step + 1)
        if first_step == 0:
            table = "\n".join(f"| {name} | {value} |" for name, value in settings.items() if value is not None)
            self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{table}")

    def log(self, record: Mapping[str, object]) -> None:
        step, split = int(str(record["step"])), str(record["split"])
        for name, value in numbers(record).items():
            self._writer.add_scalar(f"{split}/{name}", value, step)
        if split == "alarm":
            self._writer.add_text(f"alarm/{record['alarm']}", f"{record['reason']}. {record['remedy']}", step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """Metrics as `train/loss`, alarms as alerts. wandb itself reads $WANDB_MODE and its other variables."""

    def __init__(self, folder: Path, settings: Mapping[str, object], *, first_step: int = 0) -> None:
        self._wandb = _load("wandb")
        id_file = folder / "wandb.id"  # a resumed run goes into the same curves
        if not id_file.is_file():
            write_text(id_file, secrets.token_hex(4) + "\n")
        self._run = self._wandb.init(
            id=id_file.read_text("utf-8").strip(),
            name=folder.resolve().name,
            project=os.environ.get("WANDB_PROJECT", "electra"),
            dir=str(folder),
            config={name: value for name, value in settings.items() if value is not None},
            resume="allow",
        )

    def log(self, record: Mapping[str, object]) -> None:
        step, split = int(str(record["step"])), str(record["split"])
        self._run.log({f"{split}/{name}": value for name, value in numbers(record).items()}, step=step)
        if split == "alarm":
            self._run.alert(title=str(record["alarm"]), text=f"{record['reason']}. {record['remedy']}")

    def close(self) -> None:
        self._run.finish()


def numbers(record: Mapping[str, object]) -> dict[str, float]:
    """The numbers of a line of the metrics, but for the step."""
    return {
        name: float(value)
        for name, value in record.items()
        if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _load(name: str) -> Any:
    return import_extra(MODULES[name], name, f"the tracker {name}")
