"""What a dry run tells, against what the run then is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from electra.commands.pretrain import pretrain
from electra.data.preparation.prepare import prepare
from electra.pretraining import plan as planning
from electra.pretraining.cost import STATE_BYTES
from electra.text.training.vocabulary import read_vocabulary
from tests.pretraining.toy import toy, write_text

Captured = pytest.CaptureFixture[str]


def planned(capsys: Captured, folder: Path, **changes: Any) -> dict[str, Any]:
    """The plan of a toy run, of which nothing is left in the folder but its text and vocabulary."""
    config = toy(folder, dry_run=True, json=True, **changes)
    before = sorted(folder.rglob("*"))
    assert pretrain(config) is None
    assert sorted(folder.rglob("*")) == before
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_plan_is_what_the_run_becomes(tmp_path: Path, capsys: Captured) -> None:
    plan = planned(capsys, tmp_path, steps=3, save_every=1)
    run = pretrain(toy(tmp_path, steps=3, save_every=1))
    assert run is not None
    last = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()][-2]
    assert plan["text_share"] == 1
    assert plan["steps"] * plan["batch_size"] == 12
    assert plan["epochs"] == pytest.approx(last["epoch"])
    assert plan["tokens"] == pytest.approx(last["tokens_seen"], rel=0.2)  # 12 examples are of any length
    assert plan["hours"] == pytest.approx(plan["tokens"] / plan["tokens_per_second"] / 3600, rel=1e-3)
    checkpoint = sum(file.stat().st_size for file in (run / "checkpoints" / "step-3").iterdir())
    assert plan["checkpoint_bytes"] == pytest.approx(checkpoint, rel=0.02)
    assert plan["memory_bytes"] > STATE_BYTES * plan["parameters"]
    assert plan["warnings"] == []


def test_of_a_run_that_is_there_the_steps_that_are_left_are_told(tmp_path: Path, capsys: Captured) -> None:
    assert planned(capsys, tmp_path)["steps_left"] == 12
    (tmp_path / "run" / "checkpoints" / "step-9").mkdir(parents=True)
    plan = planned(capsys, tmp_path)
    assert (plan["steps"], plan["steps_left"]) == (12, 3)
    pretrain(toy(tmp_path, dry_run=True))
    assert "left 3 steps, 0.0 hours" in " ".join(capsys.readouterr().out.split())


def test_a_part_of_the_text_stands_for_all(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [str(write_text(tmp_path / f"part{number}.txt", 1500, number)) for number in range(2)]
    with gzip.open(tmp_path / "part2.txt.gz", "wt") as packed:
        packed.write(write_text(tmp_path / "unpacked.txt", 1500, 2).read_text())
    (tmp_path / "unpacked.txt").unlink()
    whole = planned(capsys, tmp_path, files=(*files, str(tmp_path / "part2.txt.gz")))
    monkeypatch.setattr(planning, "SAMPLE_BYTES", 3 * 2**16)
    for some in (tuple(files), (*files, str(tmp_path / "part2.txt.gz"))):
        estimated = planned(capsys, tmp_path, files=some)
        assert 0 < estimated["text_share"] < 1
        assert estimated["text_tokens"] == pytest.approx(len(some) / 3 * whole["text_tokens"], rel=0.1)
        assert estimated["examples"] == pytest.approx(len(some) / 3 * whole["examples"], rel=0.1)
        assert estimated["parameters"] == whole["parameters"]


def test_a_few_of_many_files_stand_for_all(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    files = tuple(str(write_text(tmp_path / f"part{number}.txt", 100, number)) for number in range(6))
    whole = planned(capsys, tmp_path, files=files)
    monkeypatch.setattr(planning, "SAMPLE_FILES", 3)
    estimated = planned(capsys, tmp_path, files=files)
    assert estimated["text_share"] == pytest.approx(0.5, rel=0.1)
    assert estimated["text_tokens"] == pytest.approx(whole["text_tokens"], rel=0.1)


def test_the_vocabulary_that_will_be_trained_is_counted_whole(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (str(write_text(tmp_path / "long.txt", 1200)),)
    there = planned(capsys, tmp_path, files=text, vocab=None, vocab_size=60)
    monkeypatch.setattr(planning, "SAMPLE_BYTES", 2**16)
    more = planned(capsys, tmp_path, files=text, vocab=None, vocab_size=1060)
    assert there["vocabulary_size"] <= 60
    assert more["vocabulary_size"] == 1060
    entry = 64 + 1  # an embedding and the output's bias
    added = more["vocabulary_size"] - there["vocabulary_size"]
    assert more["parameters"] == there["parameters"] + added * entry


def test_a_step_that_is_shared_into_parts_needs_less_memory(tmp_path: Path, capsys: Captured) -> None:
    one, four = (planned(capsys, tmp_path, accumulate=parts) for parts in (1, 4))
    state = STATE_BYTES * one["parameters"]
    assert four["memory_bytes"] - state == pytest.approx((one["memory_bytes"] - state) / 4, rel=0.01)


def test_several_processes_are_counted_and_the_plan_is_printed_once(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = planned(capsys, tmp_path)
    for name, value in {"RANK": 0, "WORLD_SIZE": 4, "LOCAL_RANK": 0}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(planning, "_measure", lambda training, examples: (examples, 1000.0, 50.0))
    four = planned(capsys, tmp_path)
    assert (one["processes"], four["processes"]) == (1, 4)
    assert four["measured_examples"] == one["batch_size"] / 4
    assert four["tokens_per_second"] == 4000
    step_tokens = four["tokens"] / four["steps"]
    assert four["memory_bytes"] - STATE_BYTES * four["parameters"] == pytest.approx(50 * step_tokens / 4, rel=0.01)
    pretrain(toy(tmp_path, dry_run=True))
    assert "4 processes, each on" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(ValueError, match="batch of 4 examples cannot be shared by 4 processes in 2 parts"):
        pretrain(toy(tmp_path, dry_run=True, accumulate=2))
    monkeypatch.setenv("RANK", "1")
    assert pretrain(toy(tmp_path, dry_run=True)) is None
    assert capsys.readouterr().out == ""


def test_prepared_examples_are_counted_exactly(tmp_path: Path, capsys: Captured) -> None:
    of_text = planned(capsys, tmp_path)
    config = toy(tmp_path)
    tokenizer = read_vocabulary(config.vocab)
    options = {"length": config.recipe.max_length, "held_out_fraction": config.held_out_fraction, "seed": config.seed}
    folder = prepare(config.files, tokenizer, tmp_path / "there", **options)[0].path.parent
    of_examples = planned(capsys, tmp_path, files=(str(folder),))
    assert (of_examples["examples"], of_examples["text_share"]) == (of_text["examples"], 1)


def test_the_table_says_it_in_words(tmp_path: Path, capsys: Captured) -> None:
    pretrain(toy(tmp_path, dry_run=True, steps=10_000))
    shown = " ".join(capsys.readouterr().out.split())
    for words in ("parameters, vocabulary of 22", "10,000 steps of 4 examples", "epochs 500", "hours", "MB each"):
        assert words in shown
    assert "warning the text is read" in shown


def test_what_does_not_fit_is_said(tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_memory_of", lambda device: 1000)
    monkeypatch.setattr(planning.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    memory, disk = planned(capsys, tmp_path)["warnings"]
    assert "the device has 0.0 GB of memory" in memory
    assert "free, and the run needs" in disk


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": ("-",)}, "cannot read its text from stdin"),
        ({"batch_size": 5000}, "fewer than one batch of 5000: give more text"),
        ({"json": True, "dry_run": False}, "json is True: it must be False without dry_run"),
    ],
)
def test_what_cannot_be_planned_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        pretrain(toy(tmp_path, **({"dry_run": True} | changes)))
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        pretrain(toy(tmp_path, dry_run=True, files=(str(tmp_path / "none.txt"),)))
