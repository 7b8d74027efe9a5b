"""The values of a record as a task's parts: lists out of cells, labels in one spelling, empty texts left out"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from electra.labelled.cells import looks_like_several, read_cell, split_labels
from electra.labelled.records import Record
from electra.tasks.inputs.texts import has_guessed_places
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.text_classification import TextClassification

TEXT_PARTS = ("text", "text_pair", "query", "question", "context")
"""Parts that are texts whatever they look like."""
_INTEGRAL = re.compile(r"-?\d+\.0*")
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d+)*|[.,]\d+)([eE][-+]?\d+)?\s*%?")
_ODD_NUMBER = re.compile(r"[,eE%+]|^-?\.|\..*\.")
"""What is in a number that no reader of numbers here takes: 1,5, 1e-3, 50%, 1.000.000."""
_MISSING = ("nan", "NaN", "None", "<NA>", "NaT", "null", "NULL", "N/A", "#N/A")
_SPACES = re.compile(r"[ \t\r\n]+")
_BITS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1, "no": 0, "yes": 1}

Rows = list[tuple[Record, dict[str, Any]]]


def values_of(
    record: Record,
    kind: type[LabelledTask[Any]],
    columns: Mapping[str, str],
    separator: str | None = None,
    needs: Callable[[Any], bool] = lambda column: column.required,
) -> dict[str, Any]:
    """The record's columns under the task's keys, with lists where cells of a table hold them.

    Args:
        record: of a file.
        kind: the task.
        columns: the column of each part, or several with + between them.
        separator: what separates several labels in a cell.
        needs: whether an example must have a part.

    Raises:
        ValueError: a part that an example needs is missing or null, or a cell that cannot be read.
    """
    needed = {column.key for column in kind.columns if needs(column)}
    values = {}
    for key, column in columns.items():
        if column not in record.values and "+" in column:
            values[key] = _marked(record, column.split("+"))
            continue
        value = record.values.get(column)
        if value is None:
            if key in needed:
                raise ValueError(f"no {column!r}: every example needs one")
            continue
        values[key] = value if key in TEXT_PARTS or not isinstance(value, str) else _cell(key, value, separator)
    return values


def _cell(key: str, value: str, separator: str | None) -> Any:
    if key == "label" and separator:
        return split_labels(value, separator)
    read = read_cell(value)
    if key in ("tokens", "tags") and isinstance(read, str):
        return split_words(read)
    return read


def split_words(text: str) -> list[str]:
    """The words between blanks. Not str.split(): other white space (U+00A0, U+3000) may be a word."""
    return [word for word in _SPACES.split(text) if word]


def _marked(record: Record, columns: Sequence[str]) -> list[str]:
    """The names of the columns that have a 1, of columns with a 0 or 1 each."""
    chosen = []
    for column in columns:
        value = record.values.get(column)
        bit = _BITS.get(str(value).strip().lower())
        if bit is None:
            raise ValueError(f"{column!r} is {value!r}: a column of one label has 0 or 1 in every row")
        if bit:
            chosen.append(column)
    return chosen


def without_empty_texts(rows: Rows, kind: type[LabelledTask[Any]], notices: list[str]) -> Rows:
    """The rows whose texts are not empty, of a task that classifies texts; how many are not is a notice."""
    if kind.name != TextClassification.name:
        return rows
    kept = [(record, values) for record, values in rows if not _is_empty(values.get("text"))]
    if len(kept) < len(rows):
        empty = [record.where for record, values in rows if _is_empty(values.get("text"))]
        shown = ", ".join(empty[:3]) + (", …" if len(empty) > 3 else "")
        notices.append(f"{len(empty)} of {len(rows)} examples have an empty text and are left out ({shown})")
    return kept


def notice_guessed_places(rows: Rows, notices: list[str]) -> None:
    """Add how many answers have no start and stand in several places, of which the first one is taken."""
    guessed = []
    for record, values in rows:
        try:
            if has_guessed_places(values):
                guessed.append(record.where)
        except ValueError:
            continue  # it is refused, with its cause, when it is read as an example
    if guessed:
        shown = ", ".join(guessed[:3]) + (", …" if len(guessed) > 3 else "")
        notices.append(
            f"{len(guessed)} of {len(rows)} questions have an answer without answer_start that stands in several "
            f"places of its context: the first one is taken ({shown})"
        )


def _is_empty(text: Any) -> bool:
    return isinstance(text, str) and not text.strip()


def one_spelling(rows: Rows, column: str, notices: list[str], *, numbers: bool, separator: str | None = None) -> Rows:
    """The rows with their labels as classes: without white space around them, whole numbers without a fraction.

    Args:
        rows: of a text classification.
        column: where the labels are, for messages.
        notices: what was changed is added here.
        numbers: whether the labels are numbers to be learnt as such (a regression).
        separator: what labels were separated by.

    Raises:
        ValueError: a label that looks like several ones.
    """
    rows = _stripped(rows, notices)
    labels = [values.get("label") for _, values in rows]
    if not separator and (several := looks_like_several([label for label in labels if isinstance(label, str)])):
        name, found = several
        where = next(record.where for record, values in rows if values.get("label") == name)
        raise ValueError(
            f"{where}: the label {name!r} looks like several: say so (--label-separator '{found}'), or write them as a "
            f"list; if it is one label, write it without {found!r}"
        )
    if not numbers and labels and all(isinstance(label, str) and _NUMBER.fullmatch(label) for label in labels):
        odd = next((values["label"] for _, values in rows if _ODD_NUMBER.search(values["label"])), None)
        if odd is not None:
            where = next(record.where for record, values in rows if values.get("label") == odd)
            raise ValueError(
                f"{where}: the labels in {column!r} look like numbers, and {odd!r} is not written as one: write "
                "numbers with a point and nothing else (1.5), or classes as words (class 1,5)"
            )
    _notice_doubtful(labels, column, notices)
    if numbers or not labels or not all(map(_is_integral, labels)) or not any(map(_has_point, labels)):
        return rows
    notices.append(
        f"the labels in {column!r} are whole numbers written with a fraction ({labels[0]}), and are taken as classes"
    )
    return [(record, {**values, "label": str(int(float(values["label"])))}) for record, values in rows]


def _notice_doubtful(labels: Sequence[Any], column: str, notices: list[str]) -> None:
    """Add what is read as it stands, and is seldom meant so."""
    counts = Counter(label for label in labels if isinstance(label, (str, bool, int)))
    missing = [name for name in counts if isinstance(name, str) and name in _MISSING]
    if missing:
        notices.append(
            f"{sum(counts[name] for name in missing)} labels in {column!r} are {', '.join(map(repr, missing))}, which "
            "programs write where there is no value: they are taken as the name of a class; leave such rows out"
        )
    spellings: dict[str, set[str]] = {}
    for name in counts:
        spellings.setdefault(str(name).casefold(), set()).add(repr(name))
    several = [sorted(names) for names in spellings.values() if len(names) > 1]
    if several:
        shown = "; ".join(" and ".join(names) for names in several[:3])
        notices.append(
            f"labels in {column!r} differ in nothing but their case or type, and are taken as they stand ({shown}): "
            "give what is one class one spelling"
        )


def _stripped(rows: Rows, notices: list[str]) -> Rows:
    before: Counter[str] = Counter()
    made: Rows = []
    for record, values in rows:
        label = values.get("label")
        clean = [_strip(one) for one in label] if isinstance(label, list) else _strip(label)
        if repr(clean) != repr(label):
            before[str(label)] += 1
        made.append((record, {**values, "label": clean} if "label" in values else values))
    if before:
        examples = ", ".join(repr(label) for label in list(before)[:3])
        notices.append(
            f"{before.total()} labels have white space around them or are not in Unicode's composed form, "
            f"which does not count ({examples})"
        )
    return made


def _strip(label: Any) -> Any:
    return unicodedata.normalize("NFC", label.strip()) if isinstance(label, str) else label


def _is_integral(label: Any) -> bool:
    """Whether it is a whole number, also one that is written with a point (1.0)."""
    if isinstance(label, float):
        return label.is_integer()
    if isinstance(label, str):
        return bool(_INTEGRAL.fullmatch(label)) or bool(re.fullmatch(r"-?\d+", label))
    return isinstance(label, int) and not isinstance(label, bool)


def _has_point(label: Any) -> bool:
    return isinstance(label, float) or (isinstance(label, str) and "." in label)


def words_of(value: Any) -> Any:
    """The words of a cell in which blanks separate them; other values as they are."""
    return split_words(value) if isinstance(value, str) else value
