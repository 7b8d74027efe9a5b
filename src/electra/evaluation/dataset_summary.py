"""What labelled examples are like: how many, how long, how many are cut or read in windows, which labels they have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from electra.tasks.inputs.relevance import read_relevance
from electra.tasks.inputs.texts import read_answers
from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.task import Encoded, LabelledTask
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification


def statistics(task: LabelledTask[Any], examples: Sequence[Any], encoded: Sequence[Encoded]) -> dict[str, Any]:
    """Of examples and the rows that the task makes of them.

    `examples`, `rows` (what the network reads, a window or a choice each), `tokens` (of all rows), `median_tokens` and
    `longest_tokens` (of a row), `cut` (examples of which something is left out), `cut_tokens` (how much, of all),
    `in_windows` (examples that are read in several rows because they are long), and `labels`: how many there are of
    each, or of a regression the lowest, the mean and the highest.
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
    """How many there are of each label, in the task's order; nothing of a task without any."""
    return {}


@labels.register
def _(task: TextClassification, examples: Sequence[Any]) -> dict[str, float]:
    targets = [task.target(example) for example in examples]
    if task.problem == "regression":
        return {"lowest": float(np.min(targets)), "mean": float(np.mean(targets)), "highest": float(np.max(targets))}
    if task.problem == "single_label_classification":
        return _counted(task.labels, [task.labels[int(np.asarray(target))] for target in targets])
    return dict(zip(task.labels, map(int, np.sum(targets, axis=0)), strict=True))


@labels.register
def _(task: TokenClassification, examples: Sequence[Any]) -> dict[str, float]:
    return _counted(task.labels, [task.labels[tag] for example in examples for tag in task.target(example)])


@labels.register
def _(task: QuestionAnswering, examples: Sequence[Any]) -> dict[str, float]:
    kinds = ("with an answer", "without an answer")
    return _counted(kinds, [kinds[not read_answers(example)] for example in examples])


@labels.register
def _(task: MultipleChoice, examples: Sequence[Any]) -> dict[str, float]:
    right = [right_choice(example) for example in examples]
    names = [f"choice {number} is right" for number in range(max(right) + 1)]
    return _counted(names, [names[number] for number in right])


@labels.register
def _(task: TextRanking, examples: Sequence[Any]) -> dict[str, float]:
    found = [read_relevance(example, None).labels for example in examples]
    relevant = sum(value > 0 for values in found for value in values)
    return {
        "texts": sum(map(len, found)),
        "relevant texts": relevant,
        "queries without a relevant text": sum(not any(value > 0 for value in values) for values in found),
    }


def _counted(names: Sequence[str], found: Sequence[str]) -> dict[str, float]:
    times = Counter(found)
    return {name: times[name] for name in names}
