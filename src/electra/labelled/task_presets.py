"""Tasks by name: those of Google's code and of GLUE, and one's own in a TOML file.

A name stands for a task, the columns of its files, what their labels mean, the score that counts, and Google's
settings for fine-tuning (configure_finetuning.py).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from electra.tasks.task import of_each
from electra.validation import as_number, choose_one_of


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """What is known of a task's files, and how it is learnt.

    Attributes:
        task: the name of the task.
        columns: names of the file's columns that are looked for, by the task's name for the part.
        header: what the columns are called of a file that does not name them.
        options: the task's options, such as its labels in their order.
        label_names: what the labels (or tags) in the files stand for.
        label_range: the lowest and the highest label of a regression: these become 0 and 1.
        both_orders: learn from every pair in both orders, as Google's code does where the order means nothing.
        metric: the score that counts.
        label_separator: what separates several labels in a cell of a table.
        settings: of fine-tuning, where they are not the usual ones: epochs, batch_size, rate, max_length and the like.
    """

    task: str
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    label_names: Mapping[str, str] = field(default_factory=dict)
    label_range: tuple[float, float] | None = None
    both_orders: bool = False
    metric: str | None = None
    label_separator: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A record's values with their labels as the task has them."""
        if self.label_range and "label" in values:
            low, high = self.label_range
            return {**values, "label": (as_number(values["label"], "the label of a regression") - low) / (high - low)}
        made = dict(values)
        if self.label_names and "label" in values:
            made["label"] = self._named(values["label"])
        if self.label_names and "tags" in values:
            tags = values["tags"]
            made["tags"] = self._each_named(tags.split() if isinstance(tags, str) else tags)
        return made

    def _named(self, label: Any) -> Any:
        """What a label stands for, or each of several: names then, and no list with a 0 or 1 for each label."""
        several = isinstance(label, list) and self.task != "text-ranking"  # there a list is of a label for each text
        if several and (len({*map(str, label)}) < len(label) or any(isinstance(one, (bool, float)) for one in label)):
            raise ValueError(
                f"the label is {label!r}, and label_names are for names, each once: what the places of a list of 0 and "
                "1 are called belongs into options.labels"
            )
        return self._each_named(label)

    def _each_named(self, label: Any) -> Any:
        if isinstance(label, list):
            return [self.label_names.get(str(one), one) for one in label]
        return self.label_names.get(str(label), label)

    def arranged(self, examples: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The examples to learn from: where the order of a pair means nothing, each in both orders."""
        made = [dict(example) for example in examples]
        if self.both_orders:
            made += of_each(_turned, made)
        return made


def _turned(pair: Mapping[str, Any]) -> dict[str, Any]:
    """The pair in the other order."""
    if pair.get("text_pair") is None:
        raise ValueError("no second text: with both_orders every example is a pair")
    return {**pair, "text": pair["text_pair"], "text_pair": pair["text"]}


LABEL_COLUMNS = ("gold_label", "is_duplicate", "Quality", "label")
"""What GLUE's files call the label."""


def _pair(*labels: str, columns: tuple[str, str] = ("sentence1", "sentence2"), **known: Any) -> NamedTask:
    """A pair of texts with one of two or three labels; in files these are names, or numbers in this order."""
    first, second = columns
    return _labels(*labels, columns={"text": (first, "text_a"), "text_pair": (second, "text_b")}, **known)


def _labels(*labels: str, columns: Mapping[str, Any], metric: str = "accuracy", **known: Any) -> NamedTask:
    """A text with one of two or three labels."""
    known["columns"] = {**columns, "label": LABEL_COLUMNS}
    numbers = {str(i): label for i, label in enumerate(labels)}
    options = {"labels": labels, "problem_type": "single_label_classification"}
    return NamedTask(task="text-classification", options=options, label_names=numbers, metric=metric, **known)


# Epochs and lengths: configure_finetuning.py, lines 134 to 146. Metrics: those of GLUE, SQuAD and CoNLL.
NAMED_TASKS: dict[str, NamedTask] = {
    "cola": _labels(
        "unacceptable",
        "acceptable",
        metric="matthews",
        columns={"text": ("sentence", "text")},
        header=("source", "label", "mark", "sentence"),
    ),
    "sst2": _labels("negative", "positive", columns={"text": ("sentence", "text")}),
    "mrpc": _pair(
        "not_equivalent",
        "equivalent",
        columns=("#1 String", "#2 String"),
        both_orders=True,
    ),
    "stsb": NamedTask(
        task="text-classification",
        columns={"text": ("sentence1", "text_a"), "text_pair": ("sentence2", "text_b"), "label": ("score", "label")},
        options={"labels": ("LABEL_0",), "problem_type": "regression"},
        label_range=(0.0, 5.0),
        both_orders=True,
        metric="spearman",
        settings={"epochs": 10},
    ),
    "qqp": _pair("not_duplicate", "duplicate", columns=("question1", "question2")),
    "mnli": _pair("contradiction", "entailment", "neutral"),
    "qnli": _pair("entailment", "not_entailment", columns=("question", "sentence")),
    "rte": _pair("entailment", "not_entailment", settings={"epochs": 10}),
    "wnli": _pair("not_entailment", "entailment"),
    "squad1": NamedTask(task="joint-question-answering", metric="f1", settings={"epochs": 2, "max_length": 512}),
    "squad2": NamedTask(task="joint-question-answering", metric="f1", settings={"epochs": 2, "max_length": 512}),
    "chunking": NamedTask(
        task="token-classification",
        columns={"tags": ("chunk", "chunk_tags", "tags")},
        metric="f1",
        settings={"max_length": 256},
    ),
    "ner": NamedTask(task="token-classification", columns={"tags": ("ner", "ner_tags", "tags")}, metric="f1"),
}


def named_task(name: str, catalogue: Path | None = None) -> NamedTask | None:
    """What a name stands for, in the catalogue first; None for a name that is in neither."""
    return {**NAMED_TASKS, **(read_catalogue(catalogue) if catalogue else {})}.get(name)


def read_catalogue(path: Path) -> dict[str, NamedTask]:
    """Tasks by name from a TOML file: a table for each, with `NamedTask`'s attributes as its keys.

    Raises:
        OSError: there is no such file.
        ValueError: it is not TOML, or a table has no `task`, an unknown key or a value of another kind; it names the
            file and the table.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML ({error})") from error
    return {name: read_table(f"{path}: [{name}]", table) for name, table in tables.items()}


_KINDS: dict[str, type] = {
    "task": str,
    "columns": dict,
    "header": list,
    "options": dict,
    "label_names": dict,
    "label_range": list,
    "both_orders": bool,
    "metric": str,
    "label_separator": str,
    "settings": dict,
}


def read_table(where: str, table: Any) -> NamedTask:
    """A task from its attributes by name; a `ValueError` about them begins with `where`."""
    if not isinstance(table, dict) or "task" not in table:
        raise ValueError(f'{where} is to be a table with a task in it, such as task = "text-classification"')
    known = [each.name for each in fields(NamedTask)]
    for key, value in table.items():
        if key not in known:
            raise ValueError(f"{where} has a key {key!r} that is unknown{choose_one_of(key, known)}")
        if not isinstance(value, _KINDS[key]):
            raise ValueError(f"{where}: {key} is {value!r}, where a {_KINDS[key].__name__} belongs")
    made = dict(table)
    match table.get("label_range", [0, 1]):
        case [int() | float() as low, int() | float() as high] if low < high:
            pass
        case other:
            raise ValueError(f"{where}: label_range is {other!r}, where [lowest, highest] belongs")
    labels = table.get("options", {}).get("labels", [])
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{where}: options has labels = {labels!r}, where a list of names belongs")
    columns = table.get("columns", {})
    for part, name in columns.items():
        if not isinstance(name, (str, list)):
            raise ValueError(f"{where}: columns has {part} = {name!r}, where a name or a list of names belongs")
    made["columns"] = {part: (name,) if isinstance(name, str) else tuple(name) for part, name in columns.items()}
    for key in ("header", "label_range"):
        if key in made:
            made[key] = tuple(made[key])
    return NamedTask(**made)
