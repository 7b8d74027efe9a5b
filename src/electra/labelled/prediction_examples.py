"""Examples to predict, from whatever labelled examples are read from: files of any format, stdin, tables in memory"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra.files.encodings import Decoding
from electra.files.lines import read_whole_lines, refuse
from electra.files.text_files import STDIN
from electra.labelled.columns import LABEL_KEYS, find_columns
from electra.labelled.in_memory import is_texts
from electra.labelled.label_values import values_of
from electra.labelled.records import HEADER_NAMES, Record, columns_of, example_files, format_of, is_tagged, read_records
from electra.labelled.task_presets import NamedTask
from electra.labelled.word_rows import group_words
from electra.tasks.labelled_task import Column, LabelledTask
from electra.tasks.task import Task
from electra.tasks.text_classification import TEXT_COLUMNS, TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification


@dataclass(frozen=True)
class PredictionExamples:
    """What to predict.

    Attributes:
        examples: texts, or dicts under the names that the task uses.
        records: where each stands, with all its columns, as they may be written beside the answers.
    """

    examples: list[Any]
    records: list[Record]

    def __len__(self) -> int:
        return len(self.examples)


def examples_from(
    source: Any,
    kind: type[Task[Any]],
    *,
    columns: Mapping[str, str] | None = None,
    named: NamedTask | None = None,
    encoding: str = "utf-8",
) -> PredictionExamples:
    """Read examples for a task. Labels are not needed, and not read.

    A .txt file has a text on every line, unless its lines begin with fastText's labels, or its first line has names of
    columns between tabs. Other files and tables are what `read_labelled` reads; what is no part of an example for the
    task (ids, labels, titles) stays in the records.

    Args:
        source: a file, a folder, a pattern, `-` (stdin; JSON lines, a table or texts), a frame of pandas or polars, a
            `datasets.Dataset`, or a list of dicts or texts.
        kind: the task.
        columns: which column each part of an example is in.
        named: what is known of such files; `fitted_to` says it of a fitted model.
        encoding: of the text.

    Raises:
        OSError: there is no such file.
        ValueError: what cannot be read, with file and line; a part that the task needs is in no column.
    """
    wanted = {key: name for key, name in (columns or {}).items() if key not in LABEL_KEYS}
    records, texts = _records(source, wanted, named, encoding)
    if texts:
        return PredictionExamples([record.values["text"] for record in records], records)
    if issubclass(kind, TokenClassification) and not _has_texts(records, wanted):
        grouped = group_words(records, wanted, refuse)
        if grouped and (grouped[0] is not records[0] or is_tagged(records[0].source)):
            wanted = {key: name for key, name in wanted.items() if key not in ("tokens", "tags")}
        records = grouped
    if not issubclass(kind, LabelledTask):
        return PredictionExamples(_texts(records, wanted), records)
    if issubclass(kind, TokenClassification) and "tokens" not in columns_of(records) and _has_texts(records, wanted):
        return PredictionExamples(_texts(records, wanted), records)
    names = columns_of(records)
    known = {key: value for key, value in (named.columns if named else {}).items() if key not in LABEL_KEYS}
    unlabelled = _without_labels(kind)
    found = find_columns(records[0], names, unlabelled, wanted, known, _needed(unlabelled))
    if not found:
        parts = ", ".join(name for column in unlabelled.columns for name in column.names)
        present = ", ".join(names)
        raise ValueError(f"{records[0].where}: no column for {kind.name}: looked for {parts}; there is {present}")
    examples = []
    for record in records:
        try:
            examples.append(values_of(record, unlabelled, found, needs=_needed(unlabelled)))
        except ValueError as error:
            raise ValueError(f"{record.where}: {error}") from error
    if issubclass(kind, TextClassification):
        return PredictionExamples([_one_text(example) for example in examples], records)
    if issubclass(kind, TextRanking) and "texts" not in found:
        return _rankings(examples, records)
    return PredictionExamples(examples, records)


def _rankings(examples: list[dict[str, Any]], records: list[Record]) -> PredictionExamples:
    """One example for each query, of rows with a query and one text each, at the place of its first row."""
    first: dict[str, int] = {}
    made: list[tuple[dict[str, Any], Record]] = []
    for example, record in zip(examples, records, strict=True):
        query = str(example["query"])
        if query not in first:
            first[query] = len(made)
            made.append(({"query": query, "texts": []}, record))
        made[first[query]][0]["texts"].append(example.get("text"))
    return PredictionExamples([example for example, _ in made], [record for _, record in made])


def _one_text(example: dict[str, Any]) -> Any:
    return example["text"] if set(example) == {"text"} else example


def _without_labels(kind: type[LabelledTask[Any]]) -> type[LabelledTask[Any]]:
    """The task with the columns that are no labels."""
    return type(kind.__name__, (kind,), {"columns": tuple(one for one in kind.columns if one.key not in LABEL_KEYS)})


def _needed(kind: type[LabelledTask[Any]]) -> Callable[[Column], bool]:
    return lambda column: column.required


def _has_texts(records: list[Record], wanted: Mapping[str, str]) -> bool:
    names = columns_of(records)
    return "text" in wanted or ("tokens" not in wanted and any(name in names for name in TEXT_COLUMNS))


def _texts(records: list[Record], wanted: Mapping[str, str]) -> list[str]:
    """The texts of records for a task that reads one text each; records of a task of its own are left as they are."""
    names = columns_of(records)
    column = wanted.get("text") or next((name for name in TEXT_COLUMNS if name in names), None)
    if column is None and len(names) == 1:
        column = names[0]
    if column is None or column not in names:
        looked_for = wanted.get("text") or ", ".join(TEXT_COLUMNS)
        raise ValueError(
            f"{records[0].where}: no column with the text: looked for {looked_for}; there is {', '.join(names)}. Name "
            "it (--columns text=…)"
        )
    texts = []
    for record in records:
        text = record.values.get(column)
        if not isinstance(text, str):
            raise ValueError(f"{record.where}: {column!r} is {text!r:.60}, not text")
        texts.append(text)
    return texts


def _records(
    source: Any, wanted: Mapping[str, str], named: NamedTask | None, encoding: str
) -> tuple[list[Record], bool]:
    """The records, and whether they are bare texts."""
    if isinstance(source, (str, os.PathLike)) and str(source) not in STDIN:
        paths = example_files(Path(source))
        if all(format_of(path) in (".txt", "", ".text") for path in paths):
            plain = [_plain_texts(path, wanted, encoding) for path in paths]
            if all(lines is not None for lines in plain):
                return [record for lines in plain for record in lines or ()], True
    header = named.header if named else ()
    records = read_records(source, header=header, encoding=encoding, columns=wanted, tags_required=False)
    return records, is_texts(source)


def _plain_texts(path: Path, wanted: Mapping[str, str], encoding: str) -> list[Record] | None:
    """A text for each line; None where the file is fastText's, or a table with tabs and a header."""
    lines = list(read_whole_lines(path, Decoding(encoding)))
    first = next((line.text for line in lines if line.text.strip()), "")
    names = {name.strip().lower() for name in first.split("\t")} if "\t" in first else set()
    table = len(names & HEADER_NAMES) > 1 or (wanted and {name.lower() for name in wanted.values()} <= names)
    if first.startswith("__label__") or table:
        return None
    if not lines:
        raise ValueError(f"{path} is empty: there is nothing to predict")
    return [Record({"text": line.text.rstrip("\r\n")}, path, line.number) for line in lines]
