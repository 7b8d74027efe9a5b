"""Examples to answer: from files of every kind that fine-tuning reads, from lists, data frames and data sets"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra.files.delimited import read_delimited
from electra.files.encodings import Decoding
from electra.files.lines import read_whole_lines
from electra.files.text_files import COMPRESSED
from electra.labelled.cells import read_cell
from electra.labelled.label_values import words_of
from electra.labelled.records import Record, holds_texts
from electra.labelled.word_rows import unlabelled_records
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.task import Task
from electra.validation import choose_one_of, require_one_of

FORMATS = ("auto", "text", "jsonl", "csv", "tsv")
STANDARD_INPUT = "/dev/stdin"
LABEL_KEYS = ("label", "labels", "tags", "answers", "is_impossible", "scores", "positive", "negative")
"""Parts of labelled examples that inference does not need."""
TEXT_NAMES = ("text", "sentence", "sequence", "prompt", "review", "content")
"""Columns that may hold the text for tasks that are not learnt from labels."""
LIST_KEYS = ("tokens", "choices", "texts")
"""Parts that are lists; in cells of CSV files they are written as JSON or Python lists."""


@dataclass(frozen=True)
class Input:
    """One example to answer.

    Attributes:
        example: as the task takes it.
        values: its columns by name, to be kept beside the answer.
        where: `FILE:LINE`, or the number of the example.
    """

    example: Any
    values: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class InputColumns:
    """Which columns hold the parts of an example.

    Attributes:
        kind: the task.
        given: columns by part, as the user named them.
        fitted: names that the model's training files had, by part.
        header: the column names of a file without a header.
    """

    kind: type[Task[Any]]
    given: Mapping[str, str]
    fitted: Mapping[str, Sequence[str]]
    header: Sequence[str] = ()

    def __post_init__(self) -> None:
        for part in self.given:
            if part not in self._names():
                raise ValueError(
                    f"columns names {part!r}, and {self.kind.name} has no such part{choose_one_of(part, self._names())}"
                )

    def example(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The example in a record's columns.

        Raises:
            ValueError: a part is in no column.
        """
        parts: dict[str, Any] = {}
        taken: set[str] = set()
        for part, names in self._names().items():
            column = next((name for name in names if name in values and name not in taken), None)
            if part in self.given and column is None:
                raise ValueError(f"there is no column {self.given[part]!r}: the record has {', '.join(values)}")
            blank = part == "question" and self.kind.name == "multiple-choice" and values.get(str(column)) == ""
            if column is not None and values[column] is not None and not blank:
                taken.add(column)
                parts[part] = _as_list(values[column]) if part in LIST_KEYS else values[column]
        if self.kind.name == "token-classification" and "tokens" in parts:
            parts["tokens"] = words_of(parts["tokens"])
        if self.kind.name == "text-ranking" and "texts" not in parts and "text" in parts:
            parts["texts"] = [parts.pop("text")]
        if self.kind.name == "token-classification" and "offset_mapping" in values:
            parts["offset_mapping"] = values["offset_mapping"]
        if not parts:
            looked_for = "; ".join(f"{part}: {', '.join(names)}" for part, names in self._names().items())
            raise ValueError(
                f"no column has the example: there is {', '.join(values)}; looked for {looked_for}. Name it as in "
                "--columns text=review"
            )
        return parts

    def _names(self) -> dict[str, list[str]]:
        """The names to look for, by part: the given one alone, else those of the training files and the usual ones."""
        usual: dict[str, Sequence[str]] = {"text": TEXT_NAMES}
        if issubclass(self.kind, LabelledTask):
            usual = {column.key: column.names for column in self.kind.columns if column.key not in LABEL_KEYS}
        if self.kind.name == "token-classification":
            usual = {**usual, "text": TEXT_NAMES}
        names = {}
        for part, known in usual.items():
            if part in self.given:
                names[part] = [self.given[part]]
            else:
                names[part] = list(dict.fromkeys([*self.fitted.get(part, ()), part, *known]))
        return names


def _as_list(value: Any) -> Any:
    """A list that is written in a cell, read; any other value as it is."""
    return read_cell(value) if isinstance(value, str) else value


def format_of(path: str, form: str) -> str:
    """The format of a file: as given, else by its suffix; a folder holds records, other suffixes and stdin are text."""
    require_one_of("format", form, FORMATS)
    if form != "auto":
        return form
    name = Path(path)
    if name.is_dir():
        return "records"
    suffix = Path(name.stem).suffix if name.suffix in COMPRESSED else name.suffix
    if suffix in (".jsonl", ".ndjson"):
        return "jsonl"
    return "text" if suffix in (".txt", "") or path == STANDARD_INPUT else "records"


def read_file(path: str, columns: InputColumns, form: str = "auto", encoding: str = "utf-8") -> Iterator[Input]:
    """Read the examples of a file, one at a time.

    Args:
        path: `/dev/stdin`, a file, a folder or a pattern; the suffix decides what it is unless `form` does. A .txt file
            (but fastText's, and one with tabs and a header), a file without a suffix and stdin have a text on every
            line.
        columns: where the parts of an example are.
        form: one of `FORMATS`.
        encoding: of text.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line or row that cannot be used, with file and line; stdin that looks like JSON lines and may be
            meant as text.
    """
    decoding = Decoding(encoding)
    found = format_of(path, form)
    if found == "text" and form == "auto" and Path(path).is_file() and path != STANDARD_INPUT:
        found = "text" if holds_texts(Path(path), encoding) else "records"
    match found:
        case "text":
            yield from _read_text(path, decoding, sure=form == "text" or path.endswith(".txt"))
        case "jsonl":
            yield from _read_json(path, decoding, columns)
        case "csv" | "tsv" as kind:
            delimiter = "\t" if kind == "tsv" else ","
            for row in read_delimited(Path(path), decoding, delimiter=delimiter, header=columns.header):
                yield _input(Record(row.values, Path(path), row.place), columns)
        case _:
            records = unlabelled_records(
                Path(path),
                words=columns.kind.name == "token-classification",
                columns=columns.given,
                header=columns.header,
                encoding=encoding,
            )
            for record in records:
                yield _input(record, columns)


def _input(record: Record, columns: InputColumns) -> Input:
    try:
        return Input(columns.example(record.values), record.values, record.where)
    except ValueError as error:
        raise ValueError(f"{record.where}: {error}") from error


def _read_text(path: str, decoding: Decoding, *, sure: bool) -> Iterator[Input]:
    for number, line, _ in read_whole_lines(Path(path), decoding):
        where = f"{_shown(path)}:{number}"
        text = line.rstrip("\r\n")
        if number == 1 and not sure and text.lstrip().startswith("{") and _is_json(text):
            raise ValueError(f"{where}: this may be text or JSON lines: say which with --format text or --format jsonl")
        yield Input(text, {"text": text}, where)


def _read_json(path: str, decoding: Decoding, columns: InputColumns) -> Iterator[Input]:
    """A line is an object whose keys are columns, a string, or a list of words."""
    for number, line, _ in read_whole_lines(Path(path), decoding):
        where = f"{_shown(path)}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = "it is empty" if not line.strip() else str(error)
            raise ValueError(f"{where}: not a line of JSON: {reason}") from error
        if not isinstance(value, dict):
            yield Input(value, {}, where)
            continue
        try:
            yield Input(columns.example(value), value, where)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _shown(path: str) -> str:
    return "stdin" if path == STANDARD_INPUT else path


def read_examples(examples: Any, columns: InputColumns) -> Iterator[Input]:
    """Examples that are given in Python.

    Args:
        examples: a list or another iterable of strings, dicts and lists of words; a data frame of pandas or polars; a
            `datasets.Dataset`.
        columns: where the parts of an example are in dicts and frames.
    """
    for number, example in enumerate(_rows(examples), start=1):
        where = f"example {number}"
        if not isinstance(example, Mapping):
            yield Input(example, {}, where)
            continue
        try:
            yield Input(columns.example(example), example, where)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error


def _rows(examples: Any) -> Iterable[Any]:
    if hasattr(examples, "iter_rows"):  # polars
        rows: Iterable[Any] = examples.iter_rows(named=True)
        return rows
    if hasattr(examples, "to_dict") and hasattr(examples, "columns"):  # pandas
        names = list(map(str, examples.columns))
        return (dict(zip(names, row, strict=True)) for row in examples.itertuples(index=False, name=None))
    if isinstance(examples, Mapping):
        return [examples]
    if not isinstance(examples, Iterable):
        raise ValueError(
            f"data is {type(examples).__name__}: it must be a file, an iterable of examples or a data frame"
        )
    return examples


def estimated_count(path: str) -> int | None:
    """About how many examples a file has: its lines, or the rows of a Parquet file; None where that is not known."""
    file = Path(path)
    if not file.is_file() or file.suffix in COMPRESSED:
        return None
    if file.suffix == ".parquet":
        from pyarrow import parquet

        count: int = parquet.read_metadata(file).num_rows
        return count
    lines = 0
    with open(file, "rb") as opened:
        while block := opened.read(1 << 20):
            lines += block.count(b"\n")
    return max(lines - (file.suffix in (".csv", ".tsv")), 1) if os.path.getsize(file) else None
