"""The folder of a run: settings, metrics, checkpoints, and what is refused."""

from __future__ import annotations

import logging
import os
import shutil
import tomllib
from pathlib import Path

import pytest
import torch

from electra.files.locks import LOCK_FILES
from electra.training.run.checkpoints import Checkpoint, Checkpoints
from electra.training.run.run_folder import Run, read_metrics
from electra.training.run.settings import read_settings, write_settings

SETTINGS = {"files": ("a.txt", 'a "b"\n\x7fé😀.txt'), "length": 128, "rate": 5e-05, "cased": True, "vocab": None}


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint(step, {"networks": {"w": torch.full((3,), float(step))}, "optimizer": {"w.m": torch.ones(2)}})


def test_settings_survive_the_file(tmp_path: Path) -> None:
    write_settings(tmp_path / "config.toml", SETTINGS, title="A run")
    assert tomllib.loads((tmp_path / "config.toml").read_text())["rate"] == 5e-05
    assert read_settings(tmp_path / "config.toml") == {k: v for k, v in SETTINGS.items() if v is not None}


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "c").save(checkpoint(7))
    found = Checkpoints(tmp_path / "c").latest()
    assert found is not None
    assert found.step == 7
    assert torch.equal(found.tensors["networks"]["w"], torch.full((3,), 7.0))
    assert set(found.tensors["optimizer"]) == {"w.m"}


def test_the_last_few_are_kept_by_number_not_by_name(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    assert checkpoints.latest() is None
    for step in (9, 10, 100):
        checkpoints.save(checkpoint(step))
    assert checkpoints.steps() == [10, 100]


STATES = [
    "[]",
    "{",
    "{}",
    '{"step": 2, "sha256": []}',
    '{"step": "2", "sha256": {}}',
    '{"step": 1, "sha256": {"a": "b"}}',
]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no state", "no tensors", *STATES])
def test_a_damaged_latest_one_is_passed_over(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save(checkpoint(step))
    file = tmp_path / "step-2" / "networks.safetensors"
    if damage in STATES:
        (tmp_path / "step-2" / "state.json").write_text(damage)
    elif damage == "no state":
        (tmp_path / "step-2" / "state.json").unlink()
    elif damage == "no tensors":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data[:-4] if damage == "truncated" else data)
    with caplog.at_level(logging.WARNING, logger="electra"):
        found = checkpoints.latest()
    assert found is not None
    assert found.step == 1
    assert "step-2 is damaged and skipped" in caplog.text


def damaged_after_20(folder: Path) -> Run:
    """A run that is to go on, of whose three checkpoints the first alone can be read."""
    run = Run(folder, SETTINGS, keep=2)
    for step in (20, 40, 50):
        Checkpoints(folder / "checkpoints").save(checkpoint(step))
    for step in (40, 50):
        (folder / "checkpoints" / f"step-{step}" / "state.json").write_text("")
    return run


def test_damaged_later_ones_do_not_count_as_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They were, and pushed out the one just written: the run had none left."""
    run = damaged_after_20(tmp_path)
    found = run.checkpoints.latest()
    assert found is not None
    run.checkpoints.save(checkpoint(32))
    assert run.checkpoints.steps() == [20, 32, 40, 50]
    run.checkpoints.save(checkpoint(34))
    assert run.checkpoints.steps() == [32, 34, 40, 50]


def test_what_was_passed_over_is_set_aside_when_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = damaged_after_20(tmp_path)
    (run.checkpoints.folder / "passed-over-step-50").mkdir()
    run.rewind(20)
    assert run.checkpoints.last_path() == run.checkpoints.path(20)
    aside = [run.checkpoints.folder / f"passed-over-step-{name}" for name in ("40", "50", "50-2")]
    assert sorted(run.checkpoints.folder.iterdir()) == [*aside, run.checkpoints.path(20)]
    assert (aside[2] / "networks.safetensors").is_file()
    assert f"step-40 is now {aside[0]}: remove it if you need nothing of it" in caplog.text
    run.checkpoints.save(checkpoint(40))
    assert run.checkpoints.steps() == [20, 40]


def test_when_all_are_damaged_nothing_starts_from_zero_in_silence(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(checkpoint(1))
    (tmp_path / "step-1" / "state.json").write_text("{")
    with pytest.raises(ValueError, match=r"every checkpoint in .* is damaged: to restart from step 0, remove"):
        checkpoints.latest()


def test_a_checkpoint_that_cannot_be_written_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(checkpoint(1))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("electra.training.run.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(checkpoint(2))
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    with Run(tmp_path / "run", SETTINGS) as run:
        run.checkpoints.save(checkpoint(2))
    left = tmp_path / "run" / "checkpoints" / ".step-3.ab12.partial"
    left.mkdir()
    (left / ".file.cd34.partial").touch()
    with Run(tmp_path / "run", SETTINGS):
        assert [path.name for path in left.parent.iterdir()] == ["step-2"]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".config.toml.ab12.partial").touch()  # killed before anything else was there
    with Run(tmp_path / "new", SETTINGS) as run:
        assert {path.name for path in run.folder.iterdir()} == {"config.toml", *LOCK_FILES}


def test_a_checkpoint_that_a_killed_writer_was_replacing_is_given_back(tmp_path: Path) -> None:
    with Run(tmp_path / "run", SETTINGS) as run:
        for step in (1, 2):
            run.checkpoints.save(checkpoint(step))
    folder = run.checkpoints.folder
    (folder / "step-2").rename(folder / ".step-2.ab12.replaced")  # and no new one came
    shutil.copytree(folder / "step-1", folder / ".step-1.cd34.replaced")  # the new one has come
    with Run(tmp_path / "run", SETTINGS) as run:
        found = run.checkpoints.latest()
        assert found is not None
        assert found.step == 2
    assert sorted(path.name for path in folder.iterdir()) == ["step-1", "step-2"]


def test_metrics_are_rewound_to_the_checkpoint(tmp_path: Path) -> None:
    with Run(tmp_path / "run", SETTINGS) as run:
        for step in (10, 20, 30):
            run.log({"step": step, "loss": 1.0})
        with run.metrics.open("a") as file:
            file.write('{"step": 5, "lo')  # killed while it wrote
        run.rewind(20)
        assert [line["step"] for line in run.read_metrics()] == [10, 20]


def test_a_run_with_a_checkpoint_keeps_its_settings(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Run(folder, SETTINGS) as run:
        assert run.unchanged
    other = SETTINGS | {"length": 64, "vocab": "v.txt"}
    assert not Run(folder, other).unchanged  # nothing is trained yet: allowed
    run.checkpoints.save(checkpoint(1))
    with pytest.raises(ValueError, match=r"length: 128 before, 64 now; vocab: not set before, \"v.txt\" now"):
        Run(folder, other)
    with Run(folder, SETTINGS | {"length": 64}, changeable={"length"}) as run:
        assert run.unchanged


def test_outputs_that_are_no_place_for_a_run(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="is a file: give a folder"):
        Run(file, SETTINGS)
    with pytest.raises(ValueError, match="has files in it and is not a run"):
        Run(tmp_path, SETTINGS)
    with pytest.raises(OSError, match="file"), Run(file / "run", SETTINGS):
        pass
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("not toml")
    with pytest.raises(ValueError, match=r"config\.toml is not a settings file"):
        assert not Run(tmp_path / "run", SETTINGS).unchanged


def test_a_new_folder_goes_when_the_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty corpus"), Run(tmp_path / "run", SETTINGS):
        raise ValueError("empty corpus")
    assert not any(tmp_path.iterdir())


def test_a_new_folder_with_a_checkpoint_stays(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", SETTINGS)
    with pytest.raises(ValueError, match="later"), run:
        raise run.checkpoints.save(checkpoint(1)) and ValueError("later")
    assert run.checkpoints.steps() == [1]


@pytest.mark.parametrize("error", [OSError("the disk is full"), UnicodeEncodeError("utf-8", "\udce9", 0, 1, "no text")])
def test_a_folder_that_could_not_be_opened_is_not_locked(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("electra.training.run.run_folder.write_settings", fail)
        with pytest.raises(type(error)), Run(tmp_path / "run", SETTINGS):
            pass
    with Run(tmp_path / "run", SETTINGS) as run:
        assert run.unchanged


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    refused = rf"another process \(process {os.getpid()} on .*\) works in"
    with Run(tmp_path / "run", {}):
        # a lock is of an open file, so a second one in this process stands for that of another
        with (
            pytest.raises(OSError, match=refused),
            Run(tmp_path / "run", {}),
        ):
            pass
        with (
            pytest.raises(OSError, match=refused),
            Run(tmp_path / "run", {}),
        ):
            pass  # the refused one has not let go of the first one's
    with Run(tmp_path / "run", {}):
        pass


def test_a_damaged_line_of_metrics_is_named(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    numbers = ("null", '"1"', "1.5", "true", "Infinity")
    for line in ("{", "[1]", '{"loss": 1}', *(f'{{"step": {number}}}' for number in numbers), "\x00"):
        file.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
        with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2 is damaged"):
            list(read_metrics(file))


def test_a_last_line_that_is_not_written_to_its_end_is_left_out(tmp_path: Path) -> None:
    with Run(tmp_path / "run", SETTINGS) as run:
        run.log({"step": 1})
        with run.metrics.open("a") as file:
            file.write('{"step": 2}')
        assert [line["step"] for line in run.read_metrics()] == [1]
        run.rewind(2)
        run.log({"step": 2})
        assert [line["step"] for line in run.read_metrics()] == [1, 2]
