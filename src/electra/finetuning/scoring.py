"""Evaluate a model on held-out examples, and tune its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from electra.evaluation.answers import answer_all
from electra.finetuning.notices import without_notices
from electra.metrics.task_metrics import Outcomes
from electra.tasks.inputs.texts import read_answers
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.validation import require_one_of

Example = dict[str, Any]

THRESHOLDS = np.arange(1, 100) / 100
FEW = 32
"""As many examples tell which scores a task has."""


def outcomes(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> Outcomes:
    """The model's answers to the examples beside the expected ones.

    That examples are truncated was logged when they were read, and is not logged with every evaluation.
    """
    task = task.for_scoring()
    with without_notices():
        return task.outcomes(answer_all(model, tokenizer, task, examples), examples)


def score(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> dict[str, float]:
    """The task's metrics by name."""
    return outcomes(model, tokenizer, task, examples).scores()


def require_metric(
    model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example], metric: str
) -> None:
    """Refuse a metric that the task does not compute for these examples.

    The scores of a few examples nearly always show it; all of them are scored only before a metric is refused.

    Raises:
        ValueError: there is no such metric; the message lists those of the task.
    """
    scores: dict[str, float] = {}
    for some in (examples[:FEW], examples):
        scores = score(model, tokenizer, task, some)
        if metric in scores:
            return
    require_one_of("metric", metric, scores, f"these are the scores of {task.name} for these examples")


def with_threshold(
    model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example], metric: str | None = None
) -> tuple[str, float, dict[str, float]] | None:
    """Tune the task's threshold for the best score on the examples.

    With several labels per text it is the score from which a label counts; for questions of which some have no answer,
    the log odds above which no answer is given.

    Args:
        model: answers the examples.
        tokenizer: the model's.
        task: what the examples are for.
        examples: to tune on.
        metric: the score to maximise; by default, and where no threshold changes it, the task's main score.

    Returns:
        The name of the task's option, its best value, and the scores with it; None for a task without a threshold.
    """
    scoring = task.for_scoring()
    if isinstance(scoring, TextClassification) and scoring.problem == "multi_label_classification":
        answers = answer_all(model, tokenizer, scoring, examples)
        name, threshold = "decision_threshold", best_decision(scoring, answers, examples, metric)
    elif isinstance(scoring, QuestionAnswering) and not all(map(read_answers, examples)):
        answers = answer_all(model, tokenizer, scoring, examples)
        by = metric if metric in ("exact", "f1") else "f1"
        name, threshold = "no_answer_threshold", scoring.outcomes(answers, examples).best_threshold(by)
    else:
        return None
    return name, threshold, scoring.with_options(**{name: threshold}).outcomes(answers, examples).scores()


def best_decision(
    task: TextClassification, answers: Sequence[Any], examples: Sequence[Example], metric: str | None = None
) -> float:
    """The threshold from 0.01 to 0.99 with the best score (`metric` or the main one); on ties the closest to 0.5."""

    def value(threshold: float) -> tuple[float, float]:
        at_threshold = replace(task, decision_threshold=threshold).outcomes(answers, examples)
        return at_threshold.scores()[metric or at_threshold.main], -abs(threshold - 0.5)

    return max(map(float, THRESHOLDS), key=value)
