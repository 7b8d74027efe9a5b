"""What a model is fitted to and scored with: two files, the task that they are of, and what is learnt of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from electra.config import ElectraConfig
from electra.finetuning.config import FinetuneConfig
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.fitted import known_of_files
from electra.tasks.labelled import LabelledExamples, labelled_task, read_columns, read_labelled
from electra.tasks.named import NamedTask
from electra.tasks.statistics import statistics
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
        lines: where in its file each of `held_out` stands.
        files: what has to be known to read such files again; see `known_of_files`.
        data: what both files' examples are like, as `train` and `eval`; see `statistics`.
        digests: of the two files, and of what a catalogue says of them, to know them again.
    """

    task: LabelledTask[Any]
    tokenizer: Any
    items: list[TrainingItem]
    held_out: list[dict[str, Any]]
    learnt: int
    skipped: list[str]
    metric: str | None
    lines: list[int]
    files: dict[str, Any]
    data: dict[str, dict[str, Any]]
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
    options = {
        **(named.options if named else {}),
        "max_length": _longest_row(config, named, learnt.kind),
    }
    learnt, task = _with_task(learnt, tokenizer, options, skip_invalid=config.skip_invalid)
    items = _arranged(learnt, named).items(task, tokenizer)
    held_out = held_out.usable(task, tokenizer, skip_invalid=config.skip_invalid)
    return Examples(
        task,
        tokenizer,
        items,
        held_out.examples,
        len(learnt),
        [*learnt.skipped, *held_out.skipped],
        named.metric if named else None,
        [record.line for record in held_out.records],
        known_of_files(task, named, reading["columns"]),
        {
            name: statistics(task, part.examples, task.encode_all(part.examples, tokenizer))
            for name, part in (("train", learnt), ("eval", held_out))
        },
        _digests(config, named),
    )


def _with_task(
    learnt: LabelledExamples, tokenizer: Any, options: dict[str, Any], *, skip_invalid: bool
) -> tuple[LabelledExamples, LabelledTask[Any]]:
    """Those that can be used, and the task that they are of: labels that only the others have are none of its."""

    def task_of(these: LabelledExamples) -> LabelledTask[Any]:
        return these.checked(lambda examples: these.kind.from_examples(examples, **options)).for_tokenizer(tokenizer)

    task = task_of(learnt)
    if not skip_invalid:
        return learnt, task
    usable = learnt.usable(task, tokenizer, skip_invalid=True)
    return usable, task if len(usable) == len(learnt) else task_of(usable)


def _arranged(learnt: LabelledExamples, named: NamedTask | None) -> LabelledExamples:
    """What is learnt from: where the order of a pair means nothing, each example in both orders."""
    examples = named.arranged(learnt.examples) if named else learnt.examples
    return replace(learnt, examples=examples, records=learnt.records * (len(examples) // len(learnt)))


def _longest_row(config: FinetuneConfig, named: NamedTask | None, kind: type[LabelledTask[Any]]) -> int:
    """Tokens: what was asked for, which the model must be able to read, or what is usual, as far as it can."""
    longest = ElectraConfig.from_pretrained(config.model).max_position_embeddings
    asked = config.max_length or (named.options.get("max_length") if named else None) or kind.usual_length
    usual = (None, named.settings.get("max_length") if named else None)
    if asked > longest and config.max_length not in usual:
        raise ValueError(f"max_length is {asked}: {config.model} reads at most {longest} tokens")
    return min(asked, longest)


def _kinds(config: FinetuneConfig, named: NamedTask | None) -> Sequence[type[LabelledTask[Any]]]:
    """The task that was asked for, or all: the columns then say which."""
    if config.task is None:
        return LABELLED_TASKS
    return (labelled_task(named.task if named else config.task),)


def _digests(config: FinetuneConfig, named: NamedTask | None) -> dict[str, str]:
    found = {"train_sha256": _digest(config.train), "eval_sha256": _digest(config.eval)}
    if config.catalogue is not None and named is not None:  # the file may hold other tasks, which may change
        said = json.dumps(asdict(named), sort_keys=True)
        found["task_sha256"] = hashlib.sha256(said.encode()).hexdigest()
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
