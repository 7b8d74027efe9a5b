"""Files of labelled examples (JSON lines, CSV, TSV) -> records that know the line they came from."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from electra.data.text_files import PathLike

FORMATS = ".jsonl, .csv and .tsv, each also compressed (.gz, .xz)"


@dataclass(frozen=True, slots=True)
class Record:
    """One example: its columns by name, and where it stands."""

    values: Mapping[str, Any]
    source: Path
    line: int
    """The line it ends on in `source`, from 1."""

    @property
    def where(self) -> str:
        """`file:line`, as compilers and editors write it."""
        return f"{self.source}:{self.line}"


def read_records(path: PathLike) -> list[Record]:
    """All records of one file, told by its suffix: .jsonl, .csv or .tsv (UTF-8), each also .gz or .xz.

    CSV and TSV begin with a line of column names; in TSV, quotes are ordinary characters. Raises `OSError` for a
    missing file, and `ValueError`, naming file and line, for an unknown suffix, an empty file, text that is not UTF-8,
    a line that is not a JSON object, and a row with too few or too many columns.
    """
    path = Path(path)
    readers = {".jsonl": _json_lines, ".csv": _comma_separated, ".tsv": _tab_separated}
    kind = (path.with_suffix("") if path.suffix in (".gz", ".xz") else path).suffix
    if kind not in readers:
        raise ValueError(f"{path}: files of examples are {FORMATS}; save it as one of these")
    with _opened(path) as file:
        records = [Record(values, path, line) for line, values in readers[kind](path, file)]
    if not records:
        raise ValueError(f"{path} holds no examples")
    return records


def column_of(records: Sequence[Record], names: Iterable[str], meaning: str) -> str:
    """The first of `names` that the records have; `ValueError` with what there is instead when none is."""
    names = tuple(names)
    first = records[0]
    for name in names:
        if name in first.values:
            return name
    raise ValueError(
        f"{first.where}: no column with {meaning}: looked for {', '.join(names)}; "
        f"the file has {', '.join(first.values)}"
    )


def value_of(record: Record, column: str) -> Any:
    """A column's value; `ValueError` with file and line where it is missing or null."""
    value = record.values.get(column)
    if value is None:
        raise ValueError(f"{record.where}: no {column!r}: every example needs one")
    return value


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    opens: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    try:
        with opens(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except (EOFError, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): copy it again") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}): convert it, for example with iconv") from error


def _json_lines(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}:{number}: not JSON ({error.msg} at character {error.pos + 1})") from error
        if not isinstance(values, dict):
            raise ValueError(f"{path}:{number}: a JSON {type(values).__name__}, where every line is to be an object")
        yield number, values


def _comma_separated(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    return _table(path, file, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def _tab_separated(path: Path, file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    return _table(path, file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _table(path: Path, file: IO[str], **dialect: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(file, strict=True, **dialect)
    try:
        header = next(reader, [])
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(f"{path}:{reader.line_num}: {len(row)} columns, the first line names {len(header)}")
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}:{reader.line_num}: {error}") from error
