"""Every verb that writes holds its output, and destroys no input and no file that it did not make."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import electra
from electra.files.output_places import holding_place
from tests.finetuning.toy import discriminator, examples, words, write

TEXT = "the red tree on the road and a grey stone by the sea\n\n" * 40


def train_tokenizer(folder: Path, output: Path) -> None:
    electra.train_tokenizer(str(folder / "text.txt"), output=output, size=60, quiet=True)


def convert(folder: Path, output: Path) -> None:
    electra.convert(str(folder / "model"), output=output, to="tensorflow")


def finetune(folder: Path, output: Path) -> None:
    files = {"train": folder / "train.jsonl", "eval": folder / "train.jsonl"}
    electra.finetune(str(folder / "model"), **files, output=output, epochs=1, device="cpu", quiet=True)


def quickstart(folder: Path, output: Path) -> None:
    electra.quickstart(output=output, steps=1)


VERBS: dict[str, Callable[[Path, Path], None]] = {
    "tokenizer train": train_tokenizer,
    "convert": convert,
    "finetune": finetune,
    "quickstart": quickstart,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inputs")
    (path / "text.txt").write_text(TEXT)
    discriminator(path / "model", words())
    write(path / "train.jsonl", examples(40))
    return path


@pytest.mark.parametrize("verb", VERBS)
def test_one_verb_at_a_time(folder: Path, tmp_path: Path, verb: str) -> None:
    with (
        holding_place(tmp_path / "out"),
        pytest.raises(BlockingIOError, match=r"another process .*out: wait"),
    ):
        VERBS[verb](folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_there_stays(folder: Path, tmp_path: Path, verb: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "text.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        VERBS[verb](folder, out)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "text.txt"]
    assert (out / "text.txt").read_text() == "mine"


@pytest.mark.parametrize("verb", list(VERBS)[:3])
def test_a_link_is_named(folder: Path, tmp_path: Path, verb: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"a link to .*nowhere"):
        VERBS[verb](folder, tmp_path / "link")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


HOLDER = """
import sys, time
from pathlib import Path
from electra.files.output_places import holding_folder
with holding_folder(Path(sys.argv[1]), {}) as output, output.writing() as folder:
    (folder / "theirs.txt").write_text("theirs")
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("verb", list(VERBS)[:3])
def test_different_verbs_in_real_processes(folder: Path, tmp_path: Path, verb: str) -> None:
    """The second is refused; once the first has ended, what it made stays; when it was killed, its place is free."""
    out = tmp_path / "out"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", HOLDER, str(out)]
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError, match=rf"process {first.pid} on"):
            VERBS[verb](folder, out)
        first.communicate("")
    assert first.returncode == 0
    with pytest.raises(ValueError, match="is there already"):
        VERBS[verb](folder, out)
    assert [path.name for path in out.iterdir()] == ["theirs.txt"]
    (out / "theirs.txt").unlink()
    with subprocess.Popen(command, **pipes) as second:
        assert second.stdout is not None
        assert second.stdout.readline() == "held\n"
        second.kill()
    time.sleep(0.1)
    VERBS[verb](folder, out)
    assert any(out.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_report_destroys_no_file_of_the_run(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    finetune(folder, out)
    before = (out / "metrics.jsonl").read_bytes()
    with pytest.raises(ValueError, match="a file of the run"):
        electra.report(out, output=out / "metrics.jsonl")
    assert (out / "metrics.jsonl").read_bytes() == before
    notes = tmp_path / "notes.html"
    notes.write_text("<!doctype html><title>mine</title>")
    with pytest.raises(ValueError, match="exists: give another name, or --overwrite"):
        electra.report(out, output=notes)
    electra.report(out, output=notes, overwrite=True)
    assert electra.report(out, output=notes) == notes
    assert electra.report(out) == out / "report.html"
