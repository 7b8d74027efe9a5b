"""Which column of a file is which part of an example: as the user says, as the file's task has it, by usual names"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from electra.labelled.records import Record
from electra.tasks.labelled_task import Column, LabelledTask
from electra.validation import choose_one_of, did_you_mean

SENTENCE = "sentence"
"""The part that says which rows of one word each are a sentence."""
ID = "id"
"""The part that names an example; an empty name disowns the column."""
GROUP = "group"
"""The part that says which examples must not be parted when a file is split."""
HELPERS = (SENTENCE, ID, GROUP)
"""Parts that no task has, but that say how a file is read."""
LABEL_KEYS = ("label", "labels", "tags", "answers", "scores", "is_impossible", "positive", "negative")
"""Parts that say what is right. Examples to predict have none."""


def read_columns(text: str | None) -> dict[str, str]:
    """`text=review,label=stars` -> `{"text": "review", "label": "stars"}`; `id=` disowns the column of that name."""
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    for part, equals, column in pairs:
        if not (part.strip() and equals and (column.strip() or part.strip() == ID)):
            raise ValueError(f"columns is {text!r}: it must be like text=review,label=stars, with = in every part")
    if len({part.strip() for part, _, _ in pairs}) < len(pairs):
        raise ValueError(f"columns is {text!r}: a part of the example comes twice")
    return {part.strip(): column.strip() for part, _, column in pairs}


def find_columns(
    first: Record,
    present: Sequence[str],
    kind: type[LabelledTask[Any]],
    wanted: Mapping[str, str],
    known: Mapping[str, Sequence[str]],
    needs: Callable[[Column], bool] = lambda column: column.required,
) -> dict[str, str]:
    """The file's column for each part of an example that it has.

    What the user wants goes first, then what is known of the file, then what every example needs: a label in a column
    that texts are often in is not taken for a text.

    Args:
        first: the first record, for messages.
        present: the names of all columns.
        kind: the task.
        wanted: the column of each part, as the user says.
        known: names by part that are known of the file.
        needs: whether a file must have the column of a part.

    Returns:
        By part, in the task's order, the name of a column, or several with + between them (a 0 or 1 for each label).
    """
    usual = {column.key: column.names for column in kind.columns}
    wanted = {_key(part, usual): name for part, name in wanted.items() if part not in HELPERS}
    for key in wanted:
        if key not in usual:
            raise ValueError(f"columns names {key!r}, and {kind.name} has no such part{choose_one_of(key, usual)}")
    found = {key: name for key, name in wanted.items() if all(one in present for one in name.split("+"))}
    found |= {key: name for key, name in wanted.items() if name in present}
    for names in (known, usual):
        for column in sorted(kind.columns, key=lambda column: not column.required):
            left = [name for name in names.get(column.key, ()) if name in present and name not in found.values()]
            if left and column.key not in {*found, *wanted}:
                found[column.key] = likeliest(left, first)
    for column in kind.columns:
        if column.key not in found and (needs(column) or column.key in wanted):
            looked_for = (wanted[column.key],) if column.key in wanted else (*known.get(column.key, ()), *column.names)
            raise ValueError(_missing(first, column, looked_for, present))
    return {key: found[key] for key in usual if key in found}


def _key(part: str, usual: Mapping[str, Sequence[str]]) -> str:
    """The task's name for a part, which may be named in the plural: labels=toxic+insult."""
    return part.removesuffix("s") if part not in usual and part.removesuffix("s") in usual else part


def likeliest(names: Sequence[str], first: Record) -> str:
    """Of columns that some records have, the first one that the first record has too, else the first."""
    return min(names, key=lambda name: name not in first.values)


def _missing(first: Record, column: Column, looked_for: Sequence[str], present: Sequence[str]) -> str:
    """The error where a part of the examples is in no column."""
    taken = [name for name in looked_for if name in present]
    near = did_you_mean(looked_for[0], present, cutoff=0.75) if len(looked_for) == 1 else ""
    return (
        f"{first.where}: no column with {column.meaning}: looked for {', '.join(looked_for)}; "
        f"the file has {', '.join(present)}"
        + (f" ({', '.join(taken)}: another part of the example)" if taken else near)
        + without_header(first, present)
    )


def without_header(first: Record, present: Sequence[str]) -> str:
    """A hint where the names of a table's columns look like an example."""
    table = not first.in_memory and {".csv", ".tsv"} & set(first.source.suffixes)
    long = any(len(name.split()) > 3 or len(name) > 40 for name in present)
    return (
        ". The first line of a table names its columns (text,label), and this one looks like an example: add a line "
        "with their names"
        if table and long
        else ""
    )
