"""Every example runs, at a small size, and the command that it states does what it does."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from electra import cli
from electra.commands.finetune import FinetuneConfig
from electra.text.training.vocabulary import train_vocabulary
from tests.finetuning.toy import discriminator

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def load(path: Path) -> Any:
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def stated(module: Any) -> FinetuneConfig:
    """The command of an example's docstring, as the command line reads it."""
    command = re.search(r"electra (finetune MODEL .*?)\nExpected", module.__doc__, flags=re.DOTALL)
    assert command is not None
    app = cli.application()
    config = app(command[1].split(), exit_on_error=False, print_error=False)
    assert isinstance(config, FinetuneConfig)
    return config


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_its_command_does_the_same(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load(path)
    text = re.sub(r"[^\w.?]+", " ", json.dumps(module.rows(200, 0)).lower())
    tokenizer = train_vocabulary([text] * 3, size=400)
    model = discriminator(tmp_path / "model", tokenizer, max_position_embeddings=64)
    used: list[FinetuneConfig] = []
    fit = module.finetune
    monkeypatch.setattr(module, "finetune", lambda config: (used.append(config), fit(replace(config, quiet=True)))[1])
    result = module.main([str(model), "--folder", str(tmp_path / path.stem), "--examples", "12"])
    assert all(map(math.isfinite, result["scores"].values()))
    assert json.loads(capsys.readouterr().out.splitlines()[0]) == result["scores"]

    told = stated(module)
    names = {name: tmp_path / getattr(told, name) for name in ("train", "eval", "output")}
    assert used == [replace(told, model=str(model), **names)]
    first = json.loads(names["train"].read_text().splitlines()[0])
    sample = re.search(r"such as (\{.*)$", module.__doc__, flags=re.MULTILINE)
    assert sample is not None
    assert re.findall(r'"(\w+)":', sample[1]) == [key for key in first if f'"{key}":' in sample[1]]
    assert "Expected" in module.__doc__


def test_every_task_with_labels_has_an_example() -> None:
    from electra.tasks.catalogue import LABELLED_TASKS

    names = {path.stem.replace("_", "-") for path in EXAMPLES}
    assert {task.name for task in LABELLED_TASKS} <= names
