"""What a model is fitted to and scored with: two files, the task that they are of, and what is learnt of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from electra.config import ElectraConfig
from electra.evaluation.dataset_summary import summary
from electra.files.digests import file_sha256
from electra.finetuning.finetune_config import FinetuneConfig
from electra.labelled.fitted_task import known_of_files
from electra.labelled.labelled_examples import LabelledExamples, labelled_task, read_columns, read_labelled
from electra.labelled.task_presets import NamedTask
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.task import ExampleError, LabelledTask, TrainingItem, is_count
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
        data: what both files' examples are like, as `train` and `eval`; see `summary`.
        digests: of the two files, and of what is known of the task, to know them again.
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
    learnt, task = _teaching(config, named, learnt, tokenizer)
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
            name: summary(task, part.examples, task.encode_all(part.examples, tokenizer))
            for name, part in (("train", learnt), ("eval", held_out))
        },
        _digests(config, named),
    )


def _teaching(
    config: FinetuneConfig, named: NamedTask | None, learnt: LabelledExamples, tokenizer: ElectraTokenizer
) -> tuple[LabelledExamples, LabelledTask[Any]]:
    """The examples that can be used, and the task that they are of: a label that only others have is none of its."""
    options = {**(named.options if named else {}), "max_length": _longest_row(config, named, learnt.kind)}

    def taught(examples: list[dict[str, Any]]) -> LabelledTask[Any]:
        return learnt.kind.from_examples(examples, **options)

    def tried(examples: list[dict[str, Any]]) -> None:
        """What is wrong with all of them, such as one label only, none of them is to blame for."""
        _in_both_orders(named, examples)
        try:
            taught(examples)
        except ExampleError:
            raise
        except ValueError:
            return

    while True:
        found = learnt.without_broken(tried) if config.skip_invalid else learnt
        task = found.checked(taught).for_tokenizer(tokenizer)
        learnt = found.usable(task, tokenizer, skip_invalid=True) if config.skip_invalid else found
        if len(learnt) == len(found):
            return learnt, task


def _in_both_orders(named: NamedTask | None, examples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is learnt from: where the order of a pair means nothing, each example in both orders."""
    return named.arranged(examples) if named else examples


def _arranged(learnt: LabelledExamples, named: NamedTask | None) -> LabelledExamples:
    """The same with the record of each."""
    examples = learnt.checked(lambda examples: _in_both_orders(named, examples))
    return replace(learnt, examples=examples, records=learnt.records * (len(examples) // len(learnt)))


def _longest_row(config: FinetuneConfig, named: NamedTask | None, kind: type[LabelledTask[Any]]) -> int:
    """Tokens: what was asked for, which the model must be able to read, or what is usual, as far as it can."""
    longest = ElectraConfig.from_pretrained(config.model).max_position_embeddings
    own = named.options.get("max_length") if named else None
    asked = config.max_length or own or kind.usual_length
    if not is_count(asked, 3):
        raise ValueError(f"max_length is {asked!r}: it must be 3 or more tokens")
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
    """Of the files, and of what a task's name stands for, which is another where the catalogue has changed."""
    digests = {"train_sha256": file_sha256(config.train), "eval_sha256": file_sha256(config.eval)}
    if named is not None:
        known = json.dumps(asdict(named), sort_keys=True, default=str)
        digests["task_sha256"] = hashlib.sha256(known.encode()).hexdigest()
    return digests
