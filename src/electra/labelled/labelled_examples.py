"""Labelled examples from files: which task they are of, which column is what, and what is wrong where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from electra.labelled.records import Record, columns_of, read_records
from electra.labelled.task_presets import NAMED_TASKS, NamedTask
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.labelled_task import Column, LabelledTask, TrainingItem
from electra.tasks.task import ExampleError
from electra.validation import choose_one_of

Example = dict[str, Any]
Made = TypeVar("Made")

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
    """

    kind: type[LabelledTask[Any]]
    examples: list[Example]
    records: list[Record]
    skipped: list[str]

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
    path: Path,
    kinds: Sequence[type[LabelledTask[Any]]] = LABELLED_TASKS,
    *,
    columns: Mapping[str, str] | None = None,
    named: NamedTask | None = None,
    skip_invalid: bool = False,
) -> LabelledExamples:
    """Read the labelled examples of a file.

    Args:
        kinds: the task; of several, the first one that the columns look like.
        columns: which column of the file each part of an example is in, by the task's name for the part.
        named: what is known of the file: its task, its columns, what its labels mean.
        skip_invalid: leave out and count what cannot be used.

    Raises:
        OSError: there is no such file.
        ValueError: what cannot be used, with file and line: see `read_records`; a missing column or value, two examples
            with the same id, an example that the task refuses.
    """
    complaints: list[str] = []
    skipped = complaints if skip_invalid else None
    records = read_records(path, header=named.header if named else (), skipped=skipped)
    kind = kinds[0] if len(kinds) == 1 else task_of(records, columns or {}, kinds)
    there = columns_of(records)
    found = _columns(records[0], there, kind, columns or {}, named.columns if named else {})
    examples, kept = [], []
    for record in _unique(records, there, kind, skipped):
        try:
            values = _values(record, kind, found)
            examples.append(kind.read_example(named.values(values) if named else values))
            kept.append(record)
        except ValueError as error:
            if not skip_invalid:
                raise ValueError(f"{record.where}: {error}") from error
            complaints.append(f"{record.where}: {error}")
    if not examples:
        raise ValueError(f"{path} holds no examples that can be used: {complaints[0]}")
    gathered = LabelledExamples(kind, examples, kept, complaints).checked(kind.gather)
    return LabelledExamples(kind, [each for each, _ in gathered], [kept[i] for _, i in gathered], complaints)


def read_columns(text: str | None) -> dict[str, str]:
    """`text=review,label=stars` -> `{"text": "review", "label": "stars"}`."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for part, equals, column in pairs:
        if not (part.strip() and equals and column.strip()):
            raise ValueError(f"columns is {text!r}: it must be like text=review,label=stars, with = in every part")
    if len({part.strip() for part, _, _ in pairs}) < len(pairs):
        raise ValueError(f"columns is {text!r}: a part of the example comes twice")
    return {part.strip(): column.strip() for part, _, column in pairs}


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
    for kind in kinds:
        if kind.recognises({*there, *columns}):
            return kind
    parts = "; ".join(f"{kind.name}: {', '.join(c.key for c in kind.columns if c.required)}" for kind in kinds)
    raise ValueError(
        f"{records[0].where}: the columns {', '.join(there)} are of no known task. Name the task, or which columns "
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


def _columns(
    first: Record,
    there: Sequence[str],
    kind: type[LabelledTask[Any]],
    given: Mapping[str, str],
    names: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """The file's column for each part of an example that it has.

    What was given goes first, then what is known of the file, then what every example needs: a label in a column that
    texts are often in is not taken for a text.
    """
    usual = {column.key: column.names for column in kind.columns}
    for key in given:
        if key not in usual:
            raise ValueError(f"columns names {key!r}, and {kind.name} has no such part{choose_one_of(key, usual)}")
    found = {key: name for key, name in given.items() if name in there}
    for known in (names, usual):
        for column in sorted(kind.columns, key=lambda column: not column.required):
            left = [name for name in known.get(column.key, ()) if name in there and name not in found.values()]
            if left and column.key not in {*found, *given}:
                found[column.key] = _likeliest(left, first)
    for column in kind.columns:
        if column.key not in found and (column.required or column.key in given):
            looked_for = (given[column.key],) if column.key in given else (*names.get(column.key, ()), *column.names)
            raise ValueError(_missing(first, column, looked_for, there))
    return {key: found[key] for key in usual if key in found}


def _likeliest(names: Sequence[str], first: Record) -> str:
    """Of columns that some records have, the first one that the first record has too, else the first."""
    return min(names, key=lambda name: name not in first.values)


def _missing(first: Record, column: Column, looked_for: Sequence[str], there: Sequence[str]) -> str:
    """What to say where a part of the examples is in no column."""
    taken = [name for name in looked_for if name in there]
    return (
        f"{first.where}: no column with {column.meaning}: looked for {', '.join(looked_for)}; "
        f"the file has {', '.join(there)}" + (f" ({', '.join(taken)}: another part of the example)" if taken else "")
    )


def _values(record: Record, kind: type[LabelledTask[Any]], found: Mapping[str, str]) -> dict[str, Any]:
    """The record's columns under the task's keys; a required one that is missing or null is a `ValueError`."""
    required = {column.key for column in kind.columns if column.required}
    values = {key: record.values.get(column) for key, column in found.items()}
    for key in required & values.keys():
        if values[key] is None:
            raise ValueError(f"no {found[key]!r}: every example needs one")
    return {key: value for key, value in values.items() if value is not None}


def _unique(
    records: Sequence[Record], there: Sequence[str], kind: type[LabelledTask[Any]], skipped: list[str] | None
) -> list[Record]:
    """The records, of which no two have the same id; an empty one is none."""
    named = [name for name in kind.ids if name in there]
    column = _likeliest(named, records[0]) if named else None
    seen: dict[Any, Record] = {}
    kept = []
    for record in records:
        name = None if column is None else record.values.get(column)
        first = record if name in (None, "") else seen.setdefault(str(name), record)
        if first is record:
            kept.append(record)
            continue
        complaint = f"{record.where}: the {column} {name!r} is also that of line {first.line}: each example has its own"
        if skipped is None:
            raise ValueError(complaint)
        skipped.append(complaint)
    return kept
