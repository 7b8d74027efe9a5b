"""Files of labelled examples: what is read, and what is refused with file and line."""

from __future__ import annotations

import gzip
import json
import lzma
import re
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from electra.labelled.records import columns_of, read_records

DAMAGE = "(damaged compressed file|the compressed file is cut short)"
NOT_UTF_8 = "byte 0xe9 at byte 4 of the line is not utf-8; as cp1252 the place reads 'café,1'"


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_json_lines_know_their_line_numbers(tmp_path: Path) -> None:
    records = read_records(written(tmp_path / "a.jsonl", '{"text": "x", "label": 1}\n\n{"text": "y", "label": 0}\n'))
    assert [record.values for record in records] == [{"text": "x", "label": 1}, {"text": "y", "label": 0}]
    assert records[1].where == f"{tmp_path / 'a.jsonl'}:3"


def test_csv_has_quotes_and_lines_inside_them(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '\ufefftext,label\r\n"one, ""two""\nthree",a\r\nfour,b\r\n')
    records = read_records(path)
    assert [tuple(record.values.items()) for record in records] == [
        (("text", 'one, "two"\nthree'), ("label", "a")),
        (("text", "four"), ("label", "b")),
    ]
    assert [record.line for record in records] == [2, 4]


def test_a_quote_in_tsv_is_a_character(tmp_path: Path) -> None:
    [record] = read_records(written(tmp_path / "a.tsv", 'sentence\tlabel\n"so he said\t1\n'))
    assert record.values == {"sentence": '"so he said', "label": "1"}


@pytest.mark.parametrize(("suffix", "opened"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_compressed_files(tmp_path: Path, suffix: str, opened: object) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    with opened(path, "wb") as file:  # type: ignore[operator]
        file.write(b'{"text": "x"}\n' * 3)
    assert len(read_records(path)) == 3
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:18] + b"\xff" * 4 + whole[22:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"a.jsonl{suffix}:\d: {DAMAGE}"):
            read_records(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl:2: a JSON list: every line must be a JSON object"),
        ("a.jsonl", "", "a.jsonl holds no examples"),
        ("a.csv", "text,label\n", "a.csv holds no examples"),
        ("a.csv", "text,label\nx,1\nx\n", r"a\.csv:3: 1 columns, the first line names 2"),
        ("a.csv", 'text,label\n"x,1\ny,1\n', r"a\.csv:2: unexpected end of data"),
        ("a.csv", "text,label,label\nx,1,2\n", r"a\.csv:1: two columns are called 'label': give each a name of its"),
        ("a.parquet", "PAR1", r"a\.parquet is damaged or no Parquet file"),
        ("a.docx", "x", r"a\.docx: files of examples are \.jsonl, \.csv, \.tsv"),
        ("a.conll", "Ann B-PER\nsat\n", r"a\.conll:2: 1 column, where a word and its tag are needed"),
        ("a.conll", "Ann NNP B-PER\nsat O\n", r"a\.conll:2: 2 columns, the sentence's first line has 3"),
        ("a.conll", "-DOCSTART- O\n\n", r"a\.conll holds no examples"),
        ("a.txt", "__label__a x\nno label here\n", r"a\.txt:2: no label: .* begins with __label__"),
        ("a.json", '{"data": [', r"a\.json: not JSON"),
        ("a.json", '[{"text": "x"}, 3]', r"a\.json: a \.json file must be one of these: SQuAD"),
        (
            "a.json",
            '{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "q"}]}]}]}',
            r"a\.json, record 1: .* no 'question'",
        ),
    ],
)
def test_what_is_no_example_is_refused_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_records(written(tmp_path / name, text))


@pytest.mark.parametrize(
    ("name", "text", "kept", "complaint"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n[1]\n{"a": 2}\n', 2, r"a\.jsonl:2: not JSON"),
        ("a.csv", "text,label\nx\ny,1\n", 1, r"a\.csv:2: 1 columns"),
        ("a.csv", 'text,label\nx,1\n"a "b" c",1\ny,1\n', 2, r"a\.csv:3: ',' expected after"),
        ("a.conll", "a O\nb\nc O\n\nd O\n", 1, r"a\.conll:2: 1 column"),
        ("a.txt", "__label__a x\nno label here\n", 1, r"a\.txt:2: no label"),
        (
            "a.json",
            '[{"paragraphs": [{"context": "x", "qas": [{}, {"question": "y", "answers": []}]}]}]',
            1,
            "a.json, record 1",
        ),
    ],
)
def test_broken_rows_are_left_out_on_request(tmp_path: Path, name: str, text: str, kept: int, complaint: str) -> None:
    skipped: list[str] = []
    records = read_records(written(tmp_path / name, text), skipped=skipped)
    assert len(records) == kept
    assert skipped
    assert re.search(complaint, skipped[0])


def test_a_quote_that_nothing_closes_costs_all_the_lines_that_it_takes_in(tmp_path: Path) -> None:
    skipped: list[str] = []
    [record] = read_records(written(tmp_path / "a.csv", 'text,label\nx,1\n"y,1\nz,1\nw,1\n'), skipped=skipped)
    assert record.values == {"text": "x", "label": "1"}
    assert [complaint.split(":")[1] for complaint in skipped] == ["3", "4", "5"]


def test_nothing_but_broken_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no examples that can be used: .*a\.jsonl:1: not JSON"):
        read_records(written(tmp_path / "a.jsonl", "{\n"), skipped=[])


def test_a_header_is_given_to_a_table_without_one(tmp_path: Path) -> None:
    names = ("source", "label", "mark", "sentence")
    [record] = read_records(written(tmp_path / "a.tsv", "gj04\t1\t\tThe sea is wide.\n"), header=names)
    assert record.values == {"source": "gj04", "label": "1", "mark": "", "sentence": "The sea is wide."}
    [record] = read_records(written(tmp_path / "a.tsv", "sentence\tlabel\nThe sea.\t1\n"), header=names)
    assert record.values == {"sentence": "The sea.", "label": "1"}
    path = written(tmp_path / "a.tsv", "label\tsource\tmark\tsentence\n1\tgj04\t\tThe sea.\n")
    [record] = read_records(path, header=names)
    assert record.values == {"label": "1", "source": "gj04", "mark": "", "sentence": "The sea."}


def test_parquet(tmp_path: Path) -> None:
    values = [{"tokens": ["a", "b"], "tags": ["O", "X"]}, {"tokens": ["c"], "tags": ["O"]}]
    parquet.write_table(pyarrow.Table.from_pylist(values), tmp_path / "a.parquet")
    records = read_records(tmp_path / "a.parquet")
    assert [record.values for record in records] == values
    assert records[1].where.endswith("a.parquet, row 2")


def test_squad(tmp_path: Path) -> None:
    answer = {"text": "sea", "answer_start": 4}
    questions = [
        {"id": "a", "question": "What?", "answers": [answer], "is_impossible": False},
        {"id": "b", "question": "Why?", "answers": [], "plausible_answers": [answer], "is_impossible": True},
    ]
    data = {"version": "v2.0", "data": [{"title": "t", "paragraphs": [{"context": "the sea", "qas": questions}]}]}
    records = read_records(written(tmp_path / "a.json", json.dumps(data)))
    assert [record.values for record in records] == [
        {"id": "a", "question": "What?", "context": "the sea", "answers": [answer]},
        {"id": "b", "question": "Why?", "context": "the sea", "answers": []},
    ]


def test_fasttext_and_conll_in_plain_text(tmp_path: Path) -> None:
    records = read_records(written(tmp_path / "a.txt", "__label__good a fine film\n\n__label__a __label__b both\n"))
    assert [record.values for record in records] == [
        {"text": "a fine film", "label": "good"},
        {"text": "both", "label": ["a", "b"]},
    ]
    [record] = read_records(written(tmp_path / "a.txt", "the DT B-NP\nsea NN I-NP\n"))
    assert record.values == {"tokens": ["the", "sea"], "tags": ["B-NP", "I-NP"]}


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=rf"a\.csv:2: {NOT_UTF_8}"):
        read_records(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "none.csv")


def test_columns_are_those_of_all_records(tmp_path: Path) -> None:
    records = read_records(written(tmp_path / "a.jsonl", '{"body": "x"}\n{"label": 1, "body": null}\n'))
    assert columns_of(records) == ["body", "label"]
