"""How good a model is on examples that it did not learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from electra.finetuning.notices import without_notices
from electra.inference.predictor import predict
from electra.metrics.task_metrics import Outcomes
from electra.tasks.inputs.texts import read_answers
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.task import LabelledTask, suggestion
from electra.tasks.text_classification import TextClassification

Example = dict[str, Any]

THRESHOLDS = np.arange(1, 100) / 100
FEW = 32


def outcomes(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> Outcomes:
    """Predict and compare. How many examples are cut is said when they are read, and not with every evaluation."""
    task = task.for_scoring()
    with without_notices():
        return task.outcomes(list(predict(model, tokenizer, task, examples)), examples)


def score(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> dict[str, float]:
    """Predict and compare: the task's metrics by name."""
    return outcomes(model, tokenizer, task, examples).scores()


def require_metric(
    model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example], metric: str
) -> None:
    """Refuse a score to choose by that the task does not have of these examples, whatever the model has learnt.

    A few of them tell at once what the scores are, as a rule; only before it is refused are all of them asked.

    Raises:
        ValueError: there is no such score; the message has those there are.
    """
    for asked in (examples[:FEW], examples):
        found = score(model, tokenizer, task, asked)
        if metric in found:
            return
    raise ValueError(
        f"the metric is {metric!r}: {task.name} has no such score for these examples{suggestion(metric, list(found))}"
    )


def with_threshold(
    model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example], metric: str | None = None
) -> tuple[str, float, dict[str, float]] | None:
    """The task's option that is a threshold, its value with the best main score, and the scores with it.

    None where there is none. For several labels it is the score from which on one is said; for questions of which some
    have no answer, the log odds above which none is given. metric: the score to choose by, if it is not the task's own
    main one; where no threshold moves it, the threshold is chosen by that.
    """
    scoring = task.for_scoring()
    if isinstance(scoring, TextClassification) and scoring.problem == "multi_label_classification":
        answers = list(predict(model, tokenizer, scoring, examples))
        name, threshold = "decision_threshold", best_decision(scoring, answers, examples, metric)
    elif isinstance(scoring, QuestionAnswering) and not all(map(read_answers, examples)):
        answers = list(predict(model, tokenizer, scoring, examples))
        chosen_by = metric if metric in ("exact", "f1") else "f1"
        name, threshold = "no_answer_threshold", scoring.outcomes(answers, examples).best_threshold(chosen_by)
    else:
        return None
    return name, threshold, scoring.with_options(**{name: threshold}).outcomes(answers, examples).scores()


def best_decision(
    task: TextClassification, answers: Sequence[Any], examples: Sequence[Example], metric: str | None = None
) -> float:
    """Of 0.01 to 0.99, the threshold with the best main score (`metric`); of several, the one closest to 0.5."""

    def value(threshold: float) -> tuple[float, float]:
        found = replace(task, decision_threshold=threshold).outcomes(answers, examples)
        return found.scores()[metric or found.main], -abs(threshold - 0.5)

    return max(map(float, THRESHOLDS), key=value)
