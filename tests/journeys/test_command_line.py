"""The command line end to end: a model's life in commands, and what is said when a command is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from electra import cli
from electra.cli import main

Captured = pytest.CaptureFixture[str]
TEXT = (
    "\n\n".join(f"The {c} fox jumps over the {d} dog.\nIt is {c}." for c in ("red", "old") for d in ("lazy", "new"))
    + "\n"
)


def electra(*words: object) -> int:
    """Run `electra WORDS` in this process; its exit code."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, pretrained for two steps."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "text.txt").write_text(TEXT * 20)
    small = "--size tiny --steps 2 --batch-size 4 --max-length 32 --vocab-size 100 --device cpu --quiet"
    assert electra("pretrain", folder / "text.txt", "--output", folder / "run", *small.split()) == 0
    return folder / "run"


def test_a_model_s_life_in_commands(run: Path, tmp_path: Path, capsys: Captured) -> None:
    for half in ("discriminator", "generator"):
        assert electra("inspect", run / half, "--json") == 0
        assert json.loads(capsys.readouterr().out)["network"] == half

    (tmp_path / "texts.txt").write_text("the red fox\nthe lazy dog jumps\n")
    assert electra("predict", run / "discriminator", tmp_path / "texts.txt") == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [len(answer) for answer in answers] == [3, 4]

    rows = [{"text": f"the {word} dog", "label": word} for word in ("lazy", "new")] * 8
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    files = ("--train", tmp_path / "rows.jsonl", "--eval", tmp_path / "rows.jsonl", "--output", tmp_path / "out")
    assert electra("finetune", run / "discriminator", "--task", "text-classification", *files, "--epochs", 1) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["examples"] == 16  # data on stdout alone, talk on stderr
    assert "accuracy" in shown.err

    assert electra("predict", tmp_path / "out", tmp_path / "texts.txt") == 0
    assert {json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()} <= {"lazy", "new"}


FILES = ["--train", "a.jsonl", "--eval", "b.jsonl", "--output", "c"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pretrian"], "there is no verb 'pretrian'. Did you mean pretrain? The verbs are quickstart, pretrain,"),
        (["xyz"], "there is no verb 'xyz'. The verbs are"),
        (["inspect", "m", "--jsn"], "Did you mean --json?"),
        (["pretrain", "a.txt", "--outptu", "run"], "Did you mean --output?"),
        (["finetune", "m", *FILES, "--class-weights", "balance"], "balanced"),
        (["inspect"], "model"),
        (["pretrain", "a.txt", "--output", "run", "--steps", "many"], '"many"'),
        (["inspect", "m", "n"], "n"),
    ],
)
def test_misuse_is_code_2_and_says_what_to_do(words: list[str], message: str, capsys: Captured) -> None:
    assert electra(*words) == 2
    shown = capsys.readouterr()
    assert message in shown.err.replace("MODEL", "model")
    assert shown.err.startswith("electra: ")
    assert shown.out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "nowhere/at-all"], "nowhere/at-all"),
        (["predict", "nowhere/at-all", "x.txt"], "nowhere/at-all"),
        (["predict", "RUN/discriminator", "none.txt"], "none.txt: No such file or directory"),
        (["predict", "RUN/discriminator", "x.txt", "--task", "fill-the-mask"], "fill-mask"),
        (["inspect", "RUN"], "RUN/discriminator"),
        (["pretrain", "none.txt", "--output", "out"], "none.txt"),
        (["pretrain", "x.txt", "--output", "out", "--size", "smal"], "small"),
        (["pretrain", "x.txt", "--output", "out", "--steps", "0"], "steps"),
    ],
)
def test_a_user_s_error_is_code_1_and_one_message(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").symlink_to(run)
    (tmp_path / "x.txt").write_text("a text\n")
    assert electra(*words) == 1
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert not (tmp_path / "out").exists()


def test_debug_shows_where_it_came_from() -> None:
    with pytest.raises(OSError, match="nowhere"):
        main(["inspect", "--debug", "nowhere/at-all"])


def test_interrupted_is_130_and_a_saved_stop_keeps_its_code(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def interrupted(words: object) -> int:
        raise KeyboardInterrupt

    def stopped(words: object) -> int:
        raise SystemExit(75)

    monkeypatch.setattr(cli, "run", interrupted)
    assert electra("inspect", "m") == 130
    assert capsys.readouterr().err == "electra: stopped\n"
    monkeypatch.setattr(cli, "run", stopped)
    assert electra("inspect", "m") == 75


def test_a_reader_that_leaves_is_no_error(run: Path, tmp_path: Path) -> None:
    """`electra predict … | head -1`"""
    (tmp_path / "many.txt").write_text("the red fox jumps over the lazy dog\n" * 5000)
    command = [sys.executable, "-m", "electra", "predict", str(run / "discriminator"), str(tmp_path / "many.txt")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ})
    assert process.stdout is not None
    assert process.stderr is not None
    json.loads(process.stdout.readline())
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == cli.STOPPED_BY_READER
    process.stderr.close()


def test_help_of_every_verb(capsys: Captured) -> None:
    for verb in cli.VERBS:
        assert electra(*verb.split(), "--help") == 0
        assert f"Usage: electra {verb}" in capsys.readouterr().out
