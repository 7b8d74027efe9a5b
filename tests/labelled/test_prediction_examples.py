"""What finetune reads, predict reads: the same files, without the labels."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from electra.labelled.prediction_examples import examples_from
from electra.tasks.feature_extraction import FeatureExtraction
from electra.tasks.fill_mask import FillMask
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification

SQUAD = {"data": [{"paragraphs": [{"context": "the sea", "qas": [{"id": "q", "question": "What?", "answers": []}]}]}]}


def written(path: Path, content: str) -> Path:
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content", "kind", "examples"),
    [
        ("a.csv", "id,text,label\n1,x,a\n2,y,b\n", TextClassification, ["x", "y"]),
        ("a.csv.gz", "id;text\n1;x\n2;y\n", TextClassification, ["x", "y"]),
        ("a.tsv", "sentence1\tsentence2\nx\ty\n", TextClassification, [{"text": "x", "text_pair": "y"}]),
        ("a.jsonl", '{"text": "x"}\n{"text": "y", "text_pair": "z"}\n', TextClassification,
         ["x", {"text": "y", "text_pair": "z"}]),
        ("a.json", '[{"text": "x"}, {"text": "y"}]', TextClassification, ["x", "y"]),
        ("a.txt", "x\n\ny\n", TextClassification, ["x", "", "y"]),
        ("a.txt", '{"text": "x"}\nplain\n', TextClassification, ['{"text": "x"}', "plain"]),
        ("a.txt", "one\rtwo\r", TextClassification, ["one", "two"]),
        ("a.txt", "__label__a x\n__label__b y\n", TextClassification, ["x", "y"]),
        ("a.txt", "text\tlabel\nx\ta\n", TextClassification, ["x"]),
        ("a.conll", "Ann B-PER\nsat O\n\nRome B-LOC\n", TokenClassification,
         [{"tokens": ["Ann", "sat"]}, {"tokens": ["Rome"]}]),
        ("a.conll", "Ann\nsat\n\nRome\n", TokenClassification, [{"tokens": ["Ann", "sat"]}, {"tokens": ["Rome"]}]),
        ("a.csv", "sentence_id,word,tag\n0,Ann,O\n0,sat,O\n1,Rome,O\n", TokenClassification,
         [{"tokens": ["Ann", "sat"]}, {"tokens": ["Rome"]}]),
        ("a.csv", "words\n\"['Ann', 'sat']\"\n", TokenClassification, [{"tokens": ["Ann", "sat"]}]),
        ("a.csv", "id,text\n1,Ann sat\n", TokenClassification, ["Ann sat"]),
        ("a.txt", "Ann sat\n", TokenClassification, ["Ann sat"]),
        ("a.json", json.dumps(SQUAD), QuestionAnswering, [{"question": "What?", "context": "the sea"}]),
        ("a.csv", "question,context\nq,the sea\n", QuestionAnswering, [{"question": "q", "context": "the sea"}]),
        ("a.jsonl", '{"query": "q", "texts": ["x", "y"]}', TextRanking, [{"query": "q", "texts": ["x", "y"]}]),
        ("a.tsv", "query\tpassage\nq\tx\nr\tz\nq\ty\n", TextRanking,
         [{"query": "q", "texts": ["x", "y"]}, {"query": "r", "texts": ["z"]}]),
        ("a.csv", "text,choices\nx,\"['a', 'b']\"\n", MultipleChoice, [{"choices": ["a", "b"], "text": "x"}]),
        ("a.csv", "id,text\n1,a [MASK]\n", FillMask, ["a [MASK]"]),
        ("a.jsonl", '{"sentence": "x"}', FeatureExtraction, ["x"]),
    ],
)  # fmt: skip
def test_every_file(tmp_path: Path, name: str, content: str, kind: Any, examples: list[Any]) -> None:
    assert examples_from(written(tmp_path / name, content), kind).examples == examples


def test_columns_are_named_and_the_others_stay_in_the_records(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "nr,review,stars\n1,x,3\n2,y,4\n")
    found = examples_from(path, TextClassification, columns={"text": "review", "label": "stars"})
    assert found.examples == ["x", "y"]
    assert [record.values["nr"] for record in found.records] == ["1", "2"]
    assert found.records[1].where.endswith("a.csv:3")
    with pytest.raises(ValueError, match=r"a\.csv:2: no column with the text: .*the file has nr, review, stars"):
        examples_from(path, TextClassification)


def test_parquet_and_memory(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["x", "y"], "label": [0, 1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    for source in (tmp_path / "a.parquet", table, ["x", "y"], [{"text": "x"}, {"text": "y"}], {"text": ["x", "y"]}):
        assert examples_from(source, TextClassification).examples == ["x", "y"]
    pandas = pytest.importorskip("pandas")
    assert examples_from(pandas.DataFrame({"text": ["x", "y"]}), TextClassification).examples == ["x", "y"]


@pytest.mark.parametrize(
    "content",
    ['{"text": "x"}\n{"text": "y"}\n', "id,text\n1,x\n2,y\n", '[{"text": "x"}, {"text": "y"}]', "text\nx\ny\n"],
)
def test_stdin(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert examples_from("-", TextClassification).examples == ["x", "y"]


def test_what_cannot_be_predicted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.txt is empty"):
        examples_from(written(tmp_path / "a.txt", ""), TextClassification)
    with pytest.raises(ValueError, match=r"a\.jsonl:2: no 'text'"):
        examples_from(written(tmp_path / "a.jsonl", '{"text": "x"}\n{"id": 2}\n'), TextClassification)
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.txt"):
        examples_from(tmp_path / "gone.txt", TextClassification)
