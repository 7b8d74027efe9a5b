"""What text a run may be given, how it is made into examples, and what is said about its vocabulary."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from electra.commands.pretrain import pretrain
from electra.config import ElectraConfig
from electra.data.preparation.example_sets import ExampleSets
from electra.data.preparation.prepare import prepare
from electra.files import lines
from electra.pretraining.session import Pretraining
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import read_vocabulary
from electra.training.run.run_folder import Run
from tests.commands.test_pretrain import SPECIAL, WORDS, sentence, small, weights


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 documents of a few sentences."""
    draw = random.Random(0)
    documents = ["\n".join(sentence(draw) for _ in range(draw.randint(4, 12))) for _ in range(120)]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("\n\n".join(documents) + "\n")
    return path


@pytest.fixture(scope="module")
def vocab(text: Path) -> Path:
    path = text.with_name("vocab.txt")
    path.write_text("\n".join([*SPECIAL, ".", *(word for words in WORDS.values() for word in words)]) + "\n")
    return path


def test_packed_segments_train_and_go_on_with_the_same_bits(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"segments": "packed", "steps": 6, "save_every": 3, "report_every": 5}
    whole = pretrain(small(text, vocab, tmp_path / "whole", **options))
    [told] = whole.glob("examples/*/shards.json")
    counts = json.loads(told.read_text())
    assert counts["tokens_kept"] == counts["tokens_read"] > 0
    with monkeypatch.context() as broken:
        broken.setattr(Pretraining, "log", lambda *_: (_ for _ in ()).throw(RuntimeError("gone")))
        with pytest.raises(RuntimeError, match="gone"):
            pretrain(small(text, vocab, tmp_path / "run", **options))
    resumed, expected = weights(pretrain(small(text, vocab, tmp_path / "run", **options))), weights(whole)
    assert [name for name in expected if not torch.equal(expected[name], resumed[name])] == []
    with pytest.raises(ValueError, match='other settings: segments: "packed" before, "faithful" now'):
        pretrain(small(text, vocab, tmp_path / "run", **(options | {"segments": "faithful"})))


def test_the_text_may_come_in_records_or_from_stdin(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same documents give the same weights, whatever they come in."""
    table = tmp_path / "text.jsonl"
    documents = text.read_text().strip().split("\n\n")
    table.write_text("".join(json.dumps({"body": document}) + "\n" for document in documents))
    expected = weights(pretrain(small(text, vocab, tmp_path / "text", steps=2)))
    from_table = weights(pretrain(small(table, vocab, tmp_path / "table", steps=2, text_field="body")))
    piped = small(Path("-"), vocab, tmp_path / "piped", steps=2)
    for coming in (text.read_bytes(), b""):  # the second time it goes on, and all is done
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(coming)))
        pretrain(piped)
        assert (piped.output / "stdin.txt").read_bytes() == text.read_bytes()
    for found in (from_table, weights(piped.output)):
        assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


def test_a_vocabulary_that_does_not_suit_the_text_is_told(
    vocab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\n\n".join(f"The cats of Zürich number {number}\nare many." for number in range(60)))
    pretrain(small(path, None, tmp_path / "run", vocab_size=90, steps=1, quiet=False))
    told = capsys.readouterr().err
    assert "warning: the tokenizer lowercases" in told
    assert "the vocabulary keeps accents: stripping would change" in told
    assert "--cased=false lowercases and strips accents, as BERT does" in told
    pretrain(small(path, None, tmp_path / "bert", vocab_size=90, steps=1, quiet=False, cased=False))
    told = capsys.readouterr().err
    assert "warning: the tokenizer lowercases" in told
    assert "warning: the tokenizer strips accents" in told
    pretrain(small(path, vocab, tmp_path / "given", steps=1, quiet=False))
    assert "of the words are unknown to the tokenizer" in capsys.readouterr().err
    pretrain(small(path, None, tmp_path / "cased", vocab_size=120, cased=True, steps=1, quiet=False))
    assert "warning: the tokenizer" not in capsys.readouterr().err


def test_bytes_that_are_no_text_are_refused_or_replaced(text: Path, vocab: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(text.read_bytes() + b"\ncaf\xe9\n")
    with pytest.raises(ValueError, match=r"text\.txt:\d+: byte 0xe9"):
        pretrain(small(path, vocab, tmp_path / "run", steps=1))
    pretrain(small(path, vocab, tmp_path / "run", steps=1, invalid_utf8="replace"))


def test_examples_that_others_prepared_are_taken_as_they_are(text: Path, vocab: Path, tmp_path: Path) -> None:
    tokenizer = read_vocabulary(vocab)
    folder = prepare(text, tokenizer, tmp_path / "there", length=24, held_out_fraction=0.1)[0].path.parent
    run = pretrain(small(folder, vocab, tmp_path / "run", steps=2))
    expected, found = weights(pretrain(small(text, vocab, tmp_path / "own", steps=2))), weights(run)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert not (run / "examples").exists()
    with pytest.raises(ValueError, match="prepared with max_length 24, not 16 and segments faithful, not packed"):
        pretrain(small(folder, vocab, tmp_path / "other", max_length=16, segments="packed"))
    with pytest.raises(ValueError, match="give the tokenizer that they were prepared with"):
        pretrain(small(folder, None, tmp_path / "other"))
    more = tmp_path / "more.txt"
    more.write_text(vocab.read_text() + "more\n")
    with pytest.raises(ValueError, match="another tokenizer"):
        pretrain(small(folder, more, tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_signal_while_the_text_is_prepared_keeps_what_is_done(
    text: Path,
    vocab: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: int,
) -> None:
    add, added = ExampleSets._add_document, []

    def signalled(self: ExampleSets, *rest: Any) -> None:
        add(self, *rest)
        added.append(self._state.documents)
        if len(added) == 50:
            os.kill(os.getpid(), signal.Signals[name])

    monkeypatch.setattr(ExampleSets, "_add_document", signalled)
    with pytest.raises(SystemExit) as left:
        pretrain(small(text, vocab, tmp_path / "run", steps=1, quiet=False))
    assert left.value.code == code
    told = capsys.readouterr().err
    assert "stopped before the first step; what is finished is kept: the same command resumes" in told
    assert len(list(tmp_path.glob("run/examples/.*.unfinished/mark.json"))) == 1
    pretrain(small(text, vocab, tmp_path / "run", steps=1))
    assert added == list(range(1, 121))  # each once
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_while_the_vocabulary_is_trained(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1000)
    blocks, raw_blocks = [], lines._raw_blocks

    def signalled(*arguments: Any) -> Iterator[bytes]:
        for block in raw_blocks(*arguments):
            blocks.append(block)
            if len(blocks) == 8:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.2)  # so that the main thread hears it
            yield block

    monkeypatch.setattr(lines, "_raw_blocks", signalled)
    with pytest.raises(SystemExit) as left:
        pretrain(small(text, None, tmp_path / "run", vocab_size=60, steps=1))
    assert (left.value.code, len(blocks)) == (75, 8)
    assert not (tmp_path / "run" / "tokenizer").exists()
    monkeypatch.undo()
    pretrain(small(text, None, tmp_path / "run", vocab_size=60, steps=1))


def test_whole_words_from_marks_in_the_text(text: Path, vocab: Path, tmp_path: Path) -> None:
    """The text is read without the marks; the masks are other ones, and follow them through a stop too."""
    marked = tmp_path / "marked.txt"
    marked.write_text(re.sub(r"(?m)^(\w+) (\w+) (\w+)", r"\1 |\2| \3", text.read_text().replace(".", "|.")))
    by_marks = {"whole_words": True, "word_boundaries": "|", "steps": 3}
    run = pretrain(small(marked, vocab, tmp_path / "run", **by_marks))
    plain = pretrain(small(text, vocab, tmp_path / "plain", steps=3))
    [ours], [theirs] = run.glob("examples/*/train.bin"), plain.glob("examples/*/train.bin")
    assert ours.read_bytes() == theirs.read_bytes()
    given = pretrain(small(ours.parent, vocab, tmp_path / "given", **by_marks))
    expected, found = weights(run), weights(given)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    with pytest.raises(
        ValueError, match=r"prepared with word_boundaries None, not \|: give the settings it was prepared with"
    ):
        pretrain(small(theirs.parent, vocab, tmp_path / "other", **by_marks))
    with pytest.raises(ValueError, match=r"prepared with word_boundaries \|, not None"):
        pretrain(small(ours.parent, vocab, tmp_path / "other", steps=3))
    with pytest.raises(ValueError, match=r"no piece of this vocabulary begins with ##.* give word_boundaries"):
        pretrain(small(text, vocab, tmp_path / "other", whole_words=True))
    with pytest.raises(ValueError, match="word_boundaries='ab': it must be one character"):
        small(text, vocab, tmp_path / "other", word_boundaries="ab")
    trained = pretrain(small(marked, None, tmp_path / "trained", vocab_size=60, steps=1, word_boundaries="|"))
    assert "|" not in ElectraTokenizer.from_pretrained(trained / "tokenizer").get_vocab()


@pytest.mark.parametrize("begun", [False, True])
def test_a_refused_run_is_removed_but_not_what_was_prepared_in_part(tmp_path: Path, begun: bool) -> None:
    run = Run(tmp_path / "run", {}).__enter__()
    if begun:
        (run.folder / "examples" / ".0123.unfinished").mkdir(parents=True)
    run.__exit__(ValueError, ValueError(), None)
    assert run.folder.exists() == begun


def test_what_was_prepared_whole_stays_when_the_run_is_refused(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="fewer than one batch"):
        pretrain(small(text, vocab, tmp_path / "run", batch_size=5000))
    monkeypatch.setattr(ExampleSets, "write_files", lambda *_: pytest.fail("the text is prepared again"))
    pretrain(small(text, vocab, tmp_path / "run", steps=1))


@pytest.mark.parametrize("given", ["init_discriminator", "init_generator", "init"])
def test_networks_that_do_not_fit_are_refused_before_the_text_is_prepared(
    text: Path, vocab: Path, tmp_path: Path, given: str
) -> None:
    other = tmp_path / "other"
    for name in ("discriminator", "generator"):
        ElectraConfig(vocab_size=22, hidden_size=12).save_pretrained(other / name)
        read_vocabulary(vocab).save_pretrained(other / name)
    name = str(other) if given == "init" else str(other / given.removeprefix("init_"))
    with pytest.raises(ValueError, match=r"does not fit: .*hidden_size 12, here"):
        pretrain(small(text, None, tmp_path / "run", **{given: name}))
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_only_with_the_examples_that_it_was_begun_with(vocab: Path, tmp_path: Path) -> None:
    tokenizer = read_vocabulary(vocab)
    for seed, name in enumerate(("one", "two")):
        draw = random.Random(seed)
        texts = ["\n".join(sentence(draw) for _ in range(5)) for _ in range(60)]  # as many, and as long
        (tmp_path / f"{name}.txt").write_text("\n\n".join(texts) + "\n")
    one, two = (
        prepare(tmp_path / f"{name}.txt", tokenizer, tmp_path / name, length=24, held_out_fraction=0.1)[0].path.parent
        for name in ("one", "two")
    )
    pretrain(small(one, vocab, tmp_path / "run", steps=2))
    for other in (two, tmp_path / "two.txt"):
        with pytest.raises(ValueError, match=r"was started with other examples|holds no prepared text"):
            pretrain(small(other, vocab, tmp_path / "run", steps=2))
    moved = one.rename(tmp_path / "moved")
    pretrain(small(moved, vocab, tmp_path / "run", steps=2))
    (tmp_path / "run" / "examples.json").unlink()  # as in runs that were begun before there was one
    pretrain(small(moved, vocab, tmp_path / "run", steps=2))
    with pytest.raises(ValueError, match="was started with other examples"):
        pretrain(small(two, vocab, tmp_path / "run", steps=2))


def test_a_run_goes_on_with_copies_of_its_text_and_vocabulary(text: Path, vocab: Path, tmp_path: Path) -> None:
    pretrain(small(text, vocab, tmp_path / "run", steps=1))
    for path in (text, vocab):
        (tmp_path / path.name).write_text(path.read_text())
    pretrain(small(tmp_path / text.name, tmp_path / vocab.name, tmp_path / "run", steps=1))
    (tmp_path / vocab.name).write_text(vocab.read_text().replace("cat\ndog\n", "dog\ncat\n"))
    with pytest.raises(ValueError, match="tokenizer was"):
        pretrain(small(tmp_path / text.name, tmp_path / vocab.name, tmp_path / "run", steps=1))


def test_a_run_within_its_text_does_not_read_itself(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text(text.read_text())
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second time there are its vocabulary, metrics and cards
        run = pretrain(small(Path(), None, Path("run"), vocab_size=60, steps=1, quiet=False))
        assert run is not None
        assert "left out of the text: run, where the output is written" in capsys.readouterr().err
    [told] = run.glob("examples/*/shards.json")
    assert json.loads(told.read_text())["files"] == ["text.txt"]


def test_what_is_piped_replaces_what_was_piped_before_anything_was_trained(
    text: Path, vocab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = text.read_bytes() * 2
    config = small(Path("-"), vocab, tmp_path / "run", steps=1, quiet=False)
    for coming, kept in ((text.read_bytes(), text.read_bytes()), (other, other), (b"last", other)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(coming)))
        with monkeypatch.context() as broken:
            if kept != other:
                broken.setattr(Pretraining, "save", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
                with pytest.raises(RuntimeError, match="killed"):
                    pretrain(config)
            else:
                pretrain(config)
        assert (config.output / "stdin.txt").read_bytes() == kept
        assert ("stdin is not read" in capsys.readouterr().err) == (coming == b"last")
