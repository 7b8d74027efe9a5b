"""Shares of a corpus, made by datatrove's local executor, joined to a folder of prepared examples."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from electra.data.preparation import example_sets, tokenize
from electra.data.preparation.prepare import open_prepared, prepare
from electra.files import resumable_folder as resumable
from electra.text.tokenizer import ElectraTokenizer

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore"),  # of the other library
]
pytest.importorskip("datatrove", reason="pip install 'electra[scale]'")

import dill  # noqa: E402
from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor  # noqa: E402
from datatrove.pipeline.readers import JsonlReader  # noqa: E402

from electra.data.preparation.datatrove_pipeline import JoinShares, WriteShare  # noqa: E402

TASKS, DOCUMENTS = 3, 40
WORDS = [f"w{number}" for number in range(100)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three files, one a task: document i says word i several times, in lines."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for task in range(TASKS):
        texts = [f"{WORDS[number]} " * (number + 1) + f"\n{WORDS[task]}" for number in range(DOCUMENTS)]
        (folder / f"{task}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n")
    return folder


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    ElectraTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]).save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


def run(corpus: Path, tokenizer: Path, **options: Any) -> Path:
    folder = corpus.parent
    settings = {"length": 32, "held_out_fraction": 0.1, **options}
    steps = [JsonlReader(str(corpus)), WriteShare(tokenizer, folder / "shares", **settings)]
    shares = LocalPipelineExecutor(steps, tasks=TASKS, workers=1, logging_dir=str(folder / "logs"))
    steps = [JoinShares(tokenizer, folder / "shares", folder / "examples")]
    LocalPipelineExecutor(steps, workers=1, logging_dir=str(folder / "join"), depends=shares).run()
    return folder / "examples"


@pytest.mark.parametrize("segments", ["faithful", "packed"])
def test_the_shares_joined_are_the_examples_of_all_tasks(corpus: Path, tokenizer: Path, segments: str) -> None:
    made = ElectraTokenizer.from_pretrained(tokenizer)
    train, held_out = open_prepared(run(corpus, tokenizer, segments=segments), made)
    options = {"length": 32, "held_out_fraction": 0.1, "segments": segments}
    parts = [prepare(corpus / f"{task}.jsonl", made, corpus.parent / "alone", **options) for task in range(TASKS)]
    if segments == "packed":  # no chance in it: exactly what each file alone gives
        for number, joined in enumerate((train, held_out)):
            expected = [sequence.tolist() for part in parts for sequence in part[number]]
            assert [sequence.tolist() for sequence in joined] == expected
    assert train.documents[-1] == len(train)
    told = json.loads((train.path.parent / "shards.json").read_text())
    assert told["train"]["documents"] + told["held_out"]["documents"] == TASKS * DOCUMENTS
    assert told["tokens_read"] == TASKS * sum(number + 2 for number in range(DOCUMENTS))
    assert told["train"]["tokens"] == train.tokens == sum(map(len, train))


def executors(kind: str, steps: list[Any], logs: Path) -> Any:
    """An executor for a cluster, made as docs/pretraining.md makes it; that needs neither Slurm nor Ray."""
    if kind == "slurm":
        return SlurmPipelineExecutor(steps, tasks=TASKS, time="01:00:00", partition="cpu", logging_dir=str(logs))
    return RayPipelineExecutor(steps, tasks=TASKS, logging_dir=str(logs))


@pytest.mark.parametrize("kind", ["slurm", "ray"])
def test_the_steps_travel_to_the_machines_of_a_cluster(corpus: Path, tokenizer: Path, kind: str) -> None:
    """Such executors send themselves, with the steps, to every task; there is no cluster here to send them to."""
    expected, folder = run(corpus, tokenizer), corpus.parent
    settings = {"length": 32, "held_out_fraction": 0.1}
    steps = [JsonlReader(str(corpus)), WriteShare(tokenizer, folder / "others", **settings)]
    sent = dill.loads(dill.dumps(executors(kind, steps, folder / kind)))
    for task in range(TASKS):
        data: Any = None
        for step in sent.pipeline:
            data = step(data, task, TASKS)
    JoinShares(tokenizer, folder / "others", folder / "joined").run()
    for path in expected.iterdir():
        assert (folder / "joined" / path.name).read_bytes() == path.read_bytes()


def test_words_that_are_marked_come_through(corpus: Path, tokenizer: Path) -> None:
    for path in corpus.iterdir():
        path.write_text(path.read_text().replace(" w", ".|w"))
    made = ElectraTokenizer.from_pretrained(tokenizer)
    train, _ = open_prepared(run(corpus, tokenizer, segments="packed", word_boundaries="|"), made)
    options = {"length": 32, "held_out_fraction": 0.1, "segments": "packed", "word_boundaries": "|"}
    parts = [prepare(corpus / f"{task}.jsonl", made, corpus.parent / "alone", **options)[0] for task in range(TASKS)]
    expected = [part.word_starts(number).tolist() for part in parts for number in range(len(part))]
    assert [train.word_starts(number).tolist() for number in range(len(train))] == expected
    assert {one for starts in expected for one in starts} == {True, False}


def test_what_is_missing_or_does_not_belong_together_is_named(corpus: Path, tokenizer: Path) -> None:
    folder = corpus.parent
    join = JoinShares(tokenizer, folder / "shares", folder / "examples")
    with pytest.raises(ValueError, match="has no share of the first task"):
        join.run()
    run(corpus, tokenizer)
    share = folder / "shares" / "00001" / "examples" / "share.json"
    text = share.read_text()
    share.write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ValueError, match="00001/examples was made with other options"):
        join.run()
    share.unlink()
    with pytest.raises(ValueError, match=r"1 of 3 shares are missing, the first is .*00001"):
        join.run()
    share.write_text(text)
    ElectraTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[:50]]).save_pretrained(tokenizer)
    with pytest.raises(ValueError, match="another tokenizer"):
        join.run()
    with pytest.raises(ValueError, match="length=3"):
        WriteShare(tokenizer, folder / "shares", length=3)


def test_a_task_without_documents_gives_an_empty_share(corpus: Path, tokenizer: Path) -> None:
    (corpus / "2.jsonl").unlink()
    train, _ = open_prepared(run(corpus, tokenizer), ElectraTokenizer.from_pretrained(tokenizer))
    assert len(train) > 0


@pytest.mark.parametrize("output", ["precious", "examples", "precious/thesis.txt", "shares", ".", "shares/joined"])
def test_nothing_but_prepared_examples_is_replaced(corpus: Path, tokenizer: Path, output: str) -> None:
    folder = corpus.parent
    run(corpus, tokenizer)
    for name in ("precious", "examples"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "thesis.txt").write_text("all of it")
    (folder / "shards.json").write_text("{}")  # even a folder of examples, where the shares are in it
    before = sorted(folder.rglob("*"))
    with pytest.raises(
        ValueError, match=r"would be replaced: give|give an output outside of the shares, because the output folder is"
    ):
        JoinShares(tokenizer, folder / "shares", folder / output)
    assert sorted(folder.rglob("*")) == before
    (folder / "examples" / "thesis.txt").unlink()
    (folder / "empty").mkdir()
    for place in ("empty", "examples", "examples"):
        JoinShares(tokenizer, folder / "shares", folder / place).run()
        assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_what_is_put_into_the_output_meanwhile_is_kept(
    corpus: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = corpus.parent
    run(corpus, tokenizer)
    sync = resumable.sync_folder_tree

    def meanwhile(working: Path) -> None:
        sync(working)
        (folder / "other").mkdir()
        (folder / "other" / "thesis.txt").write_text("all of it")

    monkeypatch.setattr(resumable, "sync_folder_tree", meanwhile)
    with pytest.raises(ValueError, match="would be replaced"):
        JoinShares(tokenizer, folder / "shares", folder / "other").run()
    assert [path.name for path in (folder / "other").iterdir()] == ["thesis.txt"]


def documents(killed_at: int = -1) -> Iterator[Any]:
    for number in range(DOCUMENTS):
        if number == killed_at:
            raise KeyboardInterrupt
        yield SimpleNamespace(id=str(number), text=f"{WORDS[number]} " * (number + 1))


def begun(monkeypatch: pytest.MonkeyPatch, tokenizer: Path, shares: Path, **options: Any) -> None:
    """A share that is killed in its middle, with a mark."""
    monkeypatch.setattr(example_sets, "TOKENS_BETWEEN_MARKS", 50)
    monkeypatch.setattr(tokenize, "GROUP_CHARACTERS", 100)
    with pytest.raises(KeyboardInterrupt):
        WriteShare(tokenizer, shares, **options).run(documents(30), 0, 1)
    assert (shares / "00000" / ".examples.unfinished" / "mark.json").is_file()


@pytest.mark.parametrize("other", ["length", "tokenizer", "tasks", "nothing"])
def test_a_killed_share_goes_on_only_with_what_it_was_begun_with(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    options: dict[str, Any] = {"length": 64, "held_out_fraction": 0.1}
    begun(monkeypatch, tokenizer, tmp_path / "shares", **options)
    if other == "length":
        options["length"] = 32
    if other == "tokenizer":
        ElectraTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS[::-1]]).save_pretrained(tokenizer)
    tasks = 2 if other == "tasks" else 1
    for shares in ("whole", "shares"):
        with caplog.at_level(logging.WARNING):
            WriteShare(tokenizer, tmp_path / shares, **options).run(documents(), 0, tasks)
    assert ("started with other options or another tokenizer: it restarts" in caplog.text) == (other != "nothing")
    made, expected = (tmp_path / shares / "00000" / "examples" for shares in ("shares", "whole"))
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {
        path.name: path.read_bytes() for path in expected.iterdir()
    }


def test_a_share_that_is_killed_when_all_is_done_but_its_name_goes_on(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(monkeypatch, tokenizer, tmp_path / "shares")
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "mark.json":  # what is hidden is gone by then
            raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            WriteShare(tokenizer, tmp_path / "shares").run(documents(), 0, 1)
    WriteShare(tokenizer, tmp_path / "shares").run(iter(()), 0, 1)  # nothing is read again
    assert len(list((tmp_path / "shares" / "00000").glob("examples/share.json"))) == 1
