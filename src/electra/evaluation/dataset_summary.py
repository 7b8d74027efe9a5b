"""Summary of labelled examples: how many, how long, how many are truncated or read in windows, which labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from electra.tasks.inputs.relevance import read_relevance
from electra.tasks.inputs.texts import read_answers
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.task import Encoded
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification


def summary(task: LabelledTask[Any], examples: Sequence[Any], encoded: Sequence[Encoded]) -> dict[str, Any]:
    """The summary of examples and of the sequences that the task encodes them as.

    Args:
        task: what the examples are for.
        examples: the examples.
        encoded: what `task.encode_all` made of them.

    Returns:
        `examples`, `rows` (sequences that the network reads: a window or a choice each), `tokens` (of all sequences),
        `median_tokens` and `longest_tokens` (of a sequence), `cut` (examples that are truncated), `cut_tokens` (tokens
        that are truncated), `in_windows` (examples read in several windows because they are long), and `labels`: how
        often each occurs, or of a regression the lowest, the mean and the highest.
    """
    lengths = [len(row) for each in encoded for row in each.rows]
    return {
        "examples": len(examples),
        "rows": len(lengths),
        "tokens": sum(lengths),
        "median_tokens": int(np.median(lengths)),
        "longest_tokens": max(lengths),
        "cut": sum(each.cut_tokens > 0 for each in encoded),
        "cut_tokens": sum(each.cut_tokens for each in encoded),
        "in_windows": sum(len(getattr(each, "windows", ())) > 1 for each in encoded),
        "labels": labels(task, examples),
    }


@singledispatch
def labels(task: LabelledTask[Any], examples: Sequence[Any]) -> dict[str, float]:
    """How often each label occurs, in the task's order; empty for a task without labels."""
    return {}


@labels.register
def _(task: TextClassification, examples: Sequence[Any]) -> dict[str, float]:
    targets = [task.target(example) for example in examples]
    if task.problem == "regression":
        return {"lowest": float(np.min(targets)), "mean": float(np.mean(targets)), "highest": float(np.max(targets))}
    if task.problem == "single_label_classification":
        return _counts(task.labels, [task.labels[int(np.asarray(target))] for target in targets])
    return dict(zip(task.labels, map(int, np.sum(targets, axis=0)), strict=True))


@labels.register
def _(task: TokenClassification, examples: Sequence[Any]) -> dict[str, float]:
    return _counts(task.labels, [task.labels[tag] for example in examples for tag in task.target(example)])


@labels.register
def _(task: QuestionAnswering, examples: Sequence[Any]) -> dict[str, float]:
    kinds = ("with an answer", "without an answer")
    return _counts(kinds, [kinds[not read_answers(example)] for example in examples])


@labels.register
def _(task: MultipleChoice, examples: Sequence[Any]) -> dict[str, float]:
    choices = [right_choice(example) for example in examples]
    names = [f"choice {number} is right" for number in range(max(choices) + 1)]
    return _counts(names, [names[number] for number in choices])


@labels.register
def _(task: TextRanking, examples: Sequence[Any]) -> dict[str, float]:
    relevance = [read_relevance(example, None).labels for example in examples]
    return {
        "texts": sum(map(len, relevance)),
        "relevant texts": sum(value > 0 for values in relevance for value in values),
        "queries without a relevant text": sum(not any(value > 0 for value in values) for values in relevance),
    }


def _counts(names: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    counts = Counter(labels)
    return {name: counts[name] for name in names}
