"""Answers to questions, compared as SQuAD's official scripts do (evaluate-v1.1.py, evaluate-v2.0.py)."""

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
    """Lower-cased, without punctuation (of ASCII) and articles, and with single spaces."""
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION)).split())


def exact(predicted: str, expected: str) -> float:
    """1 if both are the same once normalised, else 0."""
    return float(normalised(predicted) == normalised(expected))


def overlap(predicted: str, expected: str) -> float:
    """F1 of the words that both have, once normalised; of an empty answer, whether both are empty."""
    said, right = normalised(predicted).split(), normalised(expected).split()
    if not said or not right:
        return float(said == right)
    common = (Counter(said) & Counter(right)).total()
    return 2 * common / (len(said) + len(right))


_MEASURES: dict[str, Compare] = {"exact": exact, "f1": overlap}


@dataclass(frozen=True)
class AnswerOutcomes(Outcomes):
    """The best answer to each question, and how much speaks for there being none.

    Attributes:
        raw: how right the best answers are, by each measure, whatever speaks for there being none: [n].
        said: whether the best answer is one, and not empty: bool [n].
        answerable: whether there is an answer: bool [n].
        no_answer: the more, the likelier that there is none: [n].
        threshold: where `no_answer` is above it, no answer is given.
    """

    main: ClassVar[str] = "f1"

    raw: dict[str, np.ndarray]
    said: np.ndarray
    answerable: np.ndarray
    no_answer: np.ndarray
    threshold: float

    @classmethod
    def of(
        cls, predicted: Sequence[str], no_answer: Sequence[float], expected: Sequence[Sequence[str]], threshold: float
    ) -> Self:
        """From the best answers that are not empty, where there are such, and the right ones of every question."""
        pairs = [(said, _golden(right)) for said, right in zip(predicted, expected, strict=True)]
        raw = {
            name: np.array([max(compare(said, gold) for gold in golden) for said, golden in pairs])
            for name, compare in _MEASURES.items()
        }
        said, answerable = (np.array([bool(each) for each in side], dtype=bool) for side in (predicted, expected))
        return cls(raw, said, answerable, np.asarray(no_answer, dtype=float), threshold)

    def __len__(self) -> int:
        return len(self.answerable)

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """In percent, under the official names; where some questions have no answer, also

        `HasAns_…` and `NoAns_…` of the two kinds apart, and `best_…`, what the best threshold would have given.
        """
        picked = np.arange(len(self)) if chosen is None else chosen
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
        """The threshold with which `exact` or `f1` of these questions would be highest.

        It is midway between the last one that is answered and the next, so that no rounding moves a question to its
        other side. Where it is best to answer all or none, it is 1 above or below all of theirs. (The official script
        takes the odds of the last one that is answered, and calls it 0 where that is none.)
        """
        totals, odds = self._totals(name, np.arange(len(self)))
        apart = np.concatenate([[True], odds[1:] > odds[:-1], [True]])  # equal odds are on the same side
        best = int(np.where(apart, totals, -np.inf).argmax())
        between = np.concatenate([odds[:1] - 1, (odds[1:] + odds[:-1]) / 2, odds[-1:] + 1])
        return float(between[best])

    def rightness(self) -> np.ndarray:
        return self._judged("f1")

    def confusion(self) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Of questions with an answer and those without, where there are both: which were answered."""
        if self.answerable.all():
            return None
        answered = self.said & (self.no_answer <= self.threshold)
        cells = 2 * (~self.answerable).astype(int) + ~answered
        return ("an answer", "no answer"), np.bincount(cells, minlength=4).reshape(2, 2)

    def _judged(self, name: str) -> np.ndarray:
        """[n]: how right the answers are that are given with the threshold."""
        return np.where(self.no_answer > self.threshold, ~self.answerable, self.raw[name])

    def _totals(self, name: str, picked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much is right if the 0, 1, … m surest of m questions are answered: [m + 1], and their odds in order, [m].

        Each gains what its answer is worth, and loses an unanswerable question.
        """
        gains = np.where(self.answerable, self.raw[name], -self.said.astype(float))[picked]
        order = np.argsort(self.no_answer[picked], kind="stable")
        totals = (~self.answerable[picked]).sum() + np.concatenate([[0.0], np.cumsum(gains[order])])
        return totals, self.no_answer[picked][order]


def _percent(values: np.ndarray) -> float:
    """100 times the mean; NaN of nothing."""
    return 100 * float(values.mean()) if len(values) else float("nan")


def _golden(expected: Sequence[str]) -> list[str]:
    """The right answers of which something is left once they are normalised; an empty one if there are none."""
    return [answer for answer in expected if normalised(answer)] or [""]
