"""What a model is fitted to and scored with: two files, the task that they are of, and what is learnt of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra.config import ElectraConfig
from electra.finetuning.config import FinetuneConfig
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.labelled import labelled_task, read_columns, read_labelled
from electra.tasks.named import NamedTask
from electra.tasks.task import LabelledTask, TrainingItem
from electra.text.tokenizer import ElectraTokenizer


@dataclass(frozen=True)
class Examples:
    """What a model is fitted to, and what it is scored with.

    Attributes:
        task: with what it knows of the examples to learn from (their labels), made ready for the tokenizer.
        items: what is learnt.
        held_out: what is scored, none of which is learnt.
        learnt: how many examples the items are of.
        skipped: what was wrong with those that were left out, of both files.
        metric: the score to choose by; None: the one that the task calls its main one.
        digests: of the two files, to know them again.
    """

    task: LabelledTask[Any]
    tokenizer: Any
    items: list[TrainingItem]
    held_out: list[dict[str, Any]]
    learnt: int
    skipped: list[str]
    metric: str | None
    digests: dict[str, str]


def load_examples(config: FinetuneConfig, named: NamedTask | None = None) -> Examples:
    """Read and check both files; `named` is what the name of a task stands for.

    Raises:
        ValueError: what cannot be used, with file and line.
        OSError: there is no such file.
    """
    reading: dict[str, Any] = {
        "columns": read_columns(config.columns),
        "named": named,
        "skip_invalid": config.skip_invalid,
    }
    learnt = read_labelled(config.train, _kinds(config, named), **reading)
    held_out = read_labelled(config.eval, (learnt.kind,), **reading)
    tokenizer = ElectraTokenizer.from_pretrained(config.model)
    longest = ElectraConfig.from_pretrained(config.model).max_position_embeddings
    options = {
        **(named.options if named else {}),
        "max_length": min(config.max_length or learnt.kind.usual_length, longest),
    }
    task = learnt.checked(lambda examples: learnt.kind.from_examples(examples, **options)).for_tokenizer(tokenizer)
    learnt, held_out = (part.usable(task, tokenizer, skip_invalid=config.skip_invalid) for part in (learnt, held_out))
    arranged = named.arranged(learnt.examples) if named else learnt.examples
    return Examples(
        task,
        tokenizer,
        task.training_items(arranged, tokenizer),
        held_out.examples,
        len(learnt),
        [*learnt.skipped, *held_out.skipped],
        named.metric if named else None,
        {"train_sha256": _digest(config.train), "eval_sha256": _digest(config.eval)},
    )


def _kinds(config: FinetuneConfig, named: NamedTask | None) -> Sequence[type[LabelledTask[Any]]]:
    """The task that was asked for, or all: the columns then say which."""
    if config.task is None:
        return LABELLED_TASKS
    return (labelled_task(named.task if named else config.task),)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
