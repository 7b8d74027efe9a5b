"""Files of labelled examples: what is read, and what is refused with file and line."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest

from electra.data.records import column_of, read_records, value_of


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
    assert [record.line for record in records] == [3, 4]


def test_a_quote_in_tsv_is_a_character(tmp_path: Path) -> None:
    [record] = read_records(written(tmp_path / "a.tsv", 'sentence\tlabel\n"so he said\t1\n'))
    assert record.values == {"sentence": '"so he said', "label": "1"}


@pytest.mark.parametrize(("suffix", "opened"), [(".gz", gzip.open), (".xz", lzma.open)])
def test_compressed_files(tmp_path: Path, suffix: str, opened: object) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    with opened(path, "wb") as file:  # type: ignore[operator]
        file.write(b'{"text": "x"}\n' * 3)
    assert len(read_records(path)) == 3
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=f"a.jsonl{suffix} is damaged or cut short"):
        read_records(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl:2: a JSON list, where every line is to be an object"),
        ("a.jsonl", "", "a.jsonl holds no examples"),
        ("a.csv", "text,label\n", "a.csv holds no examples"),
        ("a.csv", "text,label\nx,1\nx\n", r"a\.csv:3: 1 columns, the first line names 2"),
        ("a.csv", 'text,label\n"x,1\n', r"a\.csv:\d+: "),
        ("a.parquet", "PAR1", r"a\.parquet: files of examples are \.jsonl, \.csv and \.tsv"),
    ],
)
def test_what_is_no_example_is_refused_with_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_records(written(tmp_path / name, text))


def test_other_encodings_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.csv is not UTF-8"):
        read_records(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError):
        read_records(tmp_path / "none.csv")


def test_columns_and_values_that_are_missing(tmp_path: Path) -> None:
    records = read_records(written(tmp_path / "a.jsonl", '{"body": "x"}\n{"body": null}\n'))
    with pytest.raises(ValueError, match=r"a\.jsonl:1: no column with the text: looked for text, .*the file has body"):
        column_of(records, ("text", "sentence"), "the text")
    assert column_of(records, ("text", "body"), "the text") == "body"
    with pytest.raises(ValueError, match=r"a\.jsonl:2: no 'body'"):
        value_of(records[1], "body")
