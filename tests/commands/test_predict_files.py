"""`electra predict`: every file that fine-tuning reads, every output, and what happens to outputs that exist."""

from __future__ import annotations

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import electra
from electra import pipeline
from electra.commands.predict import PredictConfig, PredictResult, predict_file
from tests.tasks.tiny import TAGS, make_folder

pq = pytest.importorskip("pyarrow.parquet")
pa = pytest.importorskip("pyarrow")


class Frame:
    """What is read of a frame of pandas."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.columns = list(rows[0])

    def to_dict(self) -> None:
        raise AssertionError("this would need all rows twice")

    def itertuples(self, *, index: bool, name: None) -> Iterator[tuple[Any, ...]]:
        assert not index
        return (tuple(row.values()) for row in self.rows)


class PolarsFrame:
    """What is read of a frame of polars."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def iter_rows(self, *, named: bool) -> Iterator[dict[str, Any]]:
        assert named
        return iter(self.rows)


TEXTS = ["Ann sat.", "the cat, on a mat", "new york"]
PAIRS = ["is big", "Paris", "a cat"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_folder(tmp_path_factory.mktemp("three"), "ElectraForSequenceClassification", num_labels=3))


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> str:
    fields = {"id2label": TAGS, "label2id": {name: i for i, name in TAGS.items()}}
    return str(make_folder(tmp_path_factory.mktemp("tags"), "ElectraForTokenClassification", **fields))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("squad")
    return str(make_folder(folder, "ElectraForQuestionAnswering", max_position_embeddings=64))


def table(path: Path, rows: list[dict[str, Any]], delimiter: str = ",") -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


ROWS = [{"id": str(i), "text": text, "label": "LABEL_0"} for i, text in enumerate(TEXTS)]
PAIR_ROWS = [{"sentence1": one, "sentence2": two} for one, two in zip(TEXTS, PAIRS, strict=True)]


def as_csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return table(folder / "in.csv", rows)


def as_tsv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    return table(folder / "in.tsv", rows, "\t")


def as_gz(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "in.csv.gz"
    path.write_bytes(gzip.compress(as_csv(folder, rows).read_bytes()))
    return path


def as_jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "in.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


every_format = pytest.mark.parametrize("write", [as_csv, as_tsv, as_gz, as_jsonl, as_parquet])


@every_format
def test_a_row_is_an_example_in_every_format(model: str, tmp_path: Path, write: Callable[..., Path]) -> None:
    expected = pipeline(model=model, device="cpu")(TEXTS)
    assert electra.predict(model, write(tmp_path, ROWS), device="cpu") == expected
    pairs = [{"text": row["sentence1"], "text_pair": row["sentence2"]} for row in PAIR_ROWS]
    expected = pipeline(model=model, device="cpu")(pairs)
    assert electra.predict(model, write(tmp_path, PAIR_ROWS), device="cpu") == expected


def test_lists_frames_and_iterators_are_answered_too(model: str) -> None:
    expected = electra.predict(model, list(TEXTS), device="cpu")
    frame = Frame(ROWS)
    assert electra.predict(model, frame, device="cpu") == expected
    assert electra.predict(model, iter(ROWS), device="cpu") == expected
    assert electra.predict(model, PolarsFrame(ROWS), device="cpu") == expected
    renamed = Frame([{"id": row["id"], "Comment": row["text"]} for row in ROWS])
    assert electra.predict(model, renamed, columns={"text": "Comment"}, device="cpu") == expected
    with pytest.raises(ValueError, match=r"example 1: no column has the example: there is id, Comment; looked for"):
        electra.predict(model, renamed, device="cpu")
    with pytest.raises(ValueError, match=r"columns names 'txt', and text-classification has no such part"):
        electra.predict(model, frame, columns="txt=text", device="cpu")
    with pytest.raises(ValueError, match="data is int: it must be a file"):
        electra.predict(model, 3, device="cpu")


def test_words_and_questions_are_read_from_tables(tagger: str, reader: str, tmp_path: Path) -> None:
    words = ["Ann", "sat", "in", "Paris"]
    expected = pipeline(model=tagger, device="cpu")([{"tokens": words}])
    for cell in (" ".join(words), json.dumps(words), repr(words)):
        assert electra.predict(tagger, table(tmp_path / "in.csv", [{"tokens": cell}]), device="cpu") == expected
    conll = tmp_path / "in.conll"
    conll.write_text("".join(f"{word} O\n" for word in words))
    assert electra.predict(tagger, conll, device="cpu") == expected
    question = {"question": "who sat", "context": "Ann sat on a mat"}
    answer = [pipeline(model=reader, device="cpu")(question)]
    assert electra.predict(reader, as_csv(tmp_path, [question]), device="cpu") == answer
    squad = tmp_path / "dev.json"
    paragraph = {"context": question["context"], "qas": [{"id": "a", "question": question["question"], "answers": []}]}
    squad.write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    assert electra.predict(reader, squad, device="cpu") == answer


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.tsv", "out.parquet"])
@pytest.mark.parametrize("keep", [None, "id", "all"])
def test_answers_in_every_format(model: str, tmp_path: Path, name: str, keep: str | None) -> None:
    answers = pipeline(model=model, device="cpu")(TEXTS)
    output = tmp_path / name
    done = electra.predict(model, as_csv(tmp_path, ROWS), output=output, keep=keep, device="cpu")
    assert done == PredictResult(output, 3)
    kept = [{} if keep is None else row if keep == "all" else {"id": row["id"]} for row in ROWS]
    if name.endswith("jsonl"):
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert lines == [{**k, "answer": a} if k else a for k, a in zip(kept, answers, strict=True)]
        return
    if name.endswith("parquet"):
        rows = pq.read_table(output).to_pylist()
    else:
        with open(output, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t" if name.endswith("tsv") else ","))
    label = "answer_label" if keep == "all" else "label"  # the input has a column of that name
    assert [{**row, "score": float(row["score"])} for row in rows] == [
        {**k, label: a["label"], "score": a["score"]} for k, a in zip(kept, answers, strict=True)
    ]


def test_an_answer_that_is_a_list_is_json_in_a_table(model: str, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    electra.predict(model, list(TEXTS), output=output, top_k=2, device="cpu")
    with open(output, newline="", encoding="utf-8") as file:
        rows = [json.loads(row["answer"]) for row in csv.DictReader(file)]
    assert rows == pipeline(model=model, device="cpu")(TEXTS, top_k=2)


def test_a_column_to_keep_that_there_is_not_is_named(model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"in\.csv:2: keep names the column 'title'; there is id, text, label"):
        electra.predict(model, as_csv(tmp_path, ROWS), keep="id,title", device="cpu")


def test_outputs_that_exist_are_replaced_only_if_asked(model: str, tmp_path: Path) -> None:
    data, output = as_csv(tmp_path, ROWS), tmp_path / "out.jsonl"
    output.write_text("mine")
    with pytest.raises(ValueError, match="which exists: give another name, or --overwrite"):
        electra.predict(model, data, output=output, device="cpu")
    assert output.read_text() == "mine"
    assert electra.predict(model, data, output=output, overwrite=True, device="cpu").examples == 3
    for taken in (data, Path(model) / "config.json"):
        before = taken.read_bytes()
        with pytest.raises(ValueError, match="it would be lost"):
            electra.predict(model, data, output=taken, overwrite=True, device="cpu")
        assert taken.read_bytes() == before
    with pytest.raises(ValueError, match=r"compressed files are not written; leave out \.gz"):
        electra.predict(model, data, output=tmp_path / "out.csv.gz", device="cpu")


def test_a_killed_run_resumes(model: str, tmp_path: Path) -> None:
    data, output = tmp_path / "in.txt", tmp_path / "out.csv"
    data.write_text("".join(f"Ann sat on a mat {i}\n" for i in range(6000)))
    whole = tmp_path / "whole.csv"
    electra.predict(model, data, output=whole, resume=True, device="cpu")
    command = [sys.executable, "-m", "electra", "predict", model, str(data), "--output", str(output), "--resume"]
    process = subprocess.Popen([*command, "--device", "cpu"])
    saved = tmp_path / "out.csv.unfinished"
    while not saved.exists() or saved.read_bytes().count(b"\n") < 1025:
        assert process.poll() is None, "it was done before it could be killed"
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    with pytest.raises(ValueError, match="of a run in which top_k was None, and it is 2 now"):
        electra.predict(model, data, output=output, resume=True, top_k=2, device="cpu")
    with open(saved, "ab") as file:
        file.write(b'[{}, {"label"')  # a torn line
    assert electra.predict(model, data, output=output, resume=True, device="cpu").examples == 6000
    assert output.read_bytes() == whole.read_bytes()
    assert not saved.exists()


def test_resuming_needs_files(model: str, tmp_path: Path) -> None:
    for data, output in (("-", tmp_path / "o"), (as_csv(tmp_path, ROWS), None), (TEXTS, tmp_path / "o")):
        with pytest.raises(ValueError, match="resume needs a file as data, which can be read again, and a file as"):
            electra.predict(model, data, output=output, resume=True)


def test_the_former_flag_is_understood(model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "electra", "predict", model, "--file", str(as_csv(tmp_path, ROWS))]
    done = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == 3
    assert "--file is now --data" in done.stderr


def test_the_command_line_writes_the_same_file(model: str, tmp_path: Path) -> None:
    predict_file(PredictConfig(model, str(as_csv(tmp_path, ROWS)), output=str(tmp_path / "a.csv"), device="cpu"))
    electra.predict(model, ROWS, output=tmp_path / "b.csv", device="cpu")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
