"""What a real run says beyond its losses: figures, alarms, text, and where all of it goes."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from electra.commands.pretrain import pretrain
from electra.data.dataset.shards import Shards
from electra.pretraining import pretraining_run as verb
from electra.pretraining.monitoring import alarms
from electra.pretraining.monitoring.monitor import unigram_entropy
from electra.pretraining.monitoring.pretraining_card import command
from electra.pretraining.monitoring.samples import SAMPLES
from electra.pretraining.session import Pretraining
from electra.reporting import curves
from electra.training.run.checkpoints import Checkpoints
from electra.training.trainer import Trainer
from tests.pretraining.toy import toy


def records(run: Path, split: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["split"] == split]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a healthy run."""
    found = pretrain(toy(tmp_path_factory.mktemp("toy")))
    assert found is not None
    return found


def test_a_healthy_run_is_told_in_figures_and_raises_no_alarm(run: Path) -> None:
    assert records(run, "alarm") == []
    assert [(line["step"], "torch" in line["machine"]) for line in records(run, "start")] == [(0, True)]
    reports = records(run, "train")
    first, last = reports[0], reports[-1]
    [shards] = [Shards(folder, "train") for folder in (run / "examples").iterdir()]
    assert last["epoch"] == pytest.approx(12 * 4 / len(shards))
    assert 0 < first["tokens_seen"] < last["tokens_seen"] <= 12 * 4 * 24
    assert last["tokens_seen"] == pytest.approx(sum(line["tokens_per_second"] * line["seconds"] for line in reports))
    assert 0 < last["model_flops_utilization"] < 1
    assert last["peak_memory_bytes"] > 2**26


def test_the_report_is_written_at_the_end(run: Path) -> None:
    text = (run / "report.html").read_text("utf-8")
    assert "step 12 of 12" in text
    assert "<svg" in text
    assert "Held-out text" in text


def test_samples_are_held_out_text(run: Path) -> None:
    told = json.loads((run / "samples.json").read_text())
    [shards] = [Shards(folder, "held_out") for folder in (run / "examples").iterdir()]
    words = (run.parent / "vocab.txt").read_text().split()
    texts = {" ".join(words[i] for i in example if words[i] not in ("[CLS]", "[SEP]")) for example in shards}
    assert told["step"] == 12
    assert len(told["rows"]) == min(SAMPLES, len(shards))
    assert {" ".join(token["original"] for token in row) for row in told["rows"]} <= texts
    tokens = [token for row in told["rows"] for token in row]
    assert all(0 <= token["probability"] <= 1 for token in tokens)
    assert any("sampled" in token for token in tokens)
    assert all(token["masked"] and token["sampled"] != token["original"] for token in tokens if "sampled" in token)


def test_the_card_says_how_it_was_made(run: Path) -> None:
    card = (run / "discriminator" / "README.md").read_text()
    assert f"electra pretrain {run.parent / 'text.txt'} --output {run} --size tiny --steps 12" in card
    assert f"{records(run, 'train')[-1]['tokens_seen']:,} tokens" in card
    assert "| discriminator_auc |" in card


def test_the_command_of_a_run_leaves_out_what_is_by_default(tmp_path: Path) -> None:
    config = toy(tmp_path, files=("a b.txt", "c.txt"), vocab=None, quiet=False, dropout=0.1, cased=True)
    assert command(config) == (
        f"electra pretrain 'a b.txt' c.txt --output {tmp_path / 'run'} --size tiny --steps 12 --batch-size 4 "
        "--max-length 24 --cased --held-out-fraction 0.1 --report-every 4 --evaluate-every 6 "
        "--evaluate-examples 4 --save-every 6 --device cpu"
    )


class Tracker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def log(self, record: Any) -> None:
        self.told.append((record["step"], record["split"]))

    def close(self) -> None:
        self.told.append("closed")


def test_an_alarm_is_printed_written_tracked_and_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = Tracker()
    rule = ((lambda watch, step: "a made-up reason" if step >= 8 else None), "Do this")
    monkeypatch.setattr(alarms, "RULES", {"made-up": rule})
    monkeypatch.setattr(verb, "require_tracker", lambda name: None)
    monkeypatch.setattr(verb, "open_tracker", lambda *arguments, **options: tracker)
    run = pretrain(toy(tmp_path, tracker="wandb", quiet=False))
    assert run is not None
    expected = {"step": 8, "split": "alarm", "alarm": "made-up", "reason": "a made-up reason", "remedy": "Do this"}
    assert records(run, "alarm") == [expected]
    assert capsys.readouterr().err.count("alarm at step 8, made-up: a made-up reason. Do this") == 1
    assert "a made-up reason" in (run / "report.html").read_text()
    assert "step 8, made-up: a made-up reason" in (run / "discriminator" / "README.md").read_text()
    assert tracker.told.count((8, "alarm")) == 1
    assert tracker.told[-1] == "closed"


def test_a_run_that_breaks_down_leaves_a_report_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pretraining, "learning_rate", lambda self, step: math.inf if step > 6 else 1e-4)
    with pytest.raises(ValueError, match="is NaN or infinite"):
        pretrain(toy(tmp_path))
    [told] = records(tmp_path / "run", "alarm")
    assert told["alarm"] == "numbers"
    assert "step-6" in told["remedy"]
    assert "is NaN or infinite" in (tmp_path / "run" / "report.html").read_text()


def test_without_matplotlib_the_run_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    run = pretrain(toy(tmp_path, steps=1, quiet=False))
    assert run is not None
    assert "pip install 'electra[report]'" in capsys.readouterr().err
    assert (run / "report.html").is_file()
    assert (run / "discriminator").is_dir()


def test_a_report_that_fails_is_not_the_end_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(verb, "write_report", broken)
    run = pretrain(toy(tmp_path, steps=1, quiet=False))
    assert "the report was not written: OSError(28" in capsys.readouterr().err
    assert (run / "discriminator").is_dir()  # type: ignore[operator]


def test_a_missing_tracker_is_said_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match=r"pip install 'electra\[wandb\]'"):
        pretrain(toy(tmp_path, tracker="wandb"))
    assert not (tmp_path / "run").exists()


def test_the_entropy_of_frequencies(run: Path) -> None:
    [shards] = [Shards(folder, "train") for folder in (run / "examples").iterdir()]
    special = (2, 3, 4)
    counts = Counter(int(i) for example in shards for i in example if i not in special)
    total = counts.total()
    expected = -sum(n / total * math.log(n / total) for n in counts.values())
    assert unigram_entropy(shards, special) == pytest.approx(expected)


def test_masked_language_modelling_has_figures_samples_and_a_report(tmp_path: Path) -> None:
    run = pretrain(toy(tmp_path, objective="mlm"))
    assert run is not None
    assert 0 < records(run, "train")[-1]["model_flops_utilization"] < 1
    tokens = [token for row in json.loads((run / "samples.json").read_text())["rows"] for token in row]
    assert all((token["probability"] > 0) == token["masked"] for token in tokens)
    assert "<svg" in (run / "report.html").read_text()


def test_evaluations_and_checkpoints_do_not_count_for_the_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come between reports; the time of a report is that of its own steps in training alone."""
    evaluate, save = Pretraining._evaluated, Checkpoints.save

    def slow_evaluation(self: Pretraining, step: int) -> dict[str, float]:
        time.sleep(1.5)
        return evaluate(self, step)

    def slow_save(self: Checkpoints, checkpoint: Any) -> Path:
        time.sleep(1.5)
        return save(self, checkpoint)

    monkeypatch.setattr(Pretraining, "_evaluated", slow_evaluation)
    monkeypatch.setattr(Checkpoints, "save", slow_save)
    run = pretrain(toy(tmp_path, steps=12, report_every=4, evaluate_every=2, save_every=3))
    assert run is not None
    reports = records(run, "train")
    for line in reports:
        assert line["seconds"] < 1.5
        assert 0 < line["model_flops_utilization"] <= 1
    seen = [0, *(line["tokens_seen"] for line in reports)]
    tokens = [after - before for before, after in pairwise(seen)]
    assert [round(line["tokens_per_second"] * line["seconds"]) for line in reports] == tokens
    assert all(line["seconds"] > 1.5 for line in records(run, "held_out"))


def test_after_a_restart_the_speed_is_that_of_the_steps_of_this_process(tmp_path: Path) -> None:
    """A checkpoint keeps the tokens since the last report, but not their seconds."""
    steps: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "highest", lambda self, number: steps.append(1) or 75 * (len(steps) == 7))
        with pytest.raises(SystemExit):
            pretrain(toy(tmp_path, report_every=8))
    run = pretrain(toy(tmp_path, report_every=8))
    assert run is not None
    first = records(run, "train")[0]
    assert first["step"] == 8
    of_one_step = first["tokens_per_second"] * first["seconds"]
    assert first["tokens_seen"] / 12 < of_one_step < first["tokens_seen"] / 4  # not of all eight


def test_more_than_the_peak_is_the_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peak that was measured on a busy machine is too low."""
    monkeypatch.setattr("electra.hardware.machine.peak_flops", lambda device, precision, tf32: 1.0)
    run = pretrain(toy(tmp_path))
    assert run is not None
    assert all(0 < line["model_flops_utilization"] <= 1 for line in records(run, "train"))
