"""One fit: evaluated, the best kept, stopped early; interrupted or killed anywhere, it goes on to the same bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from electra.commands.finetune import finetune
from electra.finetuning import trial as trials
from electra.finetuning.finetune_config import OLD_NAMES
from electra.finetuning.fit import Fitting
from electra.finetuning.output import output_folder as written
from electra.finetuning.output.outcome import Evaluation
from electra.finetuning.scoring import score
from electra.finetuning.trial import Trial
from electra.pipelines import pipeline
from tests.finetuning.toy import examples, settings, write

QUICK: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted run writes."""
    config = settings(folder, tmp_path_factory.mktemp("whole"), **QUICK)
    finetune(config)
    return config.output


def metrics(path: Path, split: str | None = None) -> list[dict[str, Any]]:
    """The lines but for the times."""
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if split is None or line["split"] == split]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def assert_same(one: Path, other: Path) -> None:
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert metrics(one) == metrics(other)
    first, second = (json.loads((path / "scores.json").read_text()) for path in (one, other))
    assert first["scores"] == second["scores"]


KILLED = """
import itertools, json, os, signal, sys, torch
from electra.finetuning import trial as trials
from electra.commands.finetune import FinetuneConfig, finetune
torch.set_num_threads(1)
def die(): os.kill(os.getpid(), signal.SIGKILL)
where, values = sys.argv[1], json.loads(sys.argv[2])
steps = itertools.count(1)
trials.Trial.save_is_due = lambda self: next(steps) % 10 == 0
save, publish = trials.Trial.save, trials.Trial._publish
if where == "in the middle":
    trials.Trial.save = lambda self, step, values=None: die() if step == 20 else save(self, step)
if where == "at the end": trials.Trial._publish = lambda self, seconds: die()
finetune(FinetuneConfig(**values))
"""


@pytest.mark.parametrize("where", ["in the middle", "at the end"])
def test_a_killed_fit_goes_on_to_the_same_bits(where: str, folder: Path, whole: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, **QUICK)
    command = [sys.executable, "-c", KILLED, where, json.dumps(vars(config), default=str)]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not config.output.exists()
    saved = config.unfinished / "seed-0" / "checkpoints"
    assert [path.name for path in saved.iterdir()] == ["step-10" if where == "in the middle" else "step-30"]
    finetune(config)
    assert_same(config.output, whole)
    assert not config.unfinished.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stopped_fit_saves_and_goes_on(
    number: int, code: int, folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(folder, tmp_path, **QUICK)
    losses = Fitting.losses
    parts: list[int] = []

    def signalled(self: Fitting, part: Any) -> Any:
        parts.append(1)
        if len(parts) == 15:
            os.kill(os.getpid(), number)
        return losses(self, part)

    monkeypatch.setattr(Fitting, "losses", signalled)
    with pytest.raises(SystemExit) as left:
        finetune(config)
    monkeypatch.undo()
    assert left.value.code == code
    assert not config.output.exists()
    with pytest.raises(ValueError, match=r"other settings: learning_rate: 0\.001 before, 0\.1 now"):
        finetune(settings(folder, tmp_path, epochs=3, learning_rate=0.1))
    saved = config.unfinished / "seed-0" / "config.toml"
    text = saved.read_text()
    for old, new in OLD_NAMES.items():
        assert f"\n{new} = " in text
        text = text.replace(f"\n{new} = ", f"\n{old} = ")
    saved.write_text(text)  # as an earlier version wrote it
    finetune(config)
    assert_same(config.output, whole)


def test_a_signal_lets_the_output_be_written(
    folder: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what a killed process left of it goes; what is of another output stays."""
    config = settings(folder, tmp_path, **QUICK)
    left, other = (tmp_path / f".{name}.0123abcd.partial" for name in ("out", "out.b"))
    for path in (left, other):
        path.mkdir()
    answer, came = written._answer, []

    def signalled(*given: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return answer(*given)

    before = signal.signal(signal.SIGTERM, lambda *_: came.append("not caught"))
    try:
        monkeypatch.setattr(written, "_answer", signalled)
        finetune(config)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not came
    assert_same(config.output, whole)
    assert [path.exists() for path in (left, other, config.unfinished)] == [False, True, False]


def test_what_a_killed_process_left_is_cleared_away(folder: Path, whole: Path, tmp_path: Path) -> None:
    """The output was whole already; the same command says what is in it, and another one is refused."""
    config = replace(settings(folder, tmp_path, **QUICK), model=str(folder))
    shutil.copytree(whole, config.output)
    config.unfinished.mkdir()
    known = json.loads((whole / "scores.json").read_text())
    with pytest.raises(ValueError, match="is there already"):
        finetune(config)  # its files are others
    values = {**known, "settings": config.settings()}
    (config.output / "scores.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="is there already"):
        finetune(replace(config, seeds=2))
    assert finetune(replace(config, quiet=False))["scores"] == known["scores"]
    assert not config.unfinished.exists()
    with pytest.raises(ValueError, match="is there already"):
        finetune(config)


def test_other_examples_are_other_settings(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings(folder, tmp_path, **QUICK)
    monkeypatch.setattr(trials, "SAVE_SECONDS", -1)
    monkeypatch.setattr(Trial, "_publish", lambda self, seconds: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finetune(config)
    monkeypatch.undo()
    write(config.train, examples(200, seed=9))
    with pytest.raises(ValueError, match="train_sha256"):
        finetune(config)


def test_a_task_that_means_something_else_is_another_setting(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = tmp_path / "own.toml"
    catalogue.write_text('[red]\ntask = "text-classification"\n')
    config = settings(folder, tmp_path, **QUICK, task="red", catalogue=catalogue)
    monkeypatch.setattr(trials, "SAVE_SECONDS", -1)
    monkeypatch.setattr(Trial, "_publish", lambda self, seconds: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finetune(config)
    catalogue.write_text('[red]\nlabel_names = { yes = "no", no = "yes" }\ntask = "text-classification"\n')
    with pytest.raises(ValueError, match="task_sha256"):
        finetune(config)
    catalogue.write_text('# the same\n[red]\ntask = "text-classification"\n[blue]\ntask = "ner"\n')
    with pytest.raises(ZeroDivisionError):
        finetune(config)


def test_it_is_evaluated_every_epoch_or_as_often_as_is_said(folder: Path, whole: Path, tmp_path: Path) -> None:
    assert [line["step"] for line in metrics(whole, "held_out")] == [12, 25, 38]  # 200 examples in steps of 16
    config = settings(folder, tmp_path, **QUICK, evaluate_every=15)
    finetune(config)
    assert [line["step"] for line in metrics(config.output, "held_out")] == [15, 30, 38]
    assert [line["step"] for line in metrics(config.output, "train")][-1] == 38


def test_the_best_evaluation_s_weights_are_kept(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of four evaluations is made the best one; what is written scores as it did then."""
    config = settings(folder, tmp_path, epochs=4, learning_rate=1e-3)
    scored, kept = Trial._scored, {}

    def second_is_best(self: Trial, step: int) -> Evaluation:
        kept[step] = {name: tensor.detach().clone() for name, tensor in self.trainable.items()}
        found = scored(self, step)
        return replace(found, scores={**found.scores, found.main: 1.0 if step == 25 else 0.5})

    monkeypatch.setattr(Trial, "_scored", second_is_best)
    result = finetune(config)
    monkeypatch.undo()
    assert result["step"] == 25
    judge = pipeline("text-classification", str(config.output))
    written = dict(judge.model.named_parameters())
    assert all(torch.equal(written[name], tensor) for name, tensor in kept[25].items())
    assert any(not torch.equal(written[name], tensor) for name, tensor in kept[50].items())
    at_25 = next(line for line in metrics(config.output, "held_out") if line["step"] == 25)
    assert score(judge.model, judge.tokenizer, judge.options, examples(60, seed=1))["macro_f1"] == at_25["macro_f1"]


def test_it_stops_when_nothing_gets_better(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, epochs=30, evaluate_every=10, patience=2, learning_rate=1e-9)
    result = finetune(config)
    assert result["step"] == 10
    assert [line["step"] for line in metrics(config.output, "held_out")] == [10, 20, 30]
