"""Files of labelled examples -> records that know the line they came from."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

from electra.files.text_files import PathLike, needed
from electra.labelled import conll, fasttext, squad

FORMATS = (
    ".jsonl, .csv, .tsv, .conll (.bio, .iob), .json (SQuAD's) and .txt (fastText's or CoNLL's), each also compressed "
    "(.gz, .xz), and .parquet"
)

Row = tuple[int, dict[str, Any]]
"""A line's number and its columns."""
Refuse = Callable[[str], None]
"""What is told of a row that cannot be used; it raises, or the row is left out."""


@dataclass(frozen=True, slots=True)
class Record:
    """One example: its columns by name, and where it stands."""

    values: Mapping[str, Any]
    source: Path
    line: int
    """The line it ends on in `source`, from 1 (of a Parquet file and of JSON: the row or question)."""

    @property
    def where(self) -> str:
        """`file:line`, as compilers and editors write it."""
        return f"{self.source}:{self.line}"


def read_records(path: PathLike, *, header: Sequence[str] = (), skipped: list[str] | None = None) -> list[Record]:
    """All records of one file, told by its suffix: .jsonl, .csv, .tsv, .conll, .json, .txt (UTF-8; each also .gz or
    .xz) and .parquet.

    CSV and TSV begin with a line of column names; in TSV, quotes are ordinary characters. A .conll file has
    `tokens` and `tags`, a .json file is one of SQuAD and has `id`, `question`, `context` and `answers`, a .txt file is
    one of fastText and has `text` and `label`, or like a .conll file.

    Args:
        header: what the columns of a CSV or TSV file are called whose first line does not name any of them.
        skipped: where given, the complaint about a row that cannot be used is added here and the row is left out.

    Raises:
        OSError: there is no such file.
        ValueError: it names file and line. An unknown suffix, an empty file, text that is not UTF-8, a line that is
            not a JSON object, a row with too few or too many columns.
    """
    path = Path(path)
    refuse = _raise if skipped is None else skipped.append
    kind = (path.with_suffix("") if path.suffix in (".gz", ".xz") else path).suffix
    if kind == ".parquet":
        records = [Record(values, path, row) for row, values in _parquet(path)]
    else:
        readers: dict[str, Callable[[IO[str]], Iterator[Row]]] = {
            ".jsonl": lambda file: _json_lines(path, file, refuse),
            ".ndjson": lambda file: _json_lines(path, file, refuse),
            ".csv": lambda file: _table(path, file, header, refuse, delimiter=",", quoting=csv.QUOTE_MINIMAL),
            ".tsv": lambda file: _table(path, file, header, refuse, delimiter="\t", quoting=csv.QUOTE_NONE),
            ".json": lambda file: squad.questions(path, file, refuse),
            ".txt": lambda file: _plain(path, file, refuse),
            **dict.fromkeys(conll.SUFFIXES, lambda file: conll.sentences(path, file, refuse)),
        }
        if kind not in readers:
            raise ValueError(f"{path}: files of examples are {FORMATS}; save it as one of these")
        with _opened(path) as file:
            records = [Record(values, path, line) for line, values in readers[kind](file)]
    if not records:
        raise ValueError(f"{path} holds no examples" + (f" that can be used: {skipped[0]}" if skipped else ""))
    return records


def columns_of(records: Sequence[Record]) -> list[str]:
    """The columns that any of the records has, those of the first one first: JSON may leave out what is not there."""
    return list(dict.fromkeys(name for record in records for name in record.values))


def value_of(record: Record, column: str) -> Any:
    """A column's value; `ValueError` with file and line where it is missing or null."""
    value = record.values.get(column)
    if value is None:
        raise ValueError(f"{record.where}: no {column!r}: every example needs one")
    return value


def _raise(complaint: str) -> None:
    raise ValueError(complaint)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    opens: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    try:
        with opens(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): copy it again") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}): convert it, for example with iconv") from error


def _json_lines(path: Path, file: IO[str], refuse: Refuse) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            said = f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
            refuse(f"{path}:{number}: not JSON ({said})")
            continue
        if isinstance(values, dict):
            yield number, values
        else:
            refuse(f"{path}:{number}: a JSON {type(values).__name__}, where every line is to be an object")


def _table(path: Path, file: IO[str], header: Sequence[str], refuse: Refuse, **dialect: Any) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    rows = _rows(path, csv.reader(file, strict=True, **dialect), refuse)
    number, first = next(rows, (1, []))
    if header and len(first) == len(header) and set(first).isdisjoint(header):
        first, rows = list(header), chain([(number, first)], rows)
    twice = [name for name in first if name and first.count(name) > 1]
    if twice:
        raise ValueError(f"{path}:1: two columns are called {twice[0]!r}: give each a name of its own")
    for number, row in rows:
        if row and len(row) == len(first):
            yield number, dict(zip(first, row, strict=True))
        elif row:
            refuse(f"{path}:{number}: {len(row)} columns, the first line names {len(first)}")


def _rows(path: Path, reader: Any, refuse: Refuse) -> Iterator[tuple[int, list[str]]]:
    """A table's rows, each with the line it ends on.

    Where quotes are wrong, every line of the row is refused, as a quote that nothing closes takes in those that follow.
    """
    while True:
        begins = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if begins == 1:
                raise ValueError(f"{path}:1: {error}") from error
            for number in range(begins, reader.line_num + 1):
                refuse(f"{path}:{number}: {error}")
        else:
            yield reader.line_num, row


def _plain(path: Path, file: IO[str], refuse: Refuse) -> Iterator[Row]:
    """fastText's lines begin with a label; in other files with words and tags there is none."""
    first = next(file, "")
    lines: Any = chain([first], file)
    labelled = first.startswith(fasttext.PREFIX)
    return fasttext.lines(path, lines, refuse) if labelled else conll.sentences(path, lines, refuse)


def _parquet(path: Path) -> Iterator[Row]:
    parquet = needed("pyarrow.parquet", "reading .parquet files")
    damage = needed("pyarrow", "reading .parquet files").ArrowException
    try:
        table = parquet.read_table(path)
    except damage as error:
        raise ValueError(f"{path} is damaged or no Parquet file ({error}): make or copy it again") from error
    yield from enumerate(table.to_pylist(), 1)
