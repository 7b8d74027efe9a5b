"""Labelled examples as records that know where they came from: of files, folders, stdin, and what is in memory"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from electra.data.corpus.standard_input import spooled
from electra.files.delimited import read_delimited
from electra.files.encodings import Decoding
from electra.files.folder_listing import Walk
from electra.files.json_lines import read_json_lines
from electra.files.lines import Line, Refuse, Row, place_in, read_whole_lines, refuse
from electra.files.parquet import class_names, read_parquet
from electra.files.text_files import COMPRESSED, STDIN
from electra.labelled import fasttext, json_records, tagged_text
from electra.labelled.in_memory import memory_rows, named_classes

FORMATS = (
    ".jsonl, .csv, .tsv, .json, .conll (.bio, .iob, .conllu, …) and .txt (fastText's, CoNLL's or tabs and a header), "
    "each also compressed (.gz, .xz, .zst), and .parquet"
)
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".json", ".txt", ".parquet", *tagged_text.SUFFIXES)
"""Which files of a folder are read."""
HEADER_NAMES = {
    "text", "sentence", "sentence1", "sentence2", "text_a", "text_b", "question", "question1", "question2", "premise",
    "hypothesis", "label", "labels", "class", "category", "score", "id", "query", "passage", "document", "context",
    "answer", "title", "sentence_id", "relevance", "text_pair", "review", "comment",
}  # fmt: skip
"""Names that distinguish the header line of a .txt file with tabs from words and tags: two of them are needed."""


@dataclass(frozen=True, slots=True)
class Record:
    """One example: its columns by name, and where it stands."""

    values: dict[str, Any]
    source: Path
    line: int
    """The line on which it begins in `source`, from 1 (of a Parquet file, JSON and what is in memory: the row)."""
    in_memory: bool = False

    @property
    def where(self) -> str:
        """`file:line`, as compilers and editors write it."""
        return f"{self.source}, row {self.line}" if self.in_memory else place_in(self.source, self.line)


def read_records(
    source: Any,
    *,
    header: Sequence[str] = (),
    skipped: list[str] | None = None,
    encoding: str = "utf-8",
    columns: Mapping[str, str] | None = None,
    tags_required: bool = True,
) -> list[Record]:
    """All records of a file, a folder, a pattern, stdin, or of a table in memory.

    A file's suffix says what it is: .jsonl, .csv, .tsv, .json, .conll, .txt (each also .gz, .xz or .zst) or .parquet.
    CSV and TSV begin with a line of column names. A .conll file has `tokens` and `tags` (`sentences` in `tagged_text`
    says in which columns), a .json file is one of SQuAD, an array of objects, or an export of annotation tools, a .txt
    file is one of fastText with `text` and `label`, a TSV file, or like a .conll file.

    Args:
        source: a path, a folder, a glob pattern, `-` for stdin; or a frame of pandas or polars, a table of pyarrow, a
            `datasets.Dataset`, or an iterable of dicts or texts.
        header: what the columns of a CSV or TSV file are called whose first line does not name any of them.
        skipped: where given, the complaint about a row that cannot be used is added here and the row is left out.
        encoding: of the text.
        columns: where words and tags are in tagged files, see `sentences`.
        tags_required: whether a tagged file with words alone is refused.

    Raises:
        OSError: there is no such file.
        ValueError: it names file and line: an unknown suffix, an empty file, text that is not in `encoding`, a line
            that is not a JSON object, a row with too few or too many columns.
    """
    refuse_row = refuse if skipped is None else skipped.append
    options = _Options(Decoding(encoding), tuple(header), refuse_row, dict(columns or {}), tags_required)
    if not isinstance(source, (str, os.PathLike)):
        name = Path(type(source).__name__)
        records = [Record(row.values, name, row.place, in_memory=True) for row in memory_rows(source, refuse_row)]
    elif str(source) in STDIN:
        with spooled([str(source)]) as (copy,):
            rows = list(_stdin_rows(Path(copy), options))
        records = [Record(row.values, Path("stdin"), row.place) for row in rows]
    else:
        records = [
            Record(row.values, path, row.place) for path in example_files(Path(source)) for row in _rows(path, options)
        ]
    if not records:
        named = source if isinstance(source, (str, os.PathLike)) else type(source).__name__
        raise ValueError(f"{named} holds no examples" + (f" that can be used: {skipped[0]}" if skipped else ""))
    return records


def stream_records(
    source: Path,
    *,
    header: Sequence[str] = (),
    encoding: str = "utf-8",
    columns: Mapping[str, str] | None = None,
) -> Iterator[Record]:
    """The records of files one at a time, with or without labels; see `read_records`.

    A row that cannot be used is an error.
    """
    options = _Options(Decoding(encoding), tuple(header), refuse, dict(columns or {}), tags_required=False)
    for path in example_files(source):
        for row in _rows(path, options):
            yield Record(row.values, path, row.place)


def holds_texts(path: Path, encoding: str = "utf-8") -> bool:
    """Whether a .txt file has a text on every line: it is neither fastText's nor a table with tabs and a header."""
    lines = read_whole_lines(path, Decoding(encoding))
    first = next((line.text for line in lines if line.text.strip()), "")
    return not first.startswith(fasttext.PREFIX) and not _is_header(first, {})


def columns_of(records: Sequence[Record]) -> list[str]:
    """The columns that any of the records has, those of the first one first: JSON may leave out what is not there."""
    return list(dict.fromkeys(name for record in records for name in record.values))


def example_files(path: Path) -> list[Path]:
    """The file itself, those of a folder that hold examples by their suffix, or those that match a pattern, sorted.

    Raises:
        FileNotFoundError: nothing is there, or nothing matches.
        ValueError: a folder without files of examples.
    """
    if path.is_dir():
        files = [file for file in Walk(None, lambda message: None).files(path) if format_of(file) in SUFFIXES]
        if not files:
            raise ValueError(f"{path} holds no files of examples: read are {FORMATS}")
        return files
    if not path.exists() and glob.has_magic(str(path)):
        files = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if not files:
            raise FileNotFoundError(f"no file matches {path}: check the pattern (quote it in the shell) and the folder")
        return files
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}: check the spelling (now in {Path.cwd()})")
    return [path]


def format_of(path: Path) -> str:
    """The suffix that says what a file holds, in small letters, without that of a compression."""
    return (path.with_suffix("") if path.suffix in COMPRESSED else path).suffix.lower()


def is_tagged(path: Path) -> bool:
    """Whether a file has a word to a line by its suffix, so that its reader names the columns."""
    return format_of(path) in (*tagged_text.SUFFIXES, *tagged_text.CONLL_2003, ".txt")


@dataclass(frozen=True)
class _Options:
    """How files are read; see `read_records`."""

    decoding: Decoding
    header: tuple[str, ...]
    refuse_row: Refuse
    columns: dict[str, str]
    tags_required: bool

    def delimited(self, path: Path, delimiter: str) -> Iterator[Row]:
        # examples are all in memory in any case, so all of the text decides about the dialect
        return read_delimited(
            path,
            self.decoding,
            delimiter=delimiter,
            header=self.header,
            refuse_row=self.refuse_row,
            sample_characters=sys.maxsize,
        )

    def tagged(self, path: Path, lines: Iterable[Line]) -> Iterator[Row]:
        return tagged_text.sentences(path, lines, self.refuse_row, self.columns, tags_required=self.tags_required)


def _rows(path: Path, options: _Options) -> Iterable[Row]:
    kind = format_of(path)
    match kind:
        case ".parquet":
            return _parquet(path, options)
        case ".jsonl" | ".ndjson":
            return read_json_lines(path, options.decoding, refuse_row=options.refuse_row)
        case ".csv" | ".tsv":
            return options.delimited(path, "\t" if kind == ".tsv" else ",")
        case ".json":
            lines = read_whole_lines(path, options.decoding)
            return json_records.rows(path, lines, options.decoding, options.refuse_row)
        case ".txt":
            return _plain(path, options)
    if kind in (*tagged_text.SUFFIXES, *tagged_text.CONLL_2003):
        return options.tagged(path, read_whole_lines(path, options.decoding))
    raise ValueError(f"{path}: files of examples are {FORMATS}; save it as one of these")


def _parquet(path: Path, options: _Options) -> Iterator[Row]:
    """The rows, with names in place of class numbers where the schema has them."""
    names = class_names(path)
    for row in read_parquet(path, options.decoding, refuse_row=options.refuse_row):
        for column, classes in names.items():
            row.values[column] = named_classes(row.values.get(column), classes)
        yield row


def _plain(path: Path, options: _Options) -> Iterable[Row]:
    """fastText's lines begin with a label, a table's with names between tabs; else there are words and tags."""
    lines = read_whole_lines(path, options.decoding)
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        return ()
    if _is_header(first.text, options.columns):
        return options.delimited(path, "\t")
    reader: Callable[[Iterable[Line]], Iterator[Row]] = lambda lines: options.tagged(path, lines)  # noqa: E731
    if first.text.startswith(fasttext.PREFIX):
        reader = lambda lines: fasttext.rows(path, lines, options.refuse_row)  # noqa: E731
    return reader(chain([first], lines))


def _is_header(line: str, columns: Mapping[str, str]) -> bool:
    """Whether a line with tabs names columns: two usual names are there, or all that the user says."""
    names = {name.strip().lower() for name in line.split("\t")} if "\t" in line else set()
    wanted = {name.lower() for name in columns.values() if name and not name.isdecimal()}
    return len(names & HEADER_NAMES) > 1 or (bool(wanted) and wanted <= names)


def _stdin_rows(copy: Path, options: _Options) -> Iterable[Row]:
    """What came from stdin: JSON, JSON lines or a table, by its first character."""
    lines = read_whole_lines(copy, options.decoding)
    first = next((line.text.strip() for line in lines if line.text.strip()), "")
    try:
        if first.startswith(("{", "[")):
            lines = read_whole_lines(copy, options.decoding)
            return list(json_records.rows(Path("stdin"), lines, options.decoding, options.refuse_row))
        if first.startswith(fasttext.PREFIX):
            return list(fasttext.rows(Path("stdin"), read_whole_lines(copy, options.decoding), options.refuse_row))
        return list(options.delimited(copy, "\t" if "\t" in first else ","))
    except ValueError as error:
        raise ValueError(str(error).replace(str(copy), "stdin")) from error
