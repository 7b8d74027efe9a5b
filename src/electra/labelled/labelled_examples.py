"""Labelled examples from files: which task they are of, which column is what, and what is wrong where."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from electra.files.lines import refuse
from electra.labelled.annotations import plain_records
from electra.labelled.columns import HELPERS, ID, find_columns, likeliest, without_header
from electra.labelled.columns import read_columns as read_columns
from electra.labelled.label_values import notice_guessed_places, one_spelling, values_of, without_empty_texts
from electra.labelled.records import Record, columns_of, is_tagged, read_records
from electra.labelled.task_presets import NAMED_TASKS, NamedTask
from electra.labelled.word_rows import group_words
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.labelled_task import LabelledTask, TrainingItem
from electra.tasks.task import ExampleError
from electra.tasks.text_classification import PAIRS, TextClassification
from electra.tasks.token_classification import TokenClassification
from electra.validation import choose_one_of

log = logging.getLogger("electra")

Example = dict[str, Any]
Made = TypeVar("Made")

_CHOICE = re.compile(r"(choice|option|ending|answer|candidate|alternative|opt)s?[ _.-]?(\d+|[a-e])", re.IGNORECASE)

CHUNK = 256
"""Examples that are tried together, where broken ones are left out."""


@dataclass(frozen=True)
class LabelledExamples:
    """The examples of one file, each with the record it came from.

    Attributes:
        kind: the task they are of.
        examples: under the names that tasks use.
        records: where each stands; of several lines that are one example, the first.
        skipped: what was wrong with those that were left out.
        notices: what was taken otherwise than it stands in the file.
        id_column: the column that names the examples, if there is one.
    """

    kind: type[LabelledTask[Any]]
    examples: list[Example]
    records: list[Record]
    skipped: list[str]
    notices: tuple[str, ...] = ()
    id_column: str | None = None

    @property
    def ids(self) -> list[Any]:
        """The id of each example, by which its author knows it; None where it has none."""
        return [record.values.get(self.id_column) if self.id_column else None for record in self.records]

    def __len__(self) -> int:
        return len(self.examples)

    def checked(self, work: Callable[[list[Example]], Made]) -> Made:
        """`work` of the examples; what it refuses becomes a `ValueError` with the file, and the line to blame."""
        try:
            return work(self.examples)
        except ExampleError as error:
            raise ValueError(f"{self.records[error.index].where}: {error.problem}") from error
        except ValueError as error:
            raise ValueError(f"{self.records[0].source}: {error}") from error

    def usable(
        self, task: LabelledTask[Any], tokenizer: Any, *, cut: bool = True, skip_invalid: bool = False
    ) -> LabelledExamples:
        """Those that the task can use. Another one is a `ValueError`, or is left out and counted.

        `cut=False`: one that is too long for the task's rows is such a one too.
        """

        def check(examples: list[Example]) -> None:
            _check(examples, task, tokenizer, cut)

        if skip_invalid:
            return self.without_broken(check)
        self.checked(check)
        return self

    def without_broken(self, work: Callable[[list[Example]], Any]) -> LabelledExamples:
        """Those that `work` does not blame. The others are left out and counted."""
        skipped = list(self.skipped)

        def sound(tried: range) -> list[int]:
            """Which of them are not broken: all, or those of either half."""
            try:
                work([self.examples[i] for i in tried])
            except ExampleError as broken:
                if len(tried) == 1:
                    skipped.append(f"{self.records[tried[0]].where}: {broken.problem}")
                    return []
            else:
                return list(tried)
            half = len(tried) // 2
            return sound(tried[:half]) + sound(tried[half:])

        everything = range(len(self))
        kept = [i for start in everything[::CHUNK] for i in sound(everything[start : start + CHUNK])]
        if not kept:
            raise ValueError(f"{self.records[0].source} holds no examples that can be used: {skipped[0]}")
        return replace(
            self, examples=[self.examples[i] for i in kept], records=[self.records[i] for i in kept], skipped=skipped
        )

    def items(self, task: LabelledTask[Any], tokenizer: Any) -> list[TrainingItem]:
        """What is learnt from them."""
        return self.checked(lambda examples: task.training_items(examples, tokenizer))


def read_labelled(
    source: Any,
    kinds: Sequence[type[LabelledTask[Any]]] = LABELLED_TASKS,
    *,
    columns: Mapping[str, str] | None = None,
    named: NamedTask | None = None,
    skip_invalid: bool = False,
    encoding: str = "utf-8",
    label_separator: str | None = None,
) -> LabelledExamples:
    """Read labelled examples.

    Args:
        source: a file, a folder, a pattern, `-`, or a table in memory; see `read_records`.
        kinds: the task; of several, the first one that the columns look like.
        columns: which column of the file each part of an example is in, by the task's name for the part; `label` may
            have several with + between them, a 0 or 1 for each label. `sentence`: which rows of one word each are a
            sentence. `id`: what names an example (empty: nothing does). `group`: see `split`.
        named: what is known of the file: its task, its columns, what its labels mean.
        skip_invalid: leave out and count what cannot be used.
        encoding: of the text.
        label_separator: what separates several labels in a cell, such as | in `joy|love`.

    Returns:
        The examples. What was left out or taken otherwise than it stands in the file (empty texts, white space around
        labels) is in `notices`, and logged.

    Raises:
        OSError: there is no such file.
        ValueError: what cannot be used, with file and line: see `read_records`; a missing column or value, two examples
            with the same id, an example that the task refuses.
    """
    wanted = dict(columns or {})
    if named is not None and isinstance(source, (str, os.PathLike)) and is_tagged(Path(source)):
        # a model that was fitted to columns by number is scored on the same ones
        fitted = {key: names[0] for key, names in named.columns.items() if names and names[0].isdecimal()}
        wanted = {**fitted, **wanted}
    complaints: list[str] = []
    notices: list[str] = []
    skipped = complaints if skip_invalid else None
    refuse_row = refuse if skipped is None else skipped.append
    records = read_records(
        source, header=named.header if named else (), skipped=skipped, encoding=encoding, columns=wanted
    )
    records = plain_records(records, refuse_row, notices)
    if any(issubclass(kind, TokenClassification) for kind in kinds):
        grouped = group_words(records, wanted, refuse_row)
        if grouped and (grouped[0] is not records[0] or is_tagged(records[0].source)):
            # the reader has taken words and tags from these columns, and calls them tokens and tags
            wanted = {key: name for key, name in wanted.items() if key not in ("tokens", "tags")}
        records = grouped
    if not records:
        raise ValueError(_nothing(source, complaints))
    kind = kinds[0] if len(kinds) == 1 else task_of(records, wanted, kinds)
    present = columns_of(records)
    wanted = {**_of_the_fit(named, present), **wanted}
    found = find_columns(records[0], present, kind, wanted, named.columns if named else {})
    if issubclass(kind, TextClassification):
        _check_pair(records[0], present, found, {*wanted, *(named.columns if named else ())})
    separator = label_separator or (named.label_separator if named else None)
    rows: list[tuple[Record, dict[str, Any]]] = []
    for record in _unique(records, _id_column(records, present, kind, wanted), skipped):
        try:
            rows.append((record, values_of(record, kind, found, separator)))
        except ValueError as error:
            refuse_row(f"{record.where}: {error}")
    rows = without_empty_texts(rows, kind, notices)
    if issubclass(kind, TextClassification) and rows:
        regression = named is not None and (named.label_range or named.options.get("problem_type") == "regression")
        rows = one_spelling(rows, found.get("label", ""), notices, numbers=bool(regression), separator=separator)
    if any(column.key == "answers" for column in kind.columns):
        notice_guessed_places(rows, notices)
    examples, kept = [], []
    for record, values in rows:
        try:
            examples.append(kind.read_example(named.values(values) if named else values))
            kept.append(record)
        except ValueError as error:
            refuse_row(f"{record.where}: {error}")
    if not examples:
        raise ValueError(_nothing(source, complaints or notices))
    for notice in notices:
        log.warning("%s: %s", records[0].source, notice)
    gathered = LabelledExamples(kind, examples, kept, complaints).checked(kind.gather)
    return LabelledExamples(
        kind,
        [each for each, _ in gathered],
        [kept[i] for _, i in gathered],
        complaints,
        tuple(notices),
        _id_column(records, present, kind, wanted),
    )


def _check_pair(first: Record, present: Sequence[str], found: Mapping[str, str], chosen: Collection[str]) -> None:
    """Refuse a text and a second text that belong to different pairs, where nobody chose them."""
    text, second = found.get("text"), found.get("text_pair")
    partner = next((one for one, other in PAIRS.items() if other == second and one in present), text)
    if partner != text and text != second and "text" not in chosen and "text_pair" not in chosen:
        raise ValueError(
            f"{first.where}: {text!r} and {partner!r} may both be the text, and {second!r} is the second one of "
            f"{partner!r}: say what is meant (--columns text={partner},text_pair={second})"
        )


def _of_the_fit(named: NamedTask | None, present: Sequence[str]) -> dict[str, str]:
    """Columns that a model was fitted with and that no name can say: the id's, and a column for each label."""
    if named is None:
        return {}
    first = {part: names[0] for part, names in named.columns.items() if names}
    return {
        part: name
        for part, name in first.items()
        if (part == ID and (not name or name in present)) or ("+" in name and set(name.split("+")) <= set(present))
    }


def _nothing(source: Any, complaints: Sequence[str]) -> str:
    named = source if isinstance(source, (str, os.PathLike)) else type(source).__name__
    return f"{named} holds no examples that can be used" + (f": {complaints[0]}" if complaints else "")


def labelled_task(name: str, architectures: Sequence[str] | None = None) -> type[LabelledTask[Any]]:
    """The task of this name or alias, of several that of a model's architectures, else the first.

    One that is not learnt from labels is a `ValueError` with a suggestion.
    """
    found = [kind for kind in LABELLED_TASKS if name in (kind.name, *kind.aliases)]
    if not found:
        known = [each for kind in LABELLED_TASKS for each in (kind.name, *kind.aliases)]
        meant = choose_one_of(name, [*known, *NAMED_TASKS])
        raise ValueError(f"task is {name!r}: there is no such task with labelled examples{meant}")
    return next((kind for kind in found if kind.architecture in (architectures or ())), found[0])


def task_of(
    records: Sequence[Record], columns: Mapping[str, str], kinds: Sequence[type[LabelledTask[Any]]] = LABELLED_TASKS
) -> type[LabelledTask[Any]]:
    """The first task whose examples have such columns; `ValueError` with what there is where none is."""
    there = columns_of(records)
    named = {part for key in columns if key not in HELPERS for part in (key, key.removesuffix("s"))}
    for kind in kinds:
        if kind.recognises({*there, *named}):
            if kind is TextClassification and len(choices := [name for name in there if _CHOICE.fullmatch(name)]) > 1:
                raise ValueError(
                    f"{records[0].where}: the columns {', '.join(choices)} look like the choices of a question: put "
                    "them into one column of lists (choices), or, if only the text counts, name the task "
                    "(--task text-classification)"
                )
            return kind
    parts = "; ".join(f"{kind.name}: {', '.join(c.key for c in kind.columns if c.required)}" for kind in kinds)
    raise ValueError(
        f"{records[0].where}: the columns {', '.join(there)} are of no known task"
        f"{without_header(records[0], there)}. Name the task, or which columns "
        f"its parts are in (as in text=review,label=stars): {parts}"
    )


def _check(examples: list[Example], task: LabelledTask[Any], tokenizer: Any, cut: bool) -> None:
    task.check(examples, tokenizer)
    if cut:
        return
    for index, encoded in enumerate(task.encode_all(examples, tokenizer)):
        if encoded.cut_tokens:
            raise ExampleError(
                index, f"the example is {encoded.cut_tokens} tokens too long for rows of {task.max_length}: shorten it"
            )


def _id_column(
    records: Sequence[Record], present: Sequence[str], kind: type[LabelledTask[Any]], wanted: Mapping[str, str]
) -> str | None:
    """The column that names the examples: the one that the user says, none if that is empty, else a usual one."""
    if "id" in wanted:
        if wanted["id"] and wanted["id"] not in present:
            raise ValueError(f"{records[0].where}: no column {wanted['id']!r} (id): the file has {', '.join(present)}")
        return wanted["id"] or None
    named = [name for name in kind.ids if name in present and name not in wanted.values()]
    return likeliest(named, records[0]) if named else None


def _unique(records: Sequence[Record], column: str | None, skipped: list[str] | None) -> list[Record]:
    """The records, of which no two have the same id; an empty one is none."""
    seen: dict[Any, Record] = {}
    kept = []
    for record in records:
        name = None if column is None else record.values.get(column)
        first = record if name in (None, "") else seen.setdefault(str(name), record)
        if first is record:
            kept.append(record)
            continue
        complaint = (
            f"{record.where}: the {column} {name!r} is also that of line {first.line}: each example has its own (where "
            f"the column names something else: --columns id=)"
        )
        if skipped is None:
            raise ValueError(complaint)
        skipped.append(complaint)
    return kept
