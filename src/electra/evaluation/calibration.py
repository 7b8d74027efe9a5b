"""Calibration: are the probabilities of a model the fractions of its answers that are correct?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from electra.tasks.labelled_task import LabelledTask
from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """The probabilities of m predictions, and whether each is correct.

    Attributes:
        probability: float [m].
        correct: bool [m].
    """

    probability: np.ndarray
    correct: np.ndarray

    def bins(self) -> list[tuple[int, float, float]]:
        """Of each tenth of the range 0 to 1 that has predictions: their count, mean probability and accuracy."""
        bin_index = np.minimum((self.probability * BINS).astype(int), BINS - 1)
        masks = (bin_index == each for each in range(BINS))
        return [
            (int(mask.sum()), float(self.probability[mask].mean()), float(self.correct[mask].mean()))
            for mask in masks
            if mask.any()
        ]

    @property
    def error(self) -> float:
        """The expected calibration error: the distance of mean probability and accuracy, averaged over all predictions.

        Guo et al. 2017, "On calibration of modern neural networks", equation 3.
        """
        return sum(count * abs(mean - accuracy) for count, mean, accuracy in self.bins()) / len(self.correct)


@singledispatch
def calibration(task: LabelledTask[Any], examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """The calibration of the answers of `task.for_scoring()`; None for a task whose scores are no probabilities."""
    return None


@calibration.register
def _(task: TextClassification, examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """The probability of the predicted label; with several labels per example, that of each."""
    if task.problem == "regression":
        return None
    targets = [task.target(example) for example in examples]
    if task.problem == "single_label_classification":
        correct = [answer["label"] == task.labels[label] for answer, label in zip(answers, targets, strict=True)]  # type: ignore[index]
        return _calibration([answer["score"] for answer in answers], correct)
    by_label = [{each["label"]: each["score"] for each in answer} for answer in answers]
    return _calibration([scores[label] for scores in by_label for label in task.labels], np.ravel(targets) > 0)


@calibration.register
def _(task: TokenClassification, examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """The probability of the predicted label of each word."""
    words = [word for pair in zip(answers, examples, strict=True) for word in task.word_labels(*pair)]
    expected = [task.labels[tag] for example in examples for tag in task.target(example)]
    correct = [label == tag for (label, _), tag in zip(words, expected, strict=True)]
    return _calibration([score for _, score in words], correct)


@calibration.register
def _(task: MultipleChoice, examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """The probability of the predicted choice."""
    correct = [choices[0]["label"] == right_choice(example) for choices, example in zip(answers, examples, strict=True)]
    return _calibration([choices[0]["score"] for choices in answers], correct)


def _calibration(probability: Any, correct: Any) -> Calibration | None:
    """None of no predictions."""
    if not len(correct):
        return None
    return Calibration(np.asarray(probability, dtype=float), np.asarray(correct, dtype=bool))
