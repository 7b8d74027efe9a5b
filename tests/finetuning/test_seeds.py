"""Several seeds: the best is kept, what fails is restarted with another."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from electra.cli import main
from electra.commands.finetune import finetune
from electra.finetuning import failures
from electra.finetuning.fit import Fitting
from electra.finetuning.output.outcome import Evaluation, Outcome, best_evaluation
from electra.finetuning.seeds import best, result, run_seeds
from electra.training.progress import Reporter
from tests.finetuning.toy import examples, settings, write

SILENT = Reporter(quiet=True)
GIVEN = ("task", "train", "eval", "output", "epochs", "seeds", "device")


def outcome(seed: int, accuracy: float | None, failure: str | None = None) -> Outcome:
    scores = {} if accuracy is None else {"matthews": 0.0, "accuracy": accuracy}
    return Outcome(seed, scores, "accuracy", step=3, seconds=1.0, failure=failure)


def tried(folder: Path, tmp_path: Path, outcomes: dict[int, Outcome], **changes: Any) -> list[int]:
    config = settings(folder, tmp_path, **changes)
    return [one.seed for one in run_seeds(config, outcomes.__getitem__, SILENT)]


def test_a_seed_that_fails_is_begun_again_with_one_that_no_other_has(folder: Path, tmp_path: Path) -> None:
    outcomes = {seed: outcome(seed, 0.5, "it learnt nothing" if seed in (4, 6) else None) for seed in range(4, 9)}
    assert tried(folder, tmp_path, outcomes, seed=4, seeds=2, restarts=2) == [4, 5, 6, 7]
    assert tried(folder, tmp_path, outcomes, seed=4, seeds=2, restarts=1) == [4, 5, 6]
    assert tried(folder, tmp_path, outcomes, seed=4, seeds=2, restarts=0) == [4, 5]


def test_a_command_that_goes_on_finds_the_best_of_the_seeds_that_were_done(folder: Path, tmp_path: Path) -> None:
    """Seed 1 was the best when the work was stopped in seed 2: its model is still there when all are done."""
    config = settings(folder, tmp_path, seeds=4)
    scores = {0: 0.5, 1: 0.8, 2: 0.6, 3: 0.7}
    stopped = False

    def trial(seed: int) -> Outcome:
        nonlocal stopped
        work = config.unfinished / f"seed-{seed}"
        if seed == 2 and not stopped:
            stopped = True
            raise KeyboardInterrupt
        if not work.exists():
            (work / "fitted").mkdir(parents=True)
            (work / "checkpoints").mkdir()
            (work / "outcome.json").write_text("{}")
        return outcome(seed, scores[seed])

    with pytest.raises(KeyboardInterrupt):
        run_seeds(config, trial, SILENT)
    run_seeds(config, trial, SILENT)
    assert [path.parent.name for path in config.unfinished.glob("*/fitted")] == ["seed-1"]
    assert not list(config.unfinished.glob("*/checkpoints"))


def test_when_every_seed_diverges_it_is_an_error_that_names_each(folder: Path, tmp_path: Path) -> None:
    outcomes = {seed: outcome(seed, None, "the loss is nan") for seed in range(9)}
    with pytest.raises(ValueError, match=r"seed 0: the loss is nan; seed 1: the loss is nan.*--learning-rate"):
        tried(folder, tmp_path, outcomes, restarts=1)


def test_the_best_is_kept_and_failures_do_not_count() -> None:
    outcomes = [outcome(0, 0.7), outcome(1, 0.9, "it learnt nothing"), outcome(2, 0.8), outcome(3, None, "nan")]
    assert best(outcomes).seed == 2
    found = result(outcomes, 10)
    assert (found["seed"], found["seeds"], found["scores"]["accuracy"]) == (2, 2, 0.8)
    assert found["mean"]["accuracy"] == pytest.approx(0.75)
    assert found["deviation"]["accuracy"] == pytest.approx(statistics.stdev([0.7, 0.8]))
    assert found["failures"] == {"1": "it learnt nothing", "3": "nan"}
    assert best([outcome(0, None, "nan"), outcome(1, 0.1, "it learnt nothing")]).seed == 1
    assert best([outcome(0, math.nan), outcome(1, -0.1)]).seed == 1


def test_of_errors_the_least_is_the_best() -> None:
    main, errors = "mean_squared_error", [0.3, math.nan, 0.1, 0.2]
    assert best([Outcome(seed, {main: error}, main) for seed, error in enumerate(errors)]).seed == 2
    assert best_evaluation([Evaluation(step, main, {main: error}) for step, error in enumerate(errors)]).step == 2


def test_scores_that_are_no_numbers_are_written_and_said_as_such(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one example there is no correlation: its deviation over the seeds must not be the end of the work."""
    train = write(tmp_path / "numbers.jsonl", [{**one, "label": i + 0.5} for i, one in enumerate(examples(20))])
    held_out = write(tmp_path / "one.jsonl", [{"text": "red", "label": 0.5}])
    config = settings(folder, tmp_path, train=train, eval=held_out, epochs=1, seeds=2)
    given = [f"--{name}={value}" for name, value in vars(config).items() if name in GIVEN]
    with pytest.raises(SystemExit) as left:
        main(["finetune", str(folder), *given])
    assert left.value.code == 0

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    said = json.loads(capsys.readouterr().out, parse_constant=refuse)
    written = json.loads((config.output / "scores.json").read_text(), parse_constant=refuse)
    for found in (said, written):
        assert found["scores"]["pearson"] is found["mean"]["pearson"] is found["deviation"]["pearson"] is None
        assert found["deviation"]["mean_squared_error"] > 0
    assert "| pearson | – |  | – ± – |" in (config.output / "README.md").read_text("utf-8")
    one = Outcome(3, {"pearson": math.nan, "mean_squared_error": 1.0}, "pearson")
    one.save(tmp_path / "outcome.json")
    json.loads((tmp_path / "outcome.json").read_text(), parse_constant=refuse)
    assert math.isnan(Outcome.read(tmp_path / "outcome.json").scores["pearson"])


def test_a_diverged_fit_is_begun_again_and_that_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seed 0 is made to diverge: seed 1 takes its place, and writes what it would have written by itself."""
    losses = Fitting.losses

    def diverging(self: Fitting, part: Any) -> Any:
        found = losses(self, part)
        return {**found, "loss": found["loss"] * (math.nan if self.seed == 0 else 1)}

    alone = settings(folder, tmp_path, epochs=1, seed=1, output=tmp_path / "alone")
    finetune(alone)
    monkeypatch.setattr(Fitting, "losses", diverging)
    config = settings(folder, tmp_path, epochs=1, quiet=False)
    found = finetune(config)
    assert "seed 0 failed, the loss is NaN or infinite after step 1: restarted with seed 1" in capsys.readouterr().err
    assert found["failures"] == {"0": "the loss is NaN or infinite after step 1"}
    model = "model.safetensors"
    assert (config.output / model).read_bytes() == (alone.output / model).read_bytes()
    assert json.loads((config.output / "scores.json").read_text())["seed"] == 1


def test_a_fit_that_learns_nothing_is_begun_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate of next to nothing, every answer is the same. That is said, and the best is kept."""
    monkeypatch.setattr(failures, "STEPS_TO_LEARN", 5)
    rows = [{"text": example["text"], "label": "yes" if i % 3 else "no"} for i, example in enumerate(examples(60))]
    train = write(tmp_path / "noise.jsonl", rows)
    found = finetune(settings(folder, tmp_path, train=train, learning_rate=1e-9, epochs=2, restarts=1))
    assert found["scores"]["matthews"] == 0
    assert list(found["failures"]) == ["0", "1"]
    assert "it learnt nothing: the loss is 0.6" in found["failures"]["0"]
    learnt = finetune(settings(folder, tmp_path, output=tmp_path / "learnt"))
    assert "failures" not in learnt


def test_the_best_of_several_seeds_is_written(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-3}
    each = {}
    for seed in (1, 2):
        config = settings(folder, tmp_path, **options, seed=seed, output=tmp_path / f"seed-{seed}")
        each[seed] = finetune(config)["scores"]["accuracy"]
    assert len(set(each.values())) == 2
    caplog.clear()
    found = finetune(settings(folder, tmp_path, **options, seed=1, seeds=2))
    assert caplog.text.count("Train them before use") == 1  # and not with every seed
    kept = max(each, key=each.__getitem__)
    assert found["seed"] == kept
    assert kept == 2  # and not the first
    written = (tmp_path / "out/model.safetensors").read_bytes()
    assert written == (tmp_path / f"seed-{kept}/model.safetensors").read_bytes()
    assert found["mean"]["accuracy"] == pytest.approx(statistics.mean(each.values()))
    assert {int(seed): scores["accuracy"] for seed, scores in found["by_seed"].items()} == each


def test_with_fewer_seeds_than_before_the_best_of_them_is_fitted_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 2 was better than seed 1, whose model was removed; then seed 1 alone is asked for."""
    options: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-3, "seed": 1}
    alone = settings(folder, tmp_path, **options, output=tmp_path / "alone")
    finetune(alone)
    config = settings(folder, tmp_path, **options, seeds=2)
    with monkeypatch.context() as patch:
        patch.setattr("electra.finetuning.finetuning_run.write_output", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            finetune(config)
    assert [path.parent.name for path in config.unfinished.glob("*/fitted")] == ["seed-2"]
    finetune(replace(config, seeds=1))
    model = "model.safetensors"
    assert (config.output / model).read_bytes() == (alone.output / model).read_bytes()
    assert not config.unfinished.exists()
