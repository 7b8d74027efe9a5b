"""While the first of two processes prepares the text, a signal to either, or the end of either, ends both."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from electra.commands.pretrain import PretrainConfig, pretrain
from electra.training.distributed import coordination as waiting
from electra.training.distributed.processes import Processes
from tests.training.test_distributed import DEADLINE, free_port, of_torchrun, settings, text, words

__all__ = ["text"]  # a fixture

WORKER = """
import sys, time, torch
from pathlib import Path
from electra import cli
from electra.data.preparation import example_sets
from electra.training.distributed import coordination as waiting

torch.set_num_threads(1)
waiting.HEARTBEAT_SECONDS, waiting.SILENCE_SECONDS = 0.2, float(sys.argv.pop(1))
ready = Path(sys.argv.pop(1))
add = example_sets.ExampleSets._add_document

def slowly(self, *rest):
    add(self, *rest)
    ready.touch()
    time.sleep(0 if self._state.documents < 40 else 0.6)

example_sets.ExampleSets._add_document = slowly
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("rank", "number", "codes", "said"),
    [
        (0, signal.SIGTERM, [75, 75], "stopped before the first step; what is finished is kept"),
        (1, signal.SIGUSR1, [75, 75], "stopped before the first step; what is finished is kept"),
        (1, signal.SIGKILL, [1, -9], "process 1 of 2 has sent nothing for 8 seconds: it has ended"),
        (0, signal.SIGKILL, [-9, 1], ""),
    ],
)
def test_all_leave_together(
    text: Path, tmp_path: Path, rank: int, number: signal.Signals, codes: list[int], said: str
) -> None:
    given, port, ready = settings(text, tmp_path / "run", steps=2), free_port(), tmp_path / "ready"
    command = [sys.executable, "-c", WORKER, "8", str(ready), *words(given)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=of_torchrun(one, 2, port), **pipes) for one in range(2)]
    try:
        began = time.monotonic()
        while not ready.exists() and time.monotonic() < began + 3 * DEADLINE:
            time.sleep(0.05)
        assert ready.exists(), "the processes have not come so far"
        processes[rank].send_signal(number)
        told = [process.communicate(timeout=DEADLINE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == codes, told
    assert said in told[0][1]
    assert told[0][1].count("stopped before") == (75 in codes)
    if rank == 1:
        assert len(list(tmp_path.glob("run/examples/.*.unfinished/mark.json"))) == 1
        pretrain(PretrainConfig(**settings(text, tmp_path / "run", steps=2, quiet=True)))


def test_one_that_nobody_looked_for_is_not_taken_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a vocabulary is made of what was read, nobody looks: that says nothing about the others."""
    now = 0.0
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now)
    said = {"electra/waiting/1": b"0 1"}
    store = type("Store", (), {"check": lambda self, names: True, "get": lambda self, name: said[name]})()
    processes = Processes(store=store)
    processes.world_size = 2
    others = waiting._Heartbeats(processes)
    for now in (3.0, 500.0, 530.0):  # noqa: B007  the clock
        assert others.exit_code() == 0
    said["electra/waiting/1"] = b"0 2"
    for now in (534.0, 550.0, 570.0):  # noqa: B007
        assert others.exit_code() == 0
    now = 585.0
    with pytest.raises(ConnectionError, match=re.escape("process 1 of 2 has sent nothing for 40 seconds")):
        others.exit_code()
    said["electra/waiting/1"] = b"75 3"
    now = 590.0
    assert others.exit_code() == 75
