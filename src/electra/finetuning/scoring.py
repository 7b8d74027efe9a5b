"""How good a model is on examples that it did not learn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from electra.predict import predict
from electra.tasks.answers import AnswerOutcomes
from electra.tasks.metrics import Outcomes
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.task import LabelledTask
from electra.tasks.text_classification import TextClassification

Example = dict[str, Any]

THRESHOLDS = np.arange(1, 100) / 100
TELLING = ("matthews", "f1", "micro_f1", "pearson")
"""Scores that are 0, or no number, where a model gives the same answer to everything or finds nothing."""


def outcomes(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> Outcomes:
    """Predict and compare."""
    task = task.for_scoring()
    return task.outcomes(list(predict(model, tokenizer, task, examples)), examples)


def score(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> dict[str, float]:
    """Predict and compare: the task's metrics by name."""
    return outcomes(model, tokenizer, task, examples).scores()


def tells_nothing(scores: Mapping[str, float]) -> bool:
    """Whether these are the scores of a model that gives one answer to everything, as far as scores say that."""
    found = next((scores[name] for name in TELLING if name in scores), None)
    return found is not None and (found == 0 or math.isnan(found))


def best_threshold(
    model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]
) -> tuple[str, float] | None:
    """The task's option that is a threshold, and its value with the best main score; None where there is none.

    For several labels it is the score from which on one is said; for questions of which some have no answer, the log
    odds above which none is given.
    """
    scoring = task.for_scoring()
    if isinstance(scoring, TextClassification) and scoring.problem == "multi_label_classification":
        answers = list(predict(model, tokenizer, scoring, examples))
        return "decision_threshold", best_decision(scoring, answers, examples)
    if isinstance(scoring, QuestionAnswering):
        found = outcomes(model, tokenizer, task, examples)
        if isinstance(found, AnswerOutcomes) and not found.answerable.all():
            return "no_answer_threshold", found.best_threshold()
    return None


def best_decision(task: TextClassification, answers: Sequence[Any], examples: Sequence[Example]) -> float:
    """Of 0.01 to 0.99, the threshold with the best main score; of several, the one closest to the usual 0.5."""

    def value(threshold: float) -> tuple[float, float]:
        found = replace(task, decision_threshold=threshold).outcomes(answers, examples)
        return found.scores()[found.main], -abs(threshold - 0.5)

    return max(map(float, THRESHOLDS), key=value)
