"""What finetune reads, predict reads: the same files, without the labels."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from electra.inference.example_files import InputColumns, read_examples, read_file
from electra.tasks.feature_extraction import FeatureExtraction
from electra.tasks.fill_mask import FillMask
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification

SQUAD = {"data": [{"paragraphs": [{"context": "the sea", "qas": [{"id": "q", "question": "What?", "answers": []}]}]}]}


def read(source: Any, kind: Any, **given: str) -> list[Any]:
    columns = InputColumns(kind, given, {})
    rows = read_file(str(source), columns) if isinstance(source, Path) else read_examples(source, columns)
    return [_plain(row.example) for row in rows]


def _plain(example: Any) -> Any:
    return example["text"] if isinstance(example, dict) and set(example) == {"text"} else example


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
         [{"query": "q", "texts": ["x"]}, {"query": "r", "texts": ["z"]}, {"query": "q", "texts": ["y"]}]),
        ("a.csv", "text,choices\nx,\"['a', 'b']\"\n", MultipleChoice, [{"choices": ["a", "b"], "text": "x"}]),
        ("a.csv", "id,text\n1,a [MASK]\n", FillMask, ["a [MASK]"]),
        ("a.jsonl", '{"sentence": "x"}', FeatureExtraction, ["x"]),
    ],
)  # fmt: skip
def test_every_file(tmp_path: Path, name: str, content: str, kind: Any, examples: list[Any]) -> None:
    assert read(written(tmp_path / name, content), kind) == examples


def test_words_are_in_columns_that_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", "1 Ann B-PER\n2 sat O\n")
    assert read(path, TokenClassification, tokens="2") == [{"tokens": ["Ann", "sat"]}]
    path = written(tmp_path / "a.csv", "s,w,t\n0,Ann,O\n0,sat,O\n")
    columns = InputColumns(TokenClassification, {"tokens": "w"}, {})
    with pytest.raises(ValueError, match=r"a\.csv"):
        list(read_file(str(written(tmp_path / "a.csv", "w,tag\nAnn,O\nsat,O\n")), columns))


def test_folders_patterns_and_memory(tmp_path: Path) -> None:
    table = pyarrow.table({"text": ["x", "y"], "label": [0, 1]})
    parquet.write_table(table, tmp_path / "a.parquet")
    parquet.write_table(table, tmp_path / "b.parquet")
    for source in (tmp_path, tmp_path / "*.parquet"):
        assert read(source, TextClassification) == ["x", "y", "x", "y"]
    assert read(["x", "y"], TextClassification) == ["x", "y"]
    pandas = pytest.importorskip("pandas")
    assert read(pandas.DataFrame({"text": ["x", "y"]}), TextClassification) == ["x", "y"]


def test_what_cannot_be_predicted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.csv:2: .*--columns text=review"):
        read(written(tmp_path / "a.csv", "nr,stars\n1,3\n"), TextClassification)
    with pytest.raises(FileNotFoundError, match=r"gone\.csv"):
        read(tmp_path / "gone.csv", TextClassification)
