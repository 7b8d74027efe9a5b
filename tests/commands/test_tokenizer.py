"""electra tokenizer train, and report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from electra.commands.tokenizer_commands import (
    TokenizerReportConfig,
    TokenizerTrainConfig,
    report_tokenizer,
    train_tokenizer,
)
from electra.files import lines
from electra.text.tokenizer import ElectraTokenizer

SENTENCES = ["The river is wide.", "It flows to the sea.", "Die Brücke ist 2024 gebaut.", "<b>日本</b> & more"]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    path.write_text("\n".join(json.dumps({"body": sentence}) for sentence in SENTENCES * 5))
    return path


def train(text: Path, output: Path, **options: Any) -> ElectraTokenizer:
    return ElectraTokenizer.from_pretrained(
        train_tokenizer(
            TokenizerTrainConfig(
                (str(text),), output=output, **{"size": 200, "text_field": "body", "quiet": True, **options}
            )
        )
    )


def test_a_trained_vocabulary_has_what_was_asked_for(text: Path, tmp_path: Path) -> None:
    plain = train(text, tmp_path / "plain", cased=False, keep_accents=False)
    assert len(plain) <= 200
    assert plain.tokenize("Brücke 2024") == plain.tokenize("brucke 2024")
    assert train(text, tmp_path / "cased", cased=True).tokenize("The")[0][0] == "T"
    kept = train(text, tmp_path / "kept", keep_accents=True)
    assert kept.tokenize("Brücke") == kept.tokenize("brücke") != kept.tokenize("brucke")
    assert train(text, tmp_path / "digits", digits="apart").tokenize("2024") == ["2", "0", "2", "4"]
    assert plain.tokenize("日本") == ["日", "本"]
    assert train(text, tmp_path / "joined", chinese_characters="joined").tokenize("日本") == ["日本"]
    assert train(text, tmp_path / "nfkc", unicode="nfkc").tokenize("２０２４") == ["2024"]
    assert "本" not in train(text, tmp_path / "few", max_characters=20).get_vocab()


def test_the_same_files_give_the_same_vocabulary_as_pretrain_does(text: Path, tmp_path: Path) -> None:
    again = train(text, tmp_path / "two")
    assert train(text, tmp_path / "one").fingerprint() == again.fingerprint()


def test_a_report_as_table_json_and_page(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(text, tmp_path / "tokenizer")
    held_out = tmp_path / "held-out.txt"
    held_out.write_text("The sea <script>alert(1)</script>\n\nŒuvre ☃☃ 日本\n")
    page = tmp_path / "page.html"
    report_tokenizer(TokenizerReportConfig(str(tmp_path / "tokenizer"), (str(held_out),), html=page))
    table = capsys.readouterr().out
    for words in ("unknown words", "pieces for each word", "problem", "☃", "U+2603", "longest pieces"):
        assert words in table
    report_tokenizer(TokenizerReportConfig(str(tmp_path / "tokenizer"), (str(held_out),), json=True))
    report = json.loads(capsys.readouterr().out)
    assert report["unknown"]
    assert report["lowercases"] is True
    assert any("unknown to the tokenizer" in problem for problem in report["problems"])
    html = page.read_text()
    assert "&lt;script&gt;alert" in html
    assert "<script" not in html
    assert "http" not in html.replace("http-equiv", "")
    assert "☃" in html


def test_the_command_line_reaches_both_and_reads_stdin(tmp_path: Path) -> None:
    def electra(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "electra", "tokenizer", *words]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)

    output = str(tmp_path / "out")
    made = electra("train", "-", "--output", output, "--size", "100", text="The river is wide.\n" * 5)
    assert (made.returncode, made.stdout.strip()) == (0, output), made.stderr
    report = electra("report", output, "-", "--json", text="the river\n")
    assert json.loads(report.stdout)["words"] == 2, report.stderr
    wrong = electra("trian")
    assert (wrong.returncode, "Did you mean" in wrong.stderr) == (2, True)


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_ends_the_training_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The river is wide.\n" * 200)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1000)
    blocks, raw_blocks = [], lines._raw_blocks

    def signalled(*arguments: Any) -> Iterator[bytes]:
        os.kill(os.getpid(), signal.Signals[name])
        time.sleep(0.2)  # so that the main thread hears it
        for block in raw_blocks(*arguments):
            blocks.append(block)
            yield block

    monkeypatch.setattr(lines, "_raw_blocks", signalled)
    with pytest.raises(SystemExit) as left:
        train_tokenizer(TokenizerTrainConfig((str(text),), output=tmp_path / "out", size=100))
    assert (left.value.code, len(blocks)) == (code, 0)
    assert "stopped; a partial vocabulary is discarded" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_marks_of_word_boundaries_are_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("no|where now|here\n" * 5)
    options = {"size": 100, "quiet": True, "word_boundaries": "|"}
    folder = train_tokenizer(TokenizerTrainConfig((str(text),), output=tmp_path / "out", **options))
    assert "nowhere" in ElectraTokenizer.from_pretrained(folder).get_vocab()
    report_tokenizer(TokenizerReportConfig(str(folder), (str(text),), json=True, word_boundaries="|"))
    report = json.loads(capsys.readouterr().out)
    assert (report["words"], report["pieces"], report["unknown"]) == (10, 10, [])
    with pytest.raises(ValueError, match="word_boundaries='': it must be one character"):
        TokenizerReportConfig(str(folder), (str(text),), word_boundaries="")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unicode": "nfd"}, "unicode is 'nfd': choose one of none, nfc, nfkc"),
        ({"digits": "split"}, "digits is 'split': choose one of apart, joined"),
        ({"chinese_characters": "no"}, "chinese_characters is 'no'"),
        ({"size": 0}, "size is 0: it must be a whole number, 1 or more"),
        ({"max_characters": 0}, "max_characters is 0"),
        ({"invalid_utf8": "drop"}, "invalid_utf8 is 'drop': choose one of refuse, replace"),
        ({"size": 6}, "size=6 is too small"),
        ({"text_field": "text"}, r"text\.jsonl:1: there is no field 'text', only body"),
    ],
)
def test_what_is_refused_leaves_nothing(text: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(text, tmp_path / "out", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["text.jsonl"]


def test_outputs_and_files_that_are_refused(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is there already: give a new or an empty folder"):
        train(text, tmp_path)
    with pytest.raises(ValueError, match="files is empty"):
        TokenizerReportConfig("tokenizer", ())
    with pytest.raises(OSError, match="none"):
        report_tokenizer(TokenizerReportConfig(str(tmp_path / "none"), (str(text),)))


def test_the_casing_is_chosen_by_the_text_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text.txt"
    text.write_text("서울은 크다\n바다는 넓다\n" * 10, encoding="utf-8")

    def made(name: str, **options: Any) -> ElectraTokenizer:
        config = TokenizerTrainConfig((str(text),), output=tmp_path / name, size=200, **options)
        return ElectraTokenizer.from_pretrained(train_tokenizer(config))

    assert made("chosen").tokenize("서울은") == ["서울은"]
    assert "keeps accents: stripping would change 100.0% of the letters" in capsys.readouterr().err
    assert made("bert", cased=False, keep_accents=False).strip_accents is None
    assert "keeps accents" not in capsys.readouterr().err
