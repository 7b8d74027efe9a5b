"""Whether probabilities mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from electra.evaluation.calibration import BINS, Calibration, calibration
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification


def test_bins_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    probability = np.concatenate([draw.random(500), [0.0, 0.1, 0.5, 1.0]])
    holds = draw.random(504) < probability**2
    shares, means = calibration_curve(holds, probability, n_bins=BINS)
    found = Calibration(probability, holds).bins()
    assert [mean for _, mean, _ in found] == pytest.approx(means.tolist(), abs=0.01)  # one on an edge is in another bin
    assert [share for _, _, share in found] == pytest.approx(shares.tolist(), abs=0.02)
    assert sum(count for count, _, _ in found) == 504


def test_the_expected_error() -> None:
    """Eight answers at 0.9 of which four are right, and two at 0.25 of which one is."""
    found = Calibration(np.array([0.9] * 8 + [0.25] * 2), np.array([True, False] * 5))
    assert found.error == pytest.approx(0.8 * 0.4 + 0.2 * 0.25)
    assert Calibration(np.array([1.0, 0.0]), np.array([True, False])).error == 0


def test_what_the_probabilities_of_each_task_are_of() -> None:
    single = TextClassification(labels=("a", "b"))
    found = calibration(
        single, [{"label": "a"}, {"label": "a"}], [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.6}]
    )
    assert found is not None
    assert (found.probability.tolist(), found.correct.tolist()) == ([0.9, 0.6], [True, False])
    several = TextClassification(labels=("a", "b"), problem_type="multi_label_classification")
    found = calibration(several, [{"label": ["b"]}], [[{"label": "b", "score": 0.7}, {"label": "a", "score": 0.2}]])
    assert found is not None
    assert (found.probability.tolist(), found.correct.tolist()) == ([0.2, 0.7], [False, True])
    words = TokenClassification(labels=("O", "B-X"))
    said = [{"entity": "B-X", "score": 0.8, "start": 0}, {"entity": "O", "score": 0.7, "start": 2}]
    said.append({"entity": "B-X", "score": 0.9, "start": 4})  # the rest of the second word
    found = calibration(words, [{"tokens": ["a", "bcd"], "tags": ["O", "O"]}], [said])
    assert found is not None
    assert (found.probability.tolist(), found.correct.tolist()) == ([0.8, 0.7], [False, True])
    choices = [{"label": 1, "choice": "y", "score": 0.6}, {"label": 0, "choice": "x", "score": 0.4}]
    found = calibration(MultipleChoice(), [{"text": "t", "choices": ["x", "y"], "label": "B"}], [choices])
    assert found is not None
    assert (found.probability.tolist(), found.correct.tolist()) == ([0.6], [True])
    numbers = TextClassification(labels=("LABEL_0",), problem_type="regression")
    assert calibration(numbers, [{"label": 1.0}], [{"label": "LABEL_0", "score": 0.5}]) is None
    assert calibration(QuestionAnswering(), [], []) is None
