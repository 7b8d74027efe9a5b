"""Where the figures of a run may go besides its own file: TensorBoard, Weights & Biases."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from electra.files.atomic import write_text

logger = logging.getLogger("electra")

MODULES = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}
"""The trackers, and the module that each needs. The extra of this package that brings it has the tracker's name."""


class Tracker(Protocol):
    """A place for figures."""

    def log(self, record: Mapping[str, object]) -> None:
        """Take one line of the metrics."""

    def close(self) -> None:
        """Write what is not written yet."""


def open_tracker(name: str, folder: Path, settings: Mapping[str, object], *, first_step: int = 0) -> Tracker:
    """The tracker of this name for the run in `folder`; one that fails later is left out with a warning.

    Args:
        name: "tensorboard" (writes into `folder/tensorboard`) or "wandb" (a run of the folder's name in the project
            "electra", or that of $WANDB_PROJECT; the same one when the run goes on).
        settings: shown beside the figures.
        first_step: where the run goes on: what TensorBoard has of later steps is dropped.

    Raises:
        ValueError: there is no such tracker.
        ImportError: its package is not installed; the message says how to get it.
    """
    require_tracker(name)
    kind = TensorBoard if name == "tensorboard" else WeightsAndBiases
    return Forgiving(kind(folder, settings, first_step=first_step), name)


def require_tracker(name: str) -> None:
    """Raise what `open_tracker` would raise, before any work is done."""
    if name not in MODULES:
        raise ValueError(f"tracker is {name!r}: allowed is one of {', '.join(MODULES)}")
    _load(name)


class Forgiving:
    """Another tracker, until it fails: figures on a screen are not worth the loss of a run."""

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
                "the tracker %s failed and gets no more figures (metrics.jsonl has them all): %r", self._name, error
            )


class TensorBoard:
    """Figures as scalars `train/loss`, alarms as text; read with `tensorboard --logdir RUN/tensorboard`."""

    def __init__(self, folder: Path, settings: Mapping[str, object], *, first_step: int = 0) -> None:
        module = _load("tensorboard")
        # of the steps that are taken again what was written is dropped; the step before them stays, and is not taken
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
    """Figures as `train/loss`, alarms as alerts. What $WANDB_MODE and the like say is left to wandb."""

    def __init__(self, folder: Path, settings: Mapping[str, object], *, first_step: int = 0) -> None:
        self._wandb = _load("wandb")
        kept = folder / "wandb.id"
        if not kept.is_file():
            write_text(kept, secrets.token_hex(4) + "\n")
        self._run = self._wandb.init(
            id=kept.read_text("utf-8").strip(),
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
    """The figures of a line of the metrics: what is a number and not the step."""
    return {
        name: float(value)
        for name, value in record.items()
        if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool)
    }


def _load(name: str) -> Any:
    try:
        return import_module(MODULES[name])
    except ImportError as error:
        raise ImportError(
            f"the tracker {name} needs a package that is not installed ({error}): pip install 'electra[{name}]'"
        ) from error
