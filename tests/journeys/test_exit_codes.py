"""The exit codes of docs/exit-codes.md, each from a real process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from electra.training.interruption import EXIT_CODES

ELECTRA = [sys.executable, "-m", "electra"]
TABLE = Path(__file__).parents[2] / "docs" / "exit-codes.md"
TESTED = {0, 1, 2, 75, 129, 130, 141, 143}


def run(*words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*ELECTRA, *map(str, words)]
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, timeout=120, check=False, **options)


def test_the_table_has_every_code() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", TABLE.read_text("utf-8"), re.MULTILINE)}
    assert codes == TESTED
    assert set(EXIT_CODES.values()) <= codes


def test_done_refused_and_no_such_flag(tmp_path: Path) -> None:
    assert run("--version", stdout=subprocess.PIPE).returncode == 0
    refused = run("tokenizer", "report", tmp_path / "nowhere", tmp_path / "text.txt", stdout=subprocess.PIPE)
    assert (refused.returncode, refused.stderr.count("electra: "), "Traceback" in refused.stderr) == (1, 1, False)
    assert run("pretrain", "--no-such-flag", stdout=subprocess.PIPE).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["pretrain", "--help"]])
def test_a_full_or_closed_stdout_is_named(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        on_full = run(*words, stdout=full)
    assert (on_full.returncode, on_full.stderr) == (1, "electra: stdout: No space left on device\n")
    closed = run(*words, preexec_fn=lambda: os.close(1))
    assert closed.returncode == 1
    assert closed.stderr.startswith("electra: stdout: it is closed")
    assert closed.stderr.count("\n") == 1


def test_what_was_made_for_a_closed_stdout_stays(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a cat sees a dog.\n\nthe dog sees a bird.\n" * 20)
    words = ("tokenizer", "train", tmp_path / "text.txt", "--output", tmp_path / "out", "--size", 60, "--quiet")
    done = run(*words, preexec_fn=lambda: os.close(1))
    assert done.returncode == 1
    assert done.stderr.startswith("electra: stdout: it is closed")
    assert (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_without_stderr_the_code_is_the_same(tmp_path: Path) -> None:
    command = [*ELECTRA, "tokenizer", "report", str(tmp_path / "nowhere"), str(tmp_path / "text.txt")]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, stderr=full, check=False).returncode == 1
    assert subprocess.run(command, preexec_fn=lambda: os.close(2), check=False).returncode == 1


def test_a_closed_stdin_is_an_empty_one(tmp_path: Path) -> None:
    words = ("pretrain", "-", "--output", tmp_path / "run", "--size", "tiny", "--steps", 1, "--quiet")
    closed = run(*words, preexec_fn=lambda: os.close(0))
    assert closed.returncode == 1
    assert closed.stderr.startswith("electra: '-' stands for the text on stdin, which is empty")
    assert not (tmp_path / "run").exists()


def test_a_reader_that_leaves() -> None:
    with subprocess.Popen([*ELECTRA, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 141


@pytest.mark.parametrize("after", [0.05, 0.15, 0.3, 0.6, 1.2])
def test_ctrl_c_while_modules_are_imported(after: float) -> None:
    command = [*ELECTRA, "inspect", "/dev/stdin"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=_with_default_signals
    ) as process:
        assert process.stderr is not None
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        code = process.wait(60)
    if "<frozen" not in said:  # before Python runs anything of ours, the answer is Python's own
        # -2: it came when the answer was given and the interpreter was ending; a shell shows it as 130, too
        assert (code, said) in [(130, "electra: stopped\n"), (1, said), (-signal.SIGINT, said)]
        assert "Traceback" not in said


def _with_default_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


SIGNALS = [
    ([signal.SIGTERM], 75),
    ([signal.SIGUSR1], 75),
    ([signal.SIGHUP], 129),
    ([signal.SIGINT], 130),
    ([signal.SIGTERM, signal.SIGHUP], 75),
]


@pytest.mark.parametrize(("signals", "code"), SIGNALS)
def test_a_signalled_run_saves(signals: list[signal.Signals], code: int, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a cat sees a dog.\n\nthe dog sees a bird and a fish.\n\n" * 200)
    size = ("--size", "tiny", "--steps", 100_000, "--batch-size", 4, "--max-length", 16, "--vocab-size", 60)
    every = ("--report-every", 1, "--evaluate-every", 100_000, "--save-every", 100_000, "--device", "cpu")
    words = (tmp_path / "text.txt", "--output", tmp_path / "run", *size, *every)
    command = [*ELECTRA, "pretrain", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=_with_default_signals) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 2/"):
                for number in signals:
                    process.send_signal(number)
                    time.sleep(0.1)  # Python handles those that come together in the order of their numbers
                break
        said = process.stderr.read()
        # a second signal that finds everything saved may end the interpreter on its way out, on a busy machine
        assert process.wait(60) in (code, *(-number for number in signals[1:])), said
    assert "stopped after step" in said
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 1


def test_sigterm_where_nothing_is_to_be_saved() -> None:
    with subprocess.Popen(
        [*ELECTRA, "predict", "nowhere", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        time.sleep(0.6)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (143, 1)  # 1 where it was refused before
