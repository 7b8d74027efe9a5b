"""SQuAD metrics, as its official scripts compute them (evaluate-v1.1.py, evaluate-v2.0.py)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from electra.metrics.task_metrics import Outcomes

Compare = Callable[[str, str], float]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(answer: str) -> str:
    """Lowercased, without ASCII punctuation and articles, with single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact(predicted: str, expected: str) -> float:
    """1 if both are equal once normalised, else 0."""
    return float(normalised(predicted) == normalised(expected))


def overlap(predicted: str, expected: str) -> float:
    """F1 of the words of both, once normalised; where one is empty, 1 if both are and else 0."""
    predicted_words, expected_words = normalised(predicted).split(), normalised(expected).split()
    if not predicted_words or not expected_words:
        return float(predicted_words == expected_words)
    common = (Counter(predicted_words) & Counter(expected_words)).total()
    return 2 * common / (len(predicted_words) + len(expected_words))


_MEASURES: dict[str, Compare] = {"exact": exact, "f1": overlap}


@dataclass(frozen=True)
class AnswerOutcomes(Outcomes):
    """The best answer to each of n questions, and the log odds that it has none.

    Attributes:
        raw: each metric of the best answers, before the threshold: [n].
        answered: whether the best answer is not empty: bool [n].
        answerable: whether the question has an answer: bool [n].
        no_answer: log odds that there is no answer: [n].
        threshold: where `no_answer` is above it, no answer is given.
    """

    main: ClassVar[str] = "f1"

    raw: dict[str, np.ndarray]
    answered: np.ndarray
    answerable: np.ndarray
    no_answer: np.ndarray
    threshold: float

    @classmethod
    def of(
        cls, predicted: Sequence[str], no_answer: Sequence[float], expected: Sequence[Sequence[str]], threshold: float
    ) -> Self:
        """From predicted and expected answers.

        Args:
            predicted: the best answer to each question that is not empty, where there is one.
            no_answer: the log odds that there is no answer.
            expected: the right answers to each question; none where it has no answer.
            threshold: of `no_answer`.
        """
        pairs = [(answer, _gold_answers(answers)) for answer, answers in zip(predicted, expected, strict=True)]
        raw = {
            name: np.array([max(compare(answer, gold) for gold in answers) for answer, answers in pairs])
            for name, compare in _MEASURES.items()
        }
        answered, answerable = (np.array([bool(each) for each in side], dtype=bool) for side in (predicted, expected))
        return cls(raw, answered, answerable, np.asarray(no_answer, dtype=float), threshold)

    def __len__(self) -> int:
        return len(self.answerable)

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """In percent, under the official names.

        Where some questions have no answer, also `HasAns_…` and `NoAns_…` of the two kinds of question, and `best_…`,
        what the best threshold would have given.
        """
        picked = np.arange(len(self)) if indices is None else indices
        judged = {name: self._judged(name)[picked] for name in _MEASURES}
        found = {name: _percent(values) for name, values in judged.items()}
        if self.answerable.all():
            return found
        for name, values in judged.items():
            found[f"HasAns_{name}"] = _percent(values[self.answerable[picked]])
            found[f"NoAns_{name}"] = _percent(values[~self.answerable[picked]])
            found[f"best_{name}"] = 100 * float(self._totals(name, picked)[0].max()) / len(picked)
        return found

    def best_threshold(self, name: str = "f1") -> float:
        """The threshold with which `exact` or `f1` of these questions is highest.

        It is midway between the odds of the last question that is answered and of the next one, so that rounding moves
        no question to the other side. Where it is best to answer all or none, it is 1 above or below all odds. (The
        official script takes the odds of the last question that is answered, and 0 where that is none.)
        """
        totals, odds = self._totals(name, np.arange(len(self)))
        separable = np.concatenate([[True], odds[1:] > odds[:-1], [True]])  # equal odds are on the same side
        best = int(np.where(separable, totals, -np.inf).argmax())
        between = np.concatenate([odds[:1] - 1, (odds[1:] + odds[:-1]) / 2, odds[-1:] + 1])
        return float(between[best])

    def proportions(self) -> dict[str, np.ndarray]:
        exact = self._judged("exact") > 0
        if self.answerable.all():
            return {"exact": exact}
        no_answer = exact[~self.answerable]  # such a question is answered rightly or not, there is nothing between
        return {
            "exact": exact,
            "HasAns_exact": exact[self.answerable],
            "NoAns_exact": no_answer,
            "NoAns_f1": no_answer,
        }

    def bounds(self, name: str) -> tuple[float, float]:
        return 0.0, 100.0

    def correctness(self) -> np.ndarray:
        return self._judged("f1")

    def confusion_matrix(self) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Which questions with and without an answer were answered; None where all have one."""
        if self.answerable.all():
            return None
        answered = self.answered & (self.no_answer <= self.threshold)
        cells = 2 * (~self.answerable).astype(int) + ~answered
        return ("an answer", "no answer"), np.bincount(cells, minlength=4).reshape(2, 2)

    def _judged(self, name: str) -> np.ndarray:
        """[n]: the metric of the answers that are given with the threshold."""
        return np.where(self.no_answer > self.threshold, ~self.answerable, self.raw[name])

    def _totals(self, name: str, picked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum of the metric if the most certain 0 to m questions are answered, [m + 1], and the sorted odds, [m].

        Answering a question adds its metric, and costs 1 where it has no answer.
        """
        gains = np.where(self.answerable, self.raw[name], -self.answered.astype(float))[picked]
        order = np.argsort(self.no_answer[picked], kind="stable")
        totals = (~self.answerable[picked]).sum() + np.concatenate([[0.0], np.cumsum(gains[order])])
        return totals, self.no_answer[picked][order]


def _percent(values: np.ndarray) -> float:
    """100 times the mean; NaN of nothing."""
    return 100 * float(values.mean()) if len(values) else float("nan")


def _gold_answers(expected: Sequence[str]) -> list[str]:
    """The answers that are not empty once normalised; a single empty one if there are none (as the official script)."""
    return [answer for answer in expected if normalised(answer)] or [""]
