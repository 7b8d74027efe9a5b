"""Preparation that is interrupted, killed or fails goes on to the same bits, or leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from electra.data.preparation import example_sets, tokenize
from electra.data.preparation.prepare import prepare
from electra.files.locks import try_lock_folder
from electra.text.tokenizer import ElectraTokenizer
from tests.data.toy import DOCUMENTS, SPECIAL, WORDS, contents, settings


def test_what_is_interrupted_or_fails_leaves_nothing(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "prepared"
    examples = example_sets.examples_of

    def interrupted(*arguments: Any, document: int, **options: Any) -> Any:
        if document == 40:
            raise KeyboardInterrupt
        return examples(*arguments, document=document, **options)

    monkeypatch.setattr(example_sets, "examples_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(text, tokenizer, folder, **settings())
    assert not folder.exists()
    monkeypatch.undo()
    with open(text, "ab") as file:
        file.write(b"\n\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"corpus\.txt:\d+: byte 0xe9"):
        prepare(text, tokenizer, folder, **settings())
    assert not folder.exists()


KILLED = """
import os, signal, sys
from electra.data.preparation import example_sets
from electra.data.preparation import prepare as module
from electra.data.dataset import shards
from electra.files.locks import try_lock_folder
from electra.text.tokenizer import ElectraTokenizer

where, text, vocabulary, folder, segments = sys.argv[1:]
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if where.isdigit():  # a document
    add = example_sets.ExampleSets._add
    example_sets.ExampleSets._add = lambda self, name, examples: (
        die() if self._state.documents == int(where) else add(self, name, examples))
elif where == "in a mark":
    marks = []
    mark = example_sets.write_mark
    def half(folder, values):
        marks.append(values)
        die() if len(marks) == 12 else mark(folder, values)
    example_sets.write_mark = half
elif where == "at the end":
    module.write_text = die
elif where == "after the first index":
    write = shards.ShardWriter._write
    shards.ShardWriter._write = lambda self: die() if self._path.name == "train" else write(self)
example_sets.TOKENS_BETWEEN_MARKS = 700
module.prepare(text, ElectraTokenizer(vocabulary), folder, length=32, segments=segments, seed=5, held_out_fraction=0.1)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize("segments", ["faithful", "packed"])
@pytest.mark.parametrize("where", ["47", "in a mark", "after the first index", "at the end"])
def test_a_killed_preparation_goes_on_and_ends_with_the_same_bits(
    tmp_path: Path,
    tokenizer: ElectraTokenizer,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    segments: str,
) -> None:
    more = tmp_path / "corpus"  # a second file: the first is not read again once it is behind a mark
    more.mkdir()
    text = text.rename(more / "a.txt")
    (more / "b.txt").write_text(text.read_text())
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    options = settings(segments=segments)
    whole = prepare(more, tokenizer, tmp_path / "whole", **options)[0].path.parent
    folder = tmp_path / "prepared"
    command = [sys.executable, "-c", KILLED, where, str(more), str(vocabulary), str(folder), segments]
    killed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [path.name for path in folder.iterdir()] == [f".{whole.name}.unfinished"]
    with pytest.raises(ValueError, match="holds no prepared text"):
        prepare(more, tokenizer, folder, **options, reuse_only=True)
    tokenized: list[int] = []
    original = example_sets.tokenized

    def counted(documents: Any, *rest: Any, **named: Any) -> Any:
        for document, sentences in original(documents, *rest, **named):
            tokenized.append(sum(map(len, sentences)))
            yield document, sentences

    monkeypatch.setattr(example_sets, "tokenized", counted)
    resumed = prepare(more, tokenizer, folder, **options)[0].path.parent
    assert contents(resumed) == contents(whole)
    assert [path.name for path in folder.iterdir()] == [whole.name]
    done = json.loads((whole / "shards.json").read_text())["tokens_read"]
    assert sum(tokenized) < 0.8 * done  # and not from the start


@pytest.mark.parametrize("symbol", [None, "|"])
@pytest.mark.parametrize("segments", ["faithful", "packed"])
def test_one_that_was_asked_to_stop_goes_on_after_the_last_document(
    tmp_path: Path,
    tokenizer: ElectraTokenizer,
    text: Path,
    monkeypatch: pytest.MonkeyPatch,
    segments: str,
    symbol: str | None,
) -> None:
    if symbol is not None:
        text.write_text(text.read_text().replace("the the", "the|the"))
    options = settings(segments=segments, word_boundaries=symbol)
    whole = contents(prepare(text, tokenizer, tmp_path / "whole", **options)[0].path.parent)
    looks: list[None] = []

    def stop() -> None:
        looks.append(None)
        if len(looks) == 40:
            raise SystemExit(75)

    with pytest.raises(SystemExit):
        prepare(text, tokenizer, tmp_path / "prepared", **options, check=stop)
    added: list[int] = []
    add = example_sets.ExampleSets._add_document
    monkeypatch.setattr(
        example_sets.ExampleSets,
        "_add_document",
        lambda self, *rest: (added.append(self._state.documents), add(self, *rest)),
    )
    assert contents(prepare(text, tokenizer, tmp_path / "prepared", **options)[0].path.parent) == whole
    assert added == list(range(40, DOCUMENTS))


def test_what_killed_preparations_left_is_removed_but_not_what_is_in_use(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path
) -> None:
    folder = tmp_path / "prepared"
    for name in (".0123.unfinished", ".4567.abcd.partial", ".89ab.unfinished"):
        (folder / name).mkdir(parents=True)
        (folder / name / "train.bin").write_bytes(b"x")
    used = try_lock_folder(folder / ".89ab.unfinished")
    assert used is not None
    whole = prepare(text, tokenizer, folder, **settings())[0].path.parent
    assert sorted(path.name for path in folder.iterdir()) == sorted([".89ab.unfinished", whole.name])
    used.release()
    other = folder / f".{whole.name}.unfinished"
    whole.rename(other)
    used = try_lock_folder(other)
    assert used is not None
    holder = rf"another process \(process {os.getpid()} on .*\) is writing .*{whole.name}: wait"
    with pytest.raises(BlockingIOError, match=holder):
        prepare(text, tokenizer, folder, **settings())
    used.release()


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files, as a full disk does, the POSIX way")
def test_after_a_full_disk_what_was_marked_is_kept_and_goes_on(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    whole = contents(prepare(text, tokenizer, tmp_path / "whole", **settings())[0].path.parent)
    monkeypatch.setattr(example_sets, "TOKENS_BETWEEN_MARKS", 700)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1]))
    try:
        with pytest.raises(OSError, match=r"too large.*What is finished is kept: run the same call again to resume"):
            prepare(text, tokenizer, tmp_path / "prepared", **settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert contents(prepare(text, tokenizer, tmp_path / "prepared", **settings())[0].path.parent) == whole


def test_after_a_bad_line_what_was_marked_is_kept_for_replacing(
    tmp_path: Path, tokenizer: ElectraTokenizer, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours of work do not have to be done again because of one byte."""
    text.write_bytes(text.read_bytes() + b"\n\ncaf\xe9\n")
    whole = contents(prepare(text, tokenizer, tmp_path / "whole", **settings(invalid_utf8="replace"))[0].path.parent)
    monkeypatch.setattr(example_sets, "TOKENS_BETWEEN_MARKS", 700)
    monkeypatch.setattr(tokenize, "GROUP_CHARACTERS", 1000)  # so that some are done when the bad one is read
    with pytest.raises(ValueError, match="0xe9"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings())
    assert len(list((tmp_path / "prepared").glob(".*.unfinished/mark.json"))) == 1
    made = prepare(text, tokenizer, tmp_path / "prepared", **settings(invalid_utf8="replace"))[0].path.parent
    assert contents(made) == whole


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, tokenizer: ElectraTokenizer, text: Path) -> None:
    def append(done: int, total: int) -> None:
        if done == total:  # once: all of it was read
            with open(text, "a") as file:
                file.write("\nmore\n")

    with pytest.raises(ValueError, match=r"corpus\.txt changed while it was read"):
        prepare(text, tokenizer, tmp_path / "prepared", **settings(), progress=append)
    assert not (tmp_path / "prepared").exists()


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files, as a full disk does, the POSIX way")
def test_a_full_disk_leaves_nothing(tmp_path: Path, tokenizer: ElectraTokenizer, text: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            prepare(text, tokenizer, tmp_path / "prepared", **settings())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "prepared").exists()
