"""Several processes that train together equal one; they stop together, and go on in another number."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from electra.commands.pretrain import PretrainConfig, pretrain
from electra.training.distributed.processes import Processes, split_evenly
from electra.training.distributed.rendezvous import Rank, _name_of_start, first_host, rank_from_environment

WORDS = ["cat", "dog", "bird", "fish", "king", "queen", "sees", "eats", "likes", "finds", "big", "small", "old", "red"]
STEPS = 20
DEADLINE = 60.0  # seconds in which all stop when one ends


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 documents, with lines of very different lengths."""
    draw = random.Random(0)
    lines = [" ".join(draw.choices(WORDS, k=draw.randint(1, 20))) + "." for _ in range(600)]
    documents = ["\n".join(lines[start : start + draw.randint(2, 7)]) for start in range(0, 600, 7)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(documents) + "\n")
    path.with_name("vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]) + "\n"
    )
    return path


def settings(text: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """A run of seconds without dropout: batches of 7 examples, which two processes cannot share evenly."""
    given = {
        "files": (str(text),),
        "output": output,
        "size": "tiny",
        "vocab": text.with_name("vocab.txt"),
        "steps": STEPS,
        "batch_size": 7,
        "max_length": 32,
        "dropout": 0.0,
        "report_every": 5,
        "evaluate_every": 10,
        "evaluate_examples": 14,
        "save_every": 4,
        "held_out_fraction": 0.1,
        "device": "cpu",
    }
    return given | changes


@pytest.fixture(scope="module")
def alone(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one process that nothing interrupted."""
    output = tmp_path_factory.mktemp("alone") / "run"
    pretrain(PretrainConfig(**settings(text, output, quiet=True)))
    return output


WORKER = """
import json, os, signal, sys, torch
from pathlib import Path
from electra import cli
from electra.pretraining.session import Pretraining
from electra.training.distributed.rendezvous import rank_from_environment

torch.set_num_threads(1)
rank, rate = rank_from_environment().rank, Pretraining.learning_rate

def disturbed(self, step):
    {disturb}
    return rate(self, step)

Pretraining.learning_rate = disturbed
cli.main(sys.argv[1:])
"""


def words(given: Mapping[str, Any]) -> list[str]:
    """The command line of these settings."""
    flags = [[f"--{name.replace('_', '-')}", str(value)] for name, value in given.items() if name != "files"]
    return ["pretrain", *given["files"], *(word for flag in flags for word in flag)]


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def environment(**more: object) -> dict[str, str]:
    """This process's, without what a launcher has put there."""
    launched = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_", "SLURM_", "TORCHELASTIC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(launched)}
    return kept | {"OMP_NUM_THREADS": "1", **{name: str(value) for name, value in more.items()}}


def of_torchrun(rank: int, count: int, port: int) -> dict[str, str]:
    names = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return environment(**names)


def of_slurm(rank: int, count: int, port: int) -> dict[str, str]:
    names = {"SLURM_PROCID": rank, "SLURM_STEP_NUM_TASKS": count, "SLURM_NTASKS": count, "SLURM_LOCALID": rank}
    return environment(**names, SLURM_STEP_NODELIST="localhost", SLURM_JOB_ID=17, MASTER_PORT=port)


def launch(
    given: Mapping[str, Any], *, disturb: str = "pass", count: int = 2, launcher: Any = of_torchrun
) -> list[tuple[int, str, str]]:
    """What each of `count` processes of the command line left: exit code, stdout, stderr."""
    port, code = free_port(), WORKER.format(disturb=disturb)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, *words(given)],
            env=launcher(rank, count, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        said = [process.communicate(timeout=DEADLINE + 60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *out) for process, out in zip(processes, said, strict=True)]


def weights(run: Path) -> dict[str, torch.Tensor]:
    folders = {name: load_file(run / name / "model.safetensors") for name in ("discriminator", "generator")}
    return {f"{name}.{key}": tensor for name, tensors in folders.items() for key, tensor in tensors.items()}


def figures(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["split"] in ("train", "held_out")]


def assert_equal_to_rounding(run: Path, other: Path) -> None:
    """Weights and losses; the area under the curve is over pairs within a process's share, and so another."""
    ours, theirs = weights(run), weights(other)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-5, atol=1e-5, msg=lambda text, name=name: name + text)
    assert len(figures(run)) == len(figures(other)) == 6
    for mine, wanted in zip(figures(run), figures(other), strict=True):
        assert mine["step"] == wanted["step"]
        for name in ("loss", "generator_loss", "discriminator_loss", "replaced", "generator_accuracy"):
            assert mine[name] == pytest.approx(wanted[name], rel=1e-5), (mine["step"], name)
        assert mine.get("gradient_norm", 0) == pytest.approx(wanted.get("gradient_norm", 0), rel=1e-4)


def test_two_processes_equal_one(text: Path, alone: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "electra"]
    given = settings(text, output, accumulate=2)
    done = subprocess.run(
        [sys.executable, "-m", *command, *words(given)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert_equal_to_rounding(output, alone)
    assert done.stdout.split() == [str(output)]
    assert done.stderr.count(f"step {STEPS}/{STEPS}  loss") == 1
    assert [figure.get("tokens_seen") for figure in figures(output)] == [f.get("tokens_seen") for f in figures(alone)]


def test_a_signal_to_one_stops_all_and_another_number_goes_on(text: Path, alone: Path, tmp_path: Path) -> None:
    given = settings(text, tmp_path / "run")
    disturb = "(rank, step) == (1, 7) and os.kill(os.getpid(), signal.SIGUSR1)"
    left = launch(given, disturb=disturb, launcher=of_slurm)
    assert [code for code, _, _ in left] == [75, 75], left
    # the step in which the signal came, and the one in which the others heard of it
    assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-4", "step-8", "step-9"]
    assert "stopped after step 9 of 20" in left[0][2]
    assert left[1][1:] == ("", "")
    pretrain(PretrainConfig(**given, quiet=True))
    assert_equal_to_rounding(tmp_path / "run", alone)


@pytest.mark.parametrize(
    ("disturb", "said_by_first", "said_by_other"),
    [
        ("(rank, step) == (1, 7) and os.kill(os.getpid(), signal.SIGKILL)", "cannot be reached: one has ended", ""),
        (
            "if (rank, step) == (1, 7): raise OSError('no such shard')",
            "cannot be reached",
            "no such shard",
        ),
        ("if (rank, step) == (0, 7): raise OSError('the disk is full')", "the disk is full", ""),
    ],
    ids=["killed", "failed", "first failed"],
)
@pytest.mark.slow
def test_when_one_ends_all_end_with_its_error(
    disturb: str, said_by_first: str, said_by_other: str, text: Path, tmp_path: Path
) -> None:
    begun = time.monotonic()
    (first, _, first_said), (other, _, other_said) = launch(settings(text, tmp_path / "run"), disturb=disturb)
    assert time.monotonic() - begun < DEADLINE
    assert first == 1
    assert said_by_first in first_said
    assert other in (1, -signal.SIGKILL)
    if said_by_other:
        assert "an error in process 1 of 2" in other_said
        assert said_by_other in other_said
    else:
        assert other_said == ""
    assert "Traceback" not in first_said + other_said


@pytest.mark.slow
def test_torchrun_starts_again_and_the_run_ends_with_the_same_bits(text: Path, tmp_path: Path) -> None:
    outputs = {name: tmp_path / name for name in ("whole", "restarted")}
    once = tmp_path / "once"
    disturb = f"""
    if (rank, step) == (1, 12) and {str(outputs["restarted"])!r} in sys.argv and not os.path.exists({str(once)!r}):
        Path({str(once)!r}).touch()
        os.kill(os.getpid(), signal.SIGKILL)"""
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(disturb=disturb))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for output in outputs.values():
        given = words(settings(text, output, dropout=0.1))
        done = subprocess.run(
            [*command, "--max-restarts", "1", str(script), *given],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert once.exists()
    whole, restarted = weights(outputs["whole"]), weights(outputs["restarted"])
    assert [name for name in whole if not torch.equal(whole[name], restarted[name])] == []
    assert "resuming after step 12 of 20" in done.stderr


@pytest.mark.slow
def test_a_batch_that_is_too_small_for_the_processes_is_refused_once(text: Path, tmp_path: Path) -> None:
    left = launch(settings(text, tmp_path / "run", batch_size=1))
    assert [code for code, _, _ in left] == [1, 1]
    assert "a batch of 1 examples cannot be shared by 2 processes" in left[0][2]
    assert left[1][2] == ""
    assert not (tmp_path / "run").exists()


def test_parts_of_a_batch_add_up_to_it(text: Path, alone: Path, tmp_path: Path) -> None:
    pretrain(PretrainConfig(**settings(text, tmp_path / "run", accumulate=3, quiet=True)))
    assert_equal_to_rounding(tmp_path / "run", alone)
    with pytest.raises(ValueError, match=r"a batch of 7 examples .* in 8 parts each: give a batch_size of 8 or more"):
        pretrain(PretrainConfig(**settings(text, tmp_path / "other", accumulate=8)))


@pytest.mark.parametrize(("size", "count"), [(7, 2), (8, 2), (2, 5), (0, 3), (2048, 512), (5, 1)])
def test_shares_are_all_of_it_in_order_and_nearly_equal(size: int, count: int) -> None:
    found = split_evenly(size, count)
    assert [place for share in found for place in share] == list(range(size))
    assert len(found) == count
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_every_part_of_every_process_is_one_of_the_shares() -> None:
    def share(rank: int, size: int) -> list[range]:
        processes = Processes.__new__(Processes)
        processes.rank, processes.world_size = rank, 3
        return processes.shard(size, parts=2)

    assert [part for rank in range(3) for part in share(rank, 13)] == split_evenly(13, 6)
    assert [share(rank, 2) for rank in range(3)] == [[range(1), range(1, 2)], [], []]


def test_one_process_alone_gives_back_what_it_is_given() -> None:
    processes = Processes()
    values = {"loss": torch.tensor(1.5)}
    assert processes.is_rank_zero
    assert processes.sum_by_name(values) == values
    assert processes.broadcast("text") == "text"
    assert processes.highest(75) == 75  # at once
    assert torch.equal(processes.sum(torch.ones(2)), torch.ones(2))
    module = torch.nn.Linear(1, 1)
    assert processes.data_parallel(module)[0] is module
    processes.barrier()
    processes.broadcast_tensors([torch.ones(1)])


def test_every_start_has_a_name_that_all_its_processes_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of torchrun outlives a start, and what was written in it is there in the next."""
    store = torch.distributed.HashStore()
    with ThreadPoolExecutor(3) as threads:
        starts = [list(threads.map(lambda rank: _name_of_start(store, Rank(rank, 3)), range(3))) for _ in range(2)]
    assert [len(set(names)) for names in starts] == [1, 1]
    assert starts[0] != starts[1]
    monkeypatch.setattr("electra.training.distributed.rendezvous.TIMEOUT", timedelta(seconds=0.1))
    with pytest.raises(
        ConnectionError, match=r"of 3 processes, these ranks have not registered in 0:00:00\.1.*: \[1, 2\]"
    ):
        _name_of_start(store, Rank(0, 3))


TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_STEP_NUM_TASKS": "16",
    "SLURM_LOCALID": "5",
    "SLURM_STEP_NODELIST": "gpu[003-004]",
    "SLURM_JOB_ID": "123456",
}


def test_places() -> None:
    assert rank_from_environment({}) == Rank(0, 1, 0)
    assert rank_from_environment(TORCHRUN) == Rank(3, 8, 1)
    assert rank_from_environment(SLURM) == Rank(5, 16, 5, "tcp://gpu003:23456")
    assert rank_from_environment(SLURM | TORCHRUN) == Rank(3, 8, 1)  # torchrun in a Slurm step
    assert rank_from_environment(SLURM | {"MASTER_ADDR": "ten", "MASTER_PORT": "9"}).init_method == "tcp://ten:9"
    # a batch script knows the job's tasks, and is none of them
    assert rank_from_environment({"SLURM_PROCID": "0", "SLURM_NTASKS": "16", "SLURM_LOCALID": "0"}) == Rank()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"RANK": "0"}, "WORLD_SIZE is not set"),
        (TORCHRUN | {"RANK": "first"}, "RANK is 'first'"),
        (TORCHRUN | {"RANK": "8"}, "rank of this process is 8 of 8: it must be 0 to 7"),
        (SLURM | {"SLURM_STEP_NODELIST": ""}, "set MASTER_ADDR"),
    ],
)
def test_places_that_are_none(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rank_from_environment(wrong)


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("gpu7", "gpu7"),
        ("gpu[003-006,9],login", "gpu003"),
        ("a-b-1,a-b-2", "a-b-1"),
        ("rack[1,3]-ib,x[2-3]", "rack1-ib"),
    ],
)
def test_the_first_host_of_slurm_s_list(nodes: str, host: str) -> None:
    assert first_host(nodes) == host


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
