"""Several processes that fit a model together: what they write is what one writes, and they decide the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from electra.commands.finetune import FinetuneConfig, finetune
from electra.finetuning.finetuning_run import _check_batch_size
from electra.text.tokenizer import ElectraTokenizer
from electra.training.distributed.processes import Processes
from electra.training.distributed.rendezvous import TIMEOUT
from tests.finetuning import toy
from tests.finetuning.toy import settings
from tests.training.test_distributed import environment, free_port, of_torchrun

QUICK: dict[str, Any] = {"task": "token-classification", "epochs": 1, "batch_size": 9, "learning_rate": 1e-3}
"""22 steps of sentences of 2 to 9 words, in batches that two processes cannot share evenly."""
DEADLINE = TIMEOUT.seconds / 2  # in which all stop when one ends: a process that hangs is waited for longer


@pytest.fixture(scope="module")
def folder(tokenizer: ElectraTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A discriminator without dropout."""
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return toy.discriminator(tmp_path_factory.mktemp("discriminator"), tokenizer, **dropout)


@pytest.fixture(scope="module")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process writes."""
    config = settings(folder, tmp_path_factory.mktemp("alone"), **QUICK)
    finetune(config)
    return config.output


WORKER = """
import math, os, signal, sys, torch
from electra import cli
from electra.finetuning import trial as trials
from electra.finetuning.fit import Fitting
from electra.training.distributed.rendezvous import rank_from_environment

torch.set_num_threads(1)
rank, step, losses = rank_from_environment().rank, 0, Fitting.losses

def disturbed(self, part):
    global step
    step += 1
    {disturb}
    return losses(self, part)

Fitting.losses = disturbed
cli.main(sys.argv[1:])
"""


def words(config: FinetuneConfig) -> list[str]:
    """The command line of these settings."""
    given = {name: value for name, value in vars(config).items() if value is not None and not isinstance(value, bool)}
    flags = {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    return ["finetune", flags.pop("--model"), *(str(word) for flag in flags.items() for word in flag)]


def launch(config: FinetuneConfig, disturb: str = "pass", count: int = 2) -> list[tuple[int, str, str]]:
    """What each process of the command line left: exit code, stdout, stderr."""
    command, port = [sys.executable, "-c", WORKER.format(disturb=disturb), *words(config)], free_port()
    processes = [
        subprocess.Popen(
            command, env=of_torchrun(rank, count, port), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in range(count)
    ]
    try:
        said = [process.communicate(timeout=DEADLINE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *out) for process, out in zip(processes, said, strict=True)]


def figures(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


def assert_equal_to_rounding(output: Path, other: Path) -> None:
    ours, theirs = (load_file(each / "model.safetensors") for each in (output, other))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        if not name.endswith("key.bias"):  # softmax takes no notice of it: its gradient is rounding
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-5, msg=lambda m, name=name: name + m)
    for mine, wanted in zip(figures(output), figures(other), strict=True):
        assert mine.keys() == wanted.keys()
        assert mine["step"] == wanted["step"]
        for name in mine.keys() - {"seconds", "split", "main"}:
            assert mine[name] == pytest.approx(wanted[name], rel=1e-4 if name == "gradient_norm" else 1e-5)


def test_two_processes_equal_one(folder: Path, alone: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, **QUICK, quiet=False)
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "electra", *words(config)]
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_equal_to_rounding(config.output, alone)
    assert json.loads(done.stdout)["scores"] == json.loads((alone / "scores.json").read_text())["scores"]
    assert done.stderr.count("step 22 of 22") == 1
    assert done.stderr.count("Train them before use") == 1
    assert not config.unfinished.exists()


def test_a_signal_to_one_stops_all_and_one_alone_goes_on(folder: Path, alone: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, **QUICK)
    left = launch(config, "(rank, step) == (1, 7) and os.kill(os.getpid(), signal.SIGTERM)")
    assert [code for code, _, _ in left] == [75, 75], left
    # the step in which the signal came, and the one in which the others heard of it
    assert [path.name for path in (config.unfinished / "seed-0/checkpoints").iterdir()] == ["step-8"]
    assert "stopped after step 8 of 22" in left[0][2]
    assert left[1][1:] == ("", "")
    finetune(config)
    assert_equal_to_rounding(config.output, alone)


def test_a_batch_that_is_too_small_for_the_processes_is_refused(folder: Path, tmp_path: Path) -> None:
    three = Processes.__new__(Processes)
    three.world_size = 3
    with pytest.raises(ValueError, match="a batch of 2 examples cannot be shared by 3 processes"):
        _check_batch_size(settings(folder, tmp_path, batch_size=2), three)


def test_a_batch_that_is_larger_than_the_examples_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_size is 1000000: it must be at most \d+, the training examples"):
        finetune(settings(folder, tmp_path, batch_size=1_000_000))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disturb", "said"),
    [
        ("(rank, step) == (1, 7) and os.kill(os.getpid(), signal.SIGKILL)", "cannot be reached: one has ended"),
        ("if (rank, step) == (0, 7): raise OSError('the disk is full')", "the disk is full"),
    ],
    ids=["killed", "first failed"],
)
def test_when_one_ends_all_end(disturb: str, said: str, folder: Path, tmp_path: Path) -> None:
    (first, _, first_said), (other, _, other_said) = launch(settings(folder, tmp_path, **QUICK), disturb)
    assert first == 1
    assert other in (1, -signal.SIGKILL)
    assert said in first_said
    assert "Traceback" not in first_said + other_said


@pytest.mark.slow
def test_all_decide_the_same(folder: Path, tmp_path: Path) -> None:
    """Seeds, a loss that is NaN in one process alone, early stopping, and the answers of a teacher."""
    teacher = settings(folder, tmp_path, **QUICK, output=tmp_path / "teacher")
    finetune(teacher)
    options: dict[str, Any] = {**QUICK, "evaluate_every": 4, "patience": 1, "teacher": str(teacher.output)}
    config = settings(folder, tmp_path, **options, seeds=2, restarts=1)
    left = launch(
        config, "if (rank, step) == (1, 5): return {name: v * math.nan for name, v in losses(self, part).items()}"
    )
    assert [code for code, _, _ in left] == [0, 0], left
    assert left[1][1:] == ("", "")
    found = json.loads(left[0][1])
    assert list(found["failures"]) == ["0"]
    alone = finetune(settings(folder, tmp_path, **options, seeds=2, seed=1, output=tmp_path / "alone"))
    assert found["by_seed"] == alone["by_seed"]


@pytest.mark.interop
def test_adapters_of_two_processes_equal_those_of_one(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    alone = settings(folder, tmp_path, **QUICK, lora=2, output=tmp_path / "alone")
    finetune(alone)
    config = settings(folder, tmp_path, **QUICK, lora=2)
    left = launch(config)
    assert [code for code, _, _ in left] == [0, 0], left
    assert_equal_to_rounding(config.output, alone.output)
