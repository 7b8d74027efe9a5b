"""Labelled examples from files, and the task that they are of; what is wrong is told with file and line."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from electra.config import ElectraConfig
from electra.data.records import Record, column_of, read_records, value_of
from electra.finetuning.config import FinetuneConfig
from electra.tasks.task import ExampleError, LabelledTask, TrainingItem
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from electra.text.tokenizer import ElectraTokenizer

TASKS: dict[str, type[LabelledTask[Any]]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
}
TEXT_COLUMNS = ("text", "sentence1", "text_a", "sentence", "question1", "premise", "question")
PAIR_COLUMNS = ("text_pair", "sentence2", "text_b", "question2", "hypothesis")
LABEL_COLUMNS = ("label", "class", "category")
TOKEN_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("tags", "ner_tags", "ner", "labels")

Example = dict[str, Any]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Examples:
    """What a model is fitted to, and what it is scored with.

    Attributes:
        task: with the labels of the examples to learn from, made ready for the tokenizer.
        items: what is learnt.
        held_out: what is scored, none of which is learnt.
        learnt: how many examples the items are of.
        digests: of the two files, to know them again.
    """

    task: LabelledTask[Any]
    tokenizer: Any
    items: list[TrainingItem]
    held_out: list[Example]
    learnt: int
    digests: dict[str, str]


def load_examples(config: FinetuneConfig) -> Examples:
    """Read and check both files. What cannot be used is a ValueError that names file and line."""
    kind = TASKS[config.task]
    learnt = read_examples(config.train, config.task, config.label_column)
    held_out = read_examples(config.eval, config.task, config.label_column)
    tokenizer = ElectraTokenizer.from_pretrained(config.model)
    longest = ElectraConfig.from_pretrained(config.model).max_position_embeddings
    options = {"max_length": min(config.max_length, longest)}
    task = checked(learnt, lambda: kind.from_examples([example for example, _ in learnt], **options))
    task = task.for_tokenizer(tokenizer)
    items = checked(learnt, lambda: task.training_items([example for example, _ in learnt], tokenizer))
    checked(held_out, lambda: task.training_items([example for example, _ in held_out], tokenizer))
    digests = {"train_sha256": _digest(config.train), "eval_sha256": _digest(config.eval)}
    return Examples(task, tokenizer, items, [example for example, _ in held_out], len(learnt), digests)


def read_examples(path: Path, task: str, label_column: str | None = None) -> list[tuple[Example, Record]]:
    """The file's examples under the names that tasks use, each with the record it came from."""
    records = read_records(path)
    if task == "token-classification":
        names = {"tokens": (TOKEN_COLUMNS, "the words"), "tags": (TAG_COLUMNS, "their tags")}
        read: Callable[[Record, str], Any] = _list_of
    else:
        names = {"text": (TEXT_COLUMNS, "the text"), "label": (LABEL_COLUMNS, "the label")}
        read = value_of
    labels = tuple(names)[1]
    if label_column:
        names[labels] = ((label_column,), "the labels")
    columns = {key: column_of(records, allowed, meaning) for key, (allowed, meaning) in names.items()}
    pair = next((name for name in PAIR_COLUMNS if name in records[0].values), None)
    if pair and "text" in columns:
        columns["text_pair"] = pair
    return [({key: read(record, column) for key, column in columns.items()}, record) for record in records]


def checked(examples: Sequence[tuple[Example, Record]], work: Callable[[], Made]) -> Made:
    """Do the work; what it refuses becomes an error with the file, and the line where one example is to blame."""
    try:
        return work()
    except ExampleError as error:
        raise ValueError(f"{examples[error.index][1].where}: {error.problem}") from error
    except ValueError as error:
        raise ValueError(f"{examples[0][1].source}: {error}") from error


def _list_of(record: Record, column: str) -> list[str]:
    """A list of strings: a JSON list, or words between spaces as CSV files have them."""
    value = value_of(record, column)
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list):
        raise ValueError(f"{record.where}: {column!r} is to be a list of words, not {value!r}")
    return [str(word) for word in value]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
