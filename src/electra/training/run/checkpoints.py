"""Checkpoints of a run: each a folder that is whole or absent, the last few kept, a damaged one set aside"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from electra.files.atomic import write_text, writing_folder
from electra.files.digests import file_sha256

logger = logging.getLogger("electra")

_NAME = re.compile(r"step-(\d+)")
_STATE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to resume after `step` steps: tensors by name, in groups, each a safetensors file."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]


class Checkpoints:
    """The checkpoints in a folder.

    Args:
        folder: it need not exist yet.
        keep: how many are kept.
    """

    def __init__(self, folder: Path, *, keep: int = 5) -> None:
        self.folder, self.keep = folder, keep

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint, damaged or not, in order."""
        if not self.folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self.folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def path(self, step: int) -> Path:
        """The folder of the checkpoint after `step` steps."""
        return self.folder / f"step-{step}"

    def last_path(self) -> Path | None:
        """The folder of the last checkpoint, if there is one."""
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then remove the oldest beyond `keep`: there are never fewer whole ones than before.

        Raises:
            OSError: it could not be written (a full disk, say); the earlier ones are untouched, nothing is left behind.
        """
        path = self.path(checkpoint.step)
        with writing_folder(path) as folder:
            for group, tensors in checkpoint.tensors.items():
                _write(folder / f"{group}.safetensors", tensors)
            digests = {file.name: file_sha256(file) for file in sorted(folder.iterdir())}
            write_text(folder / _STATE, json.dumps({"step": checkpoint.step, "sha256": digests}, indent=2) + "\n")
        # Those of later steps are damaged ones that `latest` skipped: they do not count as kept.
        before = [step for step in self.steps() if step < checkpoint.step]
        for step in before[: max(0, len(before) + 1 - self.keep)]:
            shutil.rmtree(self.path(step), ignore_errors=True)
        return path

    def latest(self) -> Checkpoint | None:
        """The last whole checkpoint; None when there are none. A damaged one is skipped with a warning.

        Raises:
            ValueError: there are checkpoints and every one is damaged.
            MemoryError: there is not enough memory to read one.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return _read(self.path(step))
            except (ValueError, OSError) as error:
                logger.warning("the checkpoint %s is damaged and skipped: %s", self.path(step), error)
        if steps:
            raise ValueError(
                f"every checkpoint in {self.folder} is damaged: to restart from step 0, remove that folder"
            )
        return None

    def set_aside(self, after: int) -> None:
        """Rename the checkpoints of later steps, which `latest` has skipped, so that they no longer count.

        They are not removed: when a disk was away for a moment, good ones could not be read either.
        """
        for step in self.steps():
            if step > after:
                aside = _unused(self.folder / f"passed-over-step-{step}")
                self.path(step).rename(aside)
                logger.warning("%s is now %s: remove it if you need nothing of it", self.path(step), aside)


def _unused(path: Path) -> Path:
    """This path, or the first with a number appended that does not exist."""
    numbered = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return next(each for each in chain([path], numbered) if not each.exists())


@torch.no_grad()
def restore(weights: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into those of the same names.

    Raises:
        ValueError: names or shapes differ; the message has them.
    """
    differing = sorted(
        name
        for name in weights.keys() | saved.keys()
        if name not in weights or name not in saved or weights[name].shape != saved[name].shape
    )
    if differing:
        shown = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")
        raise ValueError(f"the checkpoint holds other networks than these settings describe: {shown} do not fit")
    for name, tensor in weights.items():
        tensor.copy_(saved[name])


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    try:
        save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def _read(path: Path) -> Checkpoint:
    step, digests = _read_state(path / _STATE)
    if path.name != f"step-{step}":
        raise ValueError(f"{_STATE} is that of step {step}")
    for name, digest in digests.items():
        if file_sha256(path / name) != digest:
            raise ValueError(f"{name} has changed since it was written")
    return Checkpoint(step, {Path(name).stem: load_file(path / name) for name in digests})


def _read_state(path: Path) -> tuple[int, dict[str, str]]:
    """The step, and the digest of each file."""
    state = json.loads(path.read_text(encoding="utf-8"))
    step, digests = (state.get("step"), state.get("sha256")) if isinstance(state, dict) else (None, None)
    if type(step) is not int or not isinstance(digests, dict) or not digests:
        raise ValueError(f"{path.name} does not name a step and files with their digests")
    return step, digests
