"""Records with a field of text: every kind of file gives the same documents, and every bad record is named."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
import zstandard

from electra.data.corpus import documents
from electra.data.corpus.documents import Document, read_documents
from electra.files import delimited, lines
from electra.files import parquet as parquet_files

TEXTS = ["One line.\n\n  and another", 'Second, with "quotes"\r\nand – a dash', "", "Third"]
LINES = [["One line.", "and another"], ['Second, with "quotes"', "and – a dash"], ["Third"]]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_json_lines(texts: Sequence[str], field: str = "text") -> bytes:
    return "\n".join(json.dumps({"id": i, field: text}) for i, text in enumerate(texts)).encode()


def as_csv(texts: Sequence[str], field: str = "text") -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows([("id", field), *enumerate(texts)])
    return file.getvalue().encode()


def as_tsv(texts: Sequence[str], field: str = "text") -> bytes:
    return "\n".join(["id\t" + field, *(f"{i}\t{text}" for i, text in enumerate(texts))]).encode()


def as_parquet(path: Path, texts: Sequence[object], field: str = "text", **options: object) -> Path:
    parquet.write_table(arrow.table({"id": range(len(texts)), field: texts}), path, **options)
    return path


def fails(path: Path, *words: str, error: type[Exception] = ValueError, **options: str) -> None:
    with pytest.raises(error) as caught:
        list(read_documents(path, **options))
    for word in words:
        assert word in str(caught.value)


def texts_of(found: Sequence[Document]) -> list[list[str]]:
    return [document.lines for document in found]


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize(("suffix", "made"), [(".jsonl", as_json_lines), (".csv", as_csv)])
def test_every_record_is_a_document(tmp_path: Path, suffix: str, made: Callable[..., bytes], compression: str) -> None:
    """A blank line inside a record does not end it, and a record without text is no document."""
    path = write(tmp_path / f"a{suffix}{compression}", COMPRESS[compression](made(TEXTS)))
    assert texts_of(list(read_documents(path))) == LINES
    other = write(tmp_path / f"b{suffix}{compression}", COMPRESS[compression](made(TEXTS, "body")))
    assert texts_of(list(read_documents(other, text_field="body"))) == LINES


def test_the_lines_are_those_on_which_records_begin(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,id\n"one\ntwo",1\n\n"three\nfour\n",2\nfive,3\n')
    found = list(read_documents(path))
    assert [(document.line, document.lines) for document in found] == [
        (2, ["one", "two"]),
        (5, ["three", "four"]),
        (8, ["five"]),
    ]
    jsonl = write(tmp_path / "a.jsonl", '\ufeff{"text": "one\\ntwo"}\n\n{"text": "three"}')
    assert [(document.line, document.lines) for document in read_documents(jsonl)] == [
        (1, ["one", "two"]),
        (3, ["three"]),
    ]


def test_quotes_mean_nothing_in_tsv(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv.gz", gzip.compress(as_tsv(['"One', 'and" two'])))
    assert texts_of(list(read_documents(path))) == [['"One'], ['and" two']]


@pytest.mark.parametrize("kind", [arrow.string(), arrow.large_string(), arrow.dictionary(arrow.int8(), arrow.string())])
def test_parquet_is_read_row_group_by_row_group(
    tmp_path: Path, kind: arrow.DataType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "BATCH_ROWS", 2)
    texts = [*TEXTS, *(f"number {i}" for i in range(10))]
    path = as_parquet(tmp_path / "a.parquet", arrow.array(texts).cast(kind), row_group_size=3)
    seen: list[tuple[int, int]] = []
    found = list(read_documents(path, progress=lambda done, total: seen.append((done, total))))
    assert texts_of(found) == [*LINES, *([f"number {i}"] for i in range(10))]
    assert [document.line for document in found[:4]] == [1, 2, 4, 5]
    size = path.stat().st_size
    assert len(seen) == 5  # row groups
    assert seen[-1] == (size, size)


def test_a_folder_may_hold_all_kinds(tmp_path: Path) -> None:
    as_parquet(tmp_path / "c.parquet", ["c"])
    write(tmp_path / "a.jsonl", as_json_lines(["a"]))
    write(tmp_path / "b.txt", "b")
    assert texts_of(list(read_documents(tmp_path))) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".parquet"])
def test_a_missing_field_is_an_error_that_tells_what_there_is(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    makers = {".jsonl": as_json_lines, ".csv": as_csv, ".tsv": as_tsv}
    if suffix in makers:
        write(path, makers[suffix](["x"], "body"))
    else:
        as_parquet(path, ["x"], "body")
    fails(path, f"a{suffix}", "no field 'text', only id, body", "text_field")


def test_bad_json_lines_are_named(tmp_path: Path) -> None:
    good = '{"text": "good"}\n'
    for line, words in [
        ('{"text": "cut sho', ("a.jsonl:2: not JSON",)),
        ('["text"]', ("a.jsonl:2: a JSON list",)),
        ('{"text": null}', ("a.jsonl:2: 'text' is None, not text",)),
        ('{"text": ["a"]}', ("a.jsonl:2: 'text' is ['a'], not text",)),
        ("[" * 100_000, ("a.jsonl:2: not JSON",)),
    ]:
        fails(write(tmp_path / "a.jsonl", good + line), *words)
    fails(write(tmp_path / "a.jsonl", (good + '{"text": "caf').encode() + b'\xe9"}'), "a.jsonl:2: byte 0xe9 at byte 14")
    fails(write(tmp_path / "a.jsonl", "\n\n"), "a.jsonl holds no text")


def test_bad_tables_are_named(tmp_path: Path) -> None:
    fails(write(tmp_path / "a.csv", "id,text\n1,a\n2,b,c\n"), "a.csv:3: 3 columns, the first line names 2")
    fails(write(tmp_path / "a.csv", 'id,text\n1,a\n2,"never closed\nb\n'), "a.csv:3:", "unexpected end")
    fails(write(tmp_path / "a.tsv", "id\ttext\n1\n"), "a.tsv:2: 1 columns")
    fails(write(tmp_path / "a.csv", ""), "a.csv holds no text")


def test_an_unclosed_quote_does_not_take_in_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lines, delimited):
        monkeypatch.setattr(module, "LONGEST_RECORD_BYTES", 2**20)
    path = write(tmp_path / "a.csv", 'text\n"begins\n' + "and goes on\n" * 100_000)
    fails(path, "a.csv:2: a record of over 1 MB begins here", "quote")


def test_a_record_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_RECORD_BYTES", 2**20)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1000)
    path = write(tmp_path / "a.jsonl", as_json_lines(["short", "x" * 2**21]))
    read: list[int] = []
    with pytest.raises(ValueError, match=r"a\.jsonl:2: a line of over 1 MB"):
        list(read_documents(path, progress=lambda done, total: read.append(done)))
    assert read[-1] < 1.1 * 2**20  # it is not read to its end


def test_a_long_text_of_a_record_is_cut_into_lines_and_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 64)
    monkeypatch.setattr(documents, "LONGEST_DOCUMENT", 200)
    words = [f"wörd{i}" for i in range(100)]
    found = list(read_documents(write(tmp_path / "a.jsonl", as_json_lines([" ".join(words) + "\n" + "語" * 100]))))
    assert len(found) > 3
    got = [line for document in found for line in document.lines]
    assert max(map(len, got)) <= 64
    assert " ".join(got[:-2]).split() == words
    assert "".join(got[-2:]) == "語" * 100


def test_damaged_and_wrong_parquet(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "a.parquet", [f"{i} " * 100 for i in range(1000)])
    content = path.read_bytes()
    for damaged in (b"", b"text", content[: len(content) // 2], content[:1000] + b"\xff" * 5000 + content[6000:]):
        fails(write(tmp_path / "b.parquet", damaged), "b.parquet is damaged or no Parquet file")
    fails(as_parquet(path, ["a", None]), "a.parquet, row 2: 'text' is None")
    fails(as_parquet(path, [1, 2]), "a.parquet: the column 'text' holds int64, not text")
    fails(tmp_path / "none.parquet", "no file", error=FileNotFoundError)


def test_without_pyarrow_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_parquet(tmp_path / "a.parquet", ["text"])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"pip install 'electra\[data\]'"):
        read_documents(path)  # at the call: not after hours of other files


def test_half_a_surrogate_pair_is_refused_or_replaced_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "good"}\n{"text": "a \\ud83d b"}\n{"text": "\\ud83d\\ude00"}\n')
    fails(path, r"a.jsonl:2: \ud83d is half of a surrogate pair", "invalid_utf8")
    found = list(read_documents(path, invalid_utf8="replace"))
    assert [(document.lines, document.replaced) for document in found] == [
        (["good"], 0),
        (["a \ufffd b"], 1),
        (["😀"], 0),
    ]
