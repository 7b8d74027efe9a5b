"""Where figures go besides the run's own file: a stand-in for wandb, the real TensorBoard where it is installed."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from electra.training.run import trackers
from electra.training.run.run_folder import Run
from electra.training.run.trackers import open_tracker, require_tracker

TRAIN = {"step": 7, "split": "train", "loss": 2.5, "discriminator_auc": None, "tokens_seen": 640}
ALARM = {"step": 7, "split": "alarm", "alarm": "recall", "reason": "none found", "remedy": "Wait"}


class Wandb(ModuleType):
    """Takes notes of how it is called; a run of it does so too."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.calls: list[tuple[str, Any]] = []

    def init(self, **settings: Any) -> Wandb:
        self.calls.append(("init", settings))
        return self

    def log(self, values: dict[str, float], *, step: int) -> None:
        self.calls.append(("log", (step, values)))

    def alert(self, *, title: str, text: str) -> None:
        self.calls.append(("alert", (title, text)))

    def finish(self) -> None:
        self.calls.append(("finish", None))


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    module = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return module


def test_wandb_gets_settings_figures_and_alarms(wandb: Wandb, tmp_path: Path) -> None:
    settings = {"steps": 10, "vocab": None}
    with Run(tmp_path / "first", settings) as run:
        run.trackers.append(open_tracker("wandb", run.folder, settings))
        run.log(TRAIN)
        run.log(ALARM)
    (_, begun), *rest = wandb.calls
    assert begun["config"] == {"steps": 10}
    assert (begun["name"], begun["project"], begun["resume"]) == ("first", "electra", "allow")
    assert rest == [
        ("log", (7, {"train/loss": 2.5, "train/tokens_seen": 640.0})),
        ("log", (7, {})),
        ("alert", ("recall", "none found. Wait")),
        ("finish", None),
    ]


def test_a_run_that_goes_on_is_the_same_run_there(
    wandb: Wandb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    for folder in ("a", "a", "b"):
        (tmp_path / folder).mkdir(exist_ok=True)
        open_tracker("wandb", tmp_path / folder, {}, first_step=5)
    first, again, other = (settings for _, settings in wandb.calls)
    assert first["id"] == again["id"] != other["id"]
    assert first["project"] == "mine"


def test_a_tracker_that_fails_does_not_end_the_run(
    wandb: Wandb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Wandb, values: dict[str, float], *, step: int) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(Wandb, "log", broken)
    with caplog.at_level(logging.WARNING, logger="electra"), Run(tmp_path / "run", {}) as run:
        run.trackers.append(open_tracker("wandb", run.folder, {}))
        run.log(TRAIN)
        run.log(TRAIN)
        assert len(list(run.read_metrics())) == 2
    assert caplog.text.count("the tracker wandb failed and gets no more metrics") == 1


def test_the_real_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    if find_spec("tensorboard") is None:
        pytest.skip("no tensorboard here: pip install 'electra[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first_step, loss in ((0, 3.5), (0, 2.5), (5, 1.5)):
        tracker = open_tracker("tensorboard", tmp_path, {"steps": 10}, first_step=first_step)
        for step in range(first_step + 1, first_step + 9):
            tracker.log(TRAIN | {"step": step, "loss": loss})
        tracker.log(ALARM | {"step": first_step + 8})
        tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"train/loss", "train/tokens_seen"} <= set(events.Tags()["scalars"])
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        *((step, 2.5) for step in range(1, 6)),
        *((step, 1.5) for step in range(6, 14)),
    ]
    assert any("recall" in tag for tag in events.Tags()["tensors"])


class SummaryWriter:
    """Takes notes of how it is called."""

    calls: list[tuple[Any, ...]]

    def __init__(self, folder: str, *, purge_step: int | None) -> None:
        SummaryWriter.calls = [("open", Path(folder).name, purge_step)]

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.calls.append((name, value, step))

    def add_text(self, name: str, text: str, step: int | None = None) -> None:
        self.calls.append((name, text, step))

    def close(self) -> None:
        self.calls.append(("close",))


def test_tensorboard_gets_scalars_and_alarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    tracker = open_tracker("tensorboard", tmp_path, {"steps": 10}, first_step=5)
    tracker.log(TRAIN)
    tracker.log(ALARM)
    tracker.close()
    assert SummaryWriter.calls == [
        ("open", "tensorboard", 6),
        ("train/loss", 2.5, 7),
        ("train/tokens_seen", 640.0, 7),
        ("alarm/recall", "none found. Wait", 7),
        ("close",),
    ]


@pytest.mark.parametrize("name", trackers.MODULES)
def test_a_missing_package_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, trackers.MODULES[name], None)
    with pytest.raises(ImportError, match=rf"tracker {name} needs .* pip install 'electra\[{name}\]'"):
        require_tracker(name)


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(ValueError, match="tracker is 'mlflow': choose one of tensorboard, wandb"):
        require_tracker("mlflow")
