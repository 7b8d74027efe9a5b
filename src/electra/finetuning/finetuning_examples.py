"""The examples of a fit: both files read and checked, the task inferred, training items encoded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Any

from electra.config import ElectraConfig
from electra.evaluation.dataset_summary import summary
from electra.evaluation.splitting import folds, overlapping, split
from electra.files.digests import file_sha256
from electra.finetuning.finetune_config import EVAL_FRACTION, FinetuneConfig
from electra.finetuning.fitted_labels import with_labels_of_model
from electra.labelled.fitted_task import known_of_files
from electra.labelled.labelled_examples import LabelledExamples, labelled_task, read_columns, read_labelled
from electra.labelled.task_presets import NamedTask
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.labelled_task import LabelledTask, TrainingItem
from electra.tasks.task import ExampleError
from electra.text.special_tokens import check_embeddings
from electra.text.tokenizer import ElectraTokenizer
from electra.validation import require_count


@dataclass(frozen=True)
class Examples:
    """Training and evaluation examples.

    Attributes:
        task: with the labels of the training examples, prepared for the tokenizer.
        tokenizer: the model's.
        items: the encoded training examples.
        held_out: the evaluation examples.
        learnt: how many training examples the items are made of.
        skipped: the error of each invalid example that was left out, of both files.
        metric: the score that selects the best evaluation; None: the task's main one.
        lines: the line of each of `held_out` in its file.
        files: how to read such files again; see `known_of_files`.
        data: the summaries of both files, as `train` and `eval`; see `summary`.
        digests: of both files and of the named task, to notice when a resumed fit gets other ones.
        train: the training examples, for baselines.
        notices: sentences about the labels of a model that was fine-tuned before.
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
    train: list[dict[str, Any]]
    notices: list[str]


def load_examples(config: FinetuneConfig, named: NamedTask | None = None, fold: int = 0) -> Examples:
    """Read and check both files, or the training file and its split.

    Args:
        config: names them.
        named: the named task, if `config.task` is the name of one.
        fold: which of `config.folds` is evaluated.

    Raises:
        ValueError: an invalid example, with file and line.
        OSError: a file cannot be read.
    """
    tokenizer = ElectraTokenizer.from_pretrained(config.model)
    columns = read_columns(config.columns)
    group = columns.pop("group", None)
    reading: dict[str, Any] = {
        "columns": columns,
        "named": named,
        "skip_invalid": config.skip_invalid,
        "encoding": config.encoding,
        "label_separator": config.label_separator,
    }
    learnt = read_labelled(config.train, _kinds(config, named), **reading)
    if config.eval is not None:
        held_out = read_labelled(config.eval, (learnt.kind,), **reading)
    elif config.folds is None:
        learnt, held_out = _split(config, learnt, group, fold)
    notices: list[str] = []
    if config.folds is None:
        learnt, notices = _without_overlap(config, learnt, held_out)
        learnt, task = _teaching(config, named, learnt, tokenizer)
    else:
        # all folds have the labels of the whole file: a rare one may be in one fold only
        learnt, task = _teaching(config, named, learnt, tokenizer)
        learnt, held_out = _split(config, learnt, group, fold)
    settings = ElectraConfig.from_pretrained(config.model)
    check_embeddings(tokenizer, settings.vocab_size)
    task, more = with_labels_of_model(task, settings)
    items = _arranged(learnt, named).items(task, tokenizer)
    held_out = held_out.usable(task, tokenizer, skip_invalid=config.skip_invalid)
    return Examples(
        task,
        tokenizer,
        items,
        held_out.examples,
        len(learnt),
        learnt.skipped if config.eval is None else [*learnt.skipped, *held_out.skipped],
        config.metric or (named.metric if named else None),
        [record.line for record in held_out.records],
        known_of_files(task, named, reading["columns"], config.label_separator),
        {
            name: summary(task, part.examples, task.encode_all(part.examples, tokenizer))
            for name, part in (("train", learnt), ("eval", held_out))
        },
        _digests(config, named),
        list(learnt.examples),
        [*notices, *more],
    )


def _split(
    config: FinetuneConfig, examples: LabelledExamples, group: str | None, fold: int
) -> tuple[LabelledExamples, LabelledExamples]:
    """The training and the evaluation examples of one file; group: the column of which no value is on both sides."""
    groups = None
    if group is not None:
        for record in examples.records:
            if group not in record.values:
                raise ValueError(f"{record.where}: there is no column {group!r}, which --columns group={group} names")
        groups = [str(record.values[group]) for record in examples.records]
    fraction = config.eval_fraction or EVAL_FRACTION
    try:
        if config.folds is None:
            sides = split(examples.examples, fraction, config.split_seed or 0, groups)
        else:
            parts = folds(examples.examples, config.folds, config.split_seed or 0, groups)
            sides = sorted(chain(*parts[:fold], *parts[fold + 1 :])), parts[fold]
    except ValueError as error:
        raise ValueError(f"{config.train}: {error}") from error
    train, held_out = (_part(examples, side) for side in sides)
    return train, held_out


def _part(examples: LabelledExamples, indices: Sequence[int]) -> LabelledExamples:
    return replace(
        examples,
        examples=[examples.examples[index] for index in indices],
        records=[examples.records[index] for index in indices],
    )


def _without_overlap(
    config: FinetuneConfig, learnt: LabelledExamples, held_out: LabelledExamples
) -> tuple[LabelledExamples, list[str]]:
    """The training examples to use, and a sentence about evaluation texts among them.

    A model that was trained on an evaluation example knows its answer by heart, so scores are too high.
    """
    indices, count = overlapping(learnt.examples, held_out.examples)
    if not indices:
        return learnt, []
    first = f"such as {learnt.records[indices[0]].where}"
    texts = f"{count:,} of {len(held_out):,} evaluation texts are in the training set"
    if not config.drop_overlap:
        return learnt, [f"{texts} ({first}), so the scores are too high: --drop-overlap leaves these out of training"]
    dropped = set(indices)
    rest = [index for index in range(len(learnt)) if index not in dropped]
    if not rest:
        raise ValueError(
            f"every example of {config.train} is also in {config.eval}: leave out --eval to split {config.train}"
        )
    return _part(learnt, rest), [f"{texts}: {len(indices):,} training examples are left out ({first})"]


def _teaching(
    config: FinetuneConfig, named: NamedTask | None, learnt: LabelledExamples, tokenizer: ElectraTokenizer
) -> tuple[LabelledExamples, LabelledTask[Any]]:
    """The valid training examples and their task, whose labels are those of valid examples only.

    An example that is left out may be the only one of its label, and then another example may be invalid without that
    label, so it repeats until nothing is left out any more.
    """
    options = {**(named.options if named else {}), "max_length": _longest_row(config, named, learnt.kind)}

    def taught(examples: list[dict[str, Any]]) -> LabelledTask[Any]:
        return learnt.kind.from_examples(examples, **options)

    def tried(examples: list[dict[str, Any]]) -> None:
        """Raise for an invalid example, but not for what is wrong with all of them, such as a single label."""
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
    """The training examples; those of symmetric pairs in both orders."""
    return named.arranged(examples) if named else examples


def _arranged(learnt: LabelledExamples, named: NamedTask | None) -> LabelledExamples:
    """The training examples as `_in_both_orders` has them, with the record of each."""
    examples = learnt.checked(lambda examples: _in_both_orders(named, examples))
    return replace(learnt, examples=examples, records=learnt.records * (len(examples) // len(learnt)))


def _longest_row(config: FinetuneConfig, named: NamedTask | None, kind: type[LabelledTask[Any]]) -> int:
    """The most tokens of a sequence: what was asked for, or the usual length as far as the model can read it."""
    longest = ElectraConfig.from_pretrained(config.model).max_position_embeddings
    own = named.options.get("max_length") if named else None
    asked = config.max_length or own or kind.usual_length
    require_count("max_length", asked, 3)
    usual = (None, named.settings.get("max_length") if named else None)
    if asked > longest and config.max_length not in usual:
        raise ValueError(f"max_length is {asked}: {config.model} reads at most {longest} tokens")
    return min(asked, longest)


def _kinds(config: FinetuneConfig, named: NamedTask | None) -> Sequence[type[LabelledTask[Any]]]:
    """The task that was asked for, or all tasks: the columns then decide."""
    if config.task is None:
        return LABELLED_TASKS
    return (labelled_task(named.task if named else config.task),)


def _digests(config: FinetuneConfig, named: NamedTask | None) -> dict[str, str]:
    """The digests of the files, and of the named task, which differs where the catalogue has changed."""
    digests = {"train_sha256": file_sha256(config.train)}
    if config.eval is not None:
        digests["eval_sha256"] = file_sha256(config.eval)
    if named is not None:
        known = json.dumps(asdict(named), sort_keys=True, default=str)
        digests["task_sha256"] = hashlib.sha256(known.encode()).hexdigest()
    return digests
