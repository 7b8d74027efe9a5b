"""Nothing at the output of a fit is lost, and what cannot be written is refused before training."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from electra.commands.finetune import finetune
from electra.files.output_places import holding_folder
from electra.finetuning.output import output_folder
from electra.finetuning.trial import Trial
from electra.models import ElectraForPreTraining
from tests.finetuning.toy import examples, settings, write

COMMAND = """
import json, sys
from electra import finetune
finetune(**json.loads(sys.argv[1]))
"""


def start(config: Any, **changes: Any) -> subprocess.Popen[str]:
    values = {**vars(config), **changes}
    given = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    command = [sys.executable, "-c", COMMAND, json.dumps(given)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_two_fits_into_one_output(folder: Path, tmp_path: Path, seed: int) -> None:
    """The first one holds the output from start to end, and the second one is refused before it does anything."""
    config = settings(folder, tmp_path, epochs=15, patience=15)
    first = start(config)
    holder = tmp_path / ".out.lock-holder"
    deadline = time.monotonic() + 60
    while not holder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    second = start(config, seed=seed)
    _, refused = second.communicate(timeout=120)
    _, said = first.communicate(timeout=240)
    assert (first.returncode, second.returncode) == (0, 1), said + refused
    assert f"another process (process {first.pid} on" in refused
    assert json.loads((config.output / "scores.json").read_text())["settings"]["seed"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.jsonl", "out", "train.jsonl"]


def test_another_verb_holds_the_output(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path)
    with holding_folder(config.output, {}), pytest.raises(BlockingIOError, match=r"writes .*out: wait until it ends"):
        finetune(config)
    assert not config.unfinished.exists()


def test_a_folder_made_meanwhile_stays_and_the_work_too(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(folder, tmp_path, epochs=1)
    evaluate = Trial.evaluate

    def meanwhile(self: Trial, step: int, values: Any = None) -> None:
        config.output.mkdir()
        (config.output / "mine.txt").write_text("mine")
        evaluate(self, step, values)

    monkeypatch.setattr(Trial, "evaluate", meanwhile)
    with pytest.raises(ValueError, match="made by somebody else meanwhile"):
        finetune(config)
    assert [path.name for path in config.output.iterdir()] == ["mine.txt"]
    (config.output / "mine.txt").unlink()
    monkeypatch.undo()
    monkeypatch.setattr(Trial, "take_steps", None)  # all steps were taken before
    assert finetune(config)["scores"]


def test_an_earlier_fit_is_replaced_only_when_asked_for(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, epochs=1)
    finetune(config)
    with pytest.raises(ValueError, match="is there already"):
        finetune(settings(folder, tmp_path, epochs=1, seed=3))
    result = finetune(settings(folder, tmp_path, epochs=1, seed=3, overwrite=True))
    assert result["seed"] == 3
    assert json.loads((config.output / "scores.json").read_text())["seed"] == 3
    (config.output / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        finetune(settings(folder, tmp_path, epochs=1, overwrite=True))
    assert (config.output / "notes.txt").read_text() == "mine"


def test_an_input_is_no_output(folder: Path, tmp_path: Path) -> None:
    for changes in ({"output": folder}, {"output": tmp_path / "train.jsonl"}, {"output": folder.parent}):
        with pytest.raises(ValueError, match=r"the output .* is (there already|a file)"):
            finetune(settings(folder, tmp_path, **changes, overwrite=True))
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"a link to .*nowhere, where there is nothing"):
        finetune(settings(folder, tmp_path, output=tmp_path / "link"))


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(*_: Any) -> None:
        raise AssertionError("training has begun")

    monkeypatch.setattr(Trial, "__init__", trained)


@pytest.mark.usefixtures("no_training")
def test_what_cannot_be_written_is_refused_before_training(folder: Path, tmp_path: Path) -> None:
    rows = examples(20)
    surrogate = [{**row, "label": row["label"] + "\\ud800"} for row in rows]
    path = tmp_path / "surrogate.jsonl"
    path.write_text("".join(json.dumps(row).replace("\\\\ud800", "\\ud800") + "\n" for row in surrogate))
    with pytest.raises(ValueError, match=r"surrogate|cannot be written|Unicode"):
        finetune(settings(folder, tmp_path, train=path, eval=path))
    assert not (tmp_path / "out.unfinished").exists()


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("field", ["save_pretrained", "to_dict", "to_json_file"])
def test_a_field_of_the_config_that_hides_a_method(folder: Path, tmp_path: Path, field: str) -> None:
    model = Path(shutil.copytree(folder, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, field: 1}))
    with pytest.raises(ValueError, match=rf"cannot be written|{field}"):
        finetune(settings(model, tmp_path))


@pytest.mark.usefixtures("no_training")
def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output_folder, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        finetune(settings(folder, tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eval.jsonl", "train.jsonl"]
    assert write


def test_a_model_of_nan_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    """As a fit from it could only fail, it fails before training with a metric to select by, and else after it."""
    model = ElectraForPreTraining.from_pretrained(folder)
    with torch.no_grad():
        model.electra.encoder.layer[0].output.LayerNorm.bias[0] = float("nan")
    model.save_pretrained(tmp_path / "nan")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (folder / name).exists():
            shutil.copy(folder / name, tmp_path / "nan" / name)
    for metric in (None, "accuracy"):
        config = settings(tmp_path / "nan", tmp_path, metric=metric, restarts=0)
        with pytest.raises(ValueError, match=r"NaN|nan") as refused:
            finetune(config)
        assert "\n" not in str(refused.value)
        assert not config.output.exists()
        shutil.rmtree(config.unfinished, ignore_errors=True)
