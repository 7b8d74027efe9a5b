"""Files of labelled examples -> records that know the line they came from"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from electra.files.delimited import read_delimited
from electra.files.encodings import Decoding
from electra.files.json_lines import read_json_lines
from electra.files.lines import Line, Refuse, Row, place_in, read_whole_lines, refuse
from electra.files.parquet import read_parquet
from electra.files.text_files import COMPRESSED, PathLike
from electra.labelled import conll, fasttext, squad

FORMATS = (
    ".jsonl, .csv, .tsv, .conll (.bio, .iob), .json (SQuAD's) and .txt (fastText's or CoNLL's), each also compressed "
    "(.gz, .xz, .zst), and .parquet"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One example: its columns by name, and where it stands."""

    values: dict[str, Any]
    source: Path
    line: int
    """The line on which it begins in `source`, from 1 (of a Parquet file and of JSON: the row or question)."""

    @property
    def where(self) -> str:
        """`file:line`, as compilers and editors write it."""
        return place_in(self.source, self.line)


def read_records(
    path: PathLike, *, header: Sequence[str] = (), skipped: list[str] | None = None, encoding: str = "utf-8"
) -> list[Record]:
    """All records of one file.

    Its suffix says what it is: .jsonl, .csv, .tsv, .conll, .json, .txt (each also .gz, .xz or .zst) or .parquet. CSV
    and TSV begin with a line of column names. A .conll file has `tokens` and `tags`, a .json file is one of SQuAD and
    has `id`, `question`, `context` and `answers`, a .txt file is one of fastText and has `text` and `label`, or like a
    .conll file.

    Args:
        path: of the file.
        header: what the columns of a CSV or TSV file are called whose first line does not name any of them.
        skipped: where given, the complaint about a row that cannot be used is added here and the row is left out.
        encoding: of the text.

    Raises:
        OSError: there is no such file.
        ValueError: it names file and line: an unknown suffix, an empty file, text that is not in `encoding`, a line
            that is not a JSON object, a row with too few or too many columns.
    """
    path = Path(path)
    refuse_row = refuse if skipped is None else skipped.append
    rows = _rows(path, Decoding(encoding), header, refuse_row)
    records = [Record(row.values, path, row.place) for row in rows]
    if not records:
        raise ValueError(f"{path} holds no examples" + (f" that can be used: {skipped[0]}" if skipped else ""))
    return records


def stream_records(path: PathLike, *, header: Sequence[str] = (), encoding: str = "utf-8") -> Iterator[Record]:
    """The records of one file, one at a time; see `read_records`. A row that cannot be used is an error."""
    path = Path(path)
    for row in _rows(path, Decoding(encoding), header, refuse):
        yield Record(row.values, path, row.place)


def columns_of(records: Sequence[Record]) -> list[str]:
    """The columns that any of the records has, those of the first one first: JSON may leave out what is not there."""
    return list(dict.fromkeys(name for record in records for name in record.values))


def _rows(path: Path, decoding: Decoding, header: Sequence[str], refuse_row: Refuse) -> Iterable[Row]:
    kind = path.with_suffix("").suffix if path.suffix in COMPRESSED else path.suffix
    match kind:
        case ".parquet":
            return read_parquet(path, decoding, refuse_row=refuse_row)
        case ".jsonl" | ".ndjson":
            return read_json_lines(path, decoding, refuse_row=refuse_row)
        case ".csv" | ".tsv":
            delimiter = "\t" if kind == ".tsv" else ","
            return read_delimited(
                path,
                decoding,
                delimiter=delimiter,
                header=header,
                refuse_row=refuse_row,
                sample_characters=sys.maxsize,  # examples are all in memory in any case
            )
        case ".json":
            return squad.questions(path, "".join(line.text for line in read_whole_lines(path, decoding)), refuse_row)
        case ".txt":
            return _plain(path, read_whole_lines(path, decoding), refuse_row)
    if kind in conll.SUFFIXES:
        return conll.sentences(path, read_whole_lines(path, decoding), refuse_row)
    raise ValueError(f"{path}: files of examples are {FORMATS}; save it as one of these")


def _plain(path: Path, lines: Iterator[Line], refuse_row: Refuse) -> Iterator[Row]:
    """fastText's lines begin with a label; in other files with words and tags there is none."""
    first = next(lines, None)
    if first is None:
        return iter(())
    reader: Callable[[Path, Iterable[Line], Refuse], Iterator[Row]]
    reader = fasttext.rows if first.text.startswith(fasttext.PREFIX) else conll.sentences
    return reader(path, chain([first], lines), refuse_row)
