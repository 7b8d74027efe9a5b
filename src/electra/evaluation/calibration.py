"""Whether probabilities mean what they say: of answers given with 0.8, are four in five right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.task import LabelledTask
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Probabilities, float [m], and whether what was given them is so, bool [m]."""

    probability: np.ndarray
    holds: np.ndarray

    def bins(self) -> list[tuple[int, float, float]]:
        """How many there are, their mean probability and the share that is so: of each tenth of 0 to 1 that has any."""
        number = np.minimum((self.probability * BINS).astype(int), BINS - 1)
        chosen = (number == each for each in range(BINS))
        return [
            (int(some.sum()), float(self.probability[some].mean()), float(self.holds[some].mean()))
            for some in chosen
            if some.any()
        ]

    @property
    def error(self) -> float:
        """The expected calibration error: how far probability and share are apart, the mean over bins by their size.

        Guo and others 2017, "On calibration of modern neural networks", equation 3.
        """
        return sum(count * abs(mean - share) for count, mean, share in self.bins()) / len(self.holds)


@singledispatch
def calibration(task: LabelledTask[Any], examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """Of the answers that `for_scoring()` gave; None for a task whose scores are no probabilities."""
    return None


@calibration.register
def _(task: TextClassification, examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """Of one label, its probability; of several, that of each."""
    if task.problem == "regression":
        return None
    right = [task.target(example) for example in examples]
    if task.problem == "single_label_classification":
        said = [answer["label"] == task.labels[label] for answer, label in zip(answers, right, strict=True)]  # type: ignore[index]
        return _of([answer["score"] for answer in answers], said)
    by_label = [{each["label"]: each["score"] for each in answer} for answer in answers]
    return _of([scores[label] for scores in by_label for label in task.labels], np.ravel(right) > 0)


@calibration.register
def _(task: TokenClassification, examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    """Of each word's label."""
    said = [word for pair in zip(answers, examples, strict=True) for word in task.words_said(*pair)]
    right = [task.labels[tag] for example in examples for tag in task.target(example)]
    return _of([score for _, score in said], [label == tag for (label, _), tag in zip(said, right, strict=True)])


@calibration.register
def _(task: MultipleChoice, examples: Sequence[Any], answers: Sequence[Any]) -> Calibration | None:
    right = map(right_choice, examples)
    said = [choices[0]["label"] == label for choices, label in zip(answers, right, strict=True)]
    return _of([choices[0]["score"] for choices in answers], said)


def _of(probability: Any, holds: Any) -> Calibration | None:
    return Calibration(np.asarray(probability, dtype=float), np.asarray(holds, dtype=bool)) if len(holds) else None
