"""Metrics of each kind of task, by scikit-learn and seqeval, which are imported when they are needed.

A model's predictions beside the expected answers are an `Outcomes`: it computes scores of all examples or of some of
them (a bootstrap samples those), and how correct each answer is (paired tests compare that).
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from electra.metrics.bootstrap_counts import correlation, f1, label_scores, ranks, totals
from electra.validation import import_extra

LOWER_IS_BETTER = frozenset({"mean_squared_error"})
"""Of all other scores, higher is better."""


class Outcomes(ABC):
    """The predicted and the expected answers of n examples."""

    main: ClassVar[str]
    """The name of the main score, by which models are compared; higher is better."""
    confusion_note: ClassVar[str] = "rows: the expected label, columns: the predicted one"
    """How to read the confusion matrix."""

    @abstractmethod
    def __len__(self) -> int:
        """How many examples."""

    @abstractmethod
    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """Metrics by name.

        Args:
            indices: the examples to score, int [m], possibly with repetitions; None: all.
        """

    @abstractmethod
    def correctness(self) -> np.ndarray:
        """[n]: how correct each answer is by itself; higher is better."""

    def proportions(self) -> dict[str, np.ndarray]:
        """The scores that are the fraction of examples for which something holds: whether it does, bool [m]."""
        return {}

    def bounds(self, name: str) -> tuple[float, float] | None:
        """The lowest and the highest value of a score; None where they say nothing of how many answers are correct."""
        return None

    def by_class(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support of each label; empty where there are no labels."""
        return {}

    def confusion_matrix(self) -> tuple[tuple[str, ...], np.ndarray] | None:
        """The labels, and how often each (row) was predicted as each (column): int [K, K].

        None where answers are no labels.
        """
        return None

    def resampled(self, resamples: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Each score of every resample, [resamples]: what `scores` gives, up to rounding, but fast for many.

        Args:
            resamples: the indices of the examples in each resample, int [n].
        """
        rows = [self.scores(indices) for indices in resamples]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True)
class LabelOutcomes(Outcomes):
    """One label for each of m decisions.

    Attributes:
        predicted: indices of labels, int [m].
        expected: the same of the right ones.
        labels: their names.
        owner: int [m], the example of each decision, in rising order, where an example has several (the words of a
            sentence); None: one decision each.
        count: how many examples there are, where `owner` is given.
    """

    main: ClassVar[str] = "accuracy"

    predicted: np.ndarray
    expected: np.ndarray
    labels: tuple[str, ...]
    owner: np.ndarray | None = None
    count: int | None = None

    def __len__(self) -> int:
        return len(self.expected) if self.count is None else self.count

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """Accuracy, macro F1, Matthews correlation and, with two labels, the F1 of the second one."""
        metrics = sklearn_metrics()
        expected, predicted, weights = self._pairs(indices)
        every = list(range(len(self.labels)))
        each = metrics.f1_score(expected, predicted, labels=every, average=None, zero_division=0, sample_weight=weights)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A single label was found")  # the Matthews correlation is 0 then
            matthews = metrics.matthews_corrcoef(expected, predicted, sample_weight=weights)
        accuracy = metrics.accuracy_score(expected, predicted, sample_weight=weights)
        found = {"accuracy": accuracy, "macro_f1": each.mean(), "matthews": matthews}
        return as_floats(found | ({self._f1: each[1]} if len(self.labels) == 2 else {}))

    @property
    def _f1(self) -> str:
        """The name of the second label's F1. That of words must not be taken for that of entities."""
        return "f1" if self.owner is None else "word_f1"

    def _pairs(self, indices: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every pair of an expected and a predicted label that occurs, and how often.

        scikit-learn is asked about these with their counts as weights: K^2 pairs at most, however many examples.
        """
        weights = None if indices is None else np.bincount(indices, minlength=len(self))
        if weights is not None and self.owner is not None:
            weights = weights[self.owner]
        cells = np.bincount(self.expected * len(self.labels) + self.predicted, weights=weights)
        (pairs,) = cells.nonzero()
        return pairs // len(self.labels), pairs % len(self.labels), cells[pairs]

    def resampled(self, resamples: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how often a resample has each pair of an expected and a predicted label."""
        count = len(self.labels)
        pairs, kinds = np.unique(self.expected * count + self.predicted, return_inverse=True)
        counts = totals(np.arange(len(self)) if self.owner is None else self.owner, kinds, len(self), resamples)
        scores = label_scores(counts, pairs // count, pairs % count, count)
        return {self._f1 if name == "f1" else name: values for name, values in scores.items()}

    def correctness(self) -> np.ndarray:
        """Whether a decision is correct; of several, the fraction that is (1 of none)."""
        correct = _correct(self.predicted == self.expected)
        if self.owner is None:
            return correct
        total = np.bincount(self.owner, minlength=len(self))
        return np.where(total > 0, np.bincount(self.owner, correct, minlength=len(self)) / np.maximum(total, 1), 1.0)

    def proportions(self) -> dict[str, np.ndarray]:
        return {"accuracy": self.predicted == self.expected} if self.owner is None else {}

    def bounds(self, name: str) -> tuple[float, float]:
        return (-1.0, 1.0) if name == "matthews" else (0.0, 1.0)

    def by_class(self) -> dict[str, dict[str, float]]:
        metrics = sklearn_metrics()
        columns = metrics.precision_recall_fscore_support(
            self.expected, self.predicted, labels=list(range(len(self.labels))), zero_division=0
        )
        return _by_label(self.labels, columns)

    def confusion_matrix(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Of the labels: int [K, K]."""
        return self.labels, confusion_counts(self.expected, self.predicted, range(len(self.labels)))


def word_outcomes(
    predicted: Sequence[Sequence[int]], expected: Sequence[Sequence[int]], labels: tuple[str, ...]
) -> LabelOutcomes:
    """One label for each word of each example.

    Args:
        predicted: indices of labels, by example and word.
        expected: the same of the right ones.
        labels: their names.
    """
    owner = np.repeat(np.arange(len(expected)), list(map(len, expected)))
    flat = (np.fromiter(chain.from_iterable(side), dtype=int) for side in (predicted, expected))
    of_predicted, of_expected = flat
    return LabelOutcomes(of_predicted, of_expected, labels, owner, len(expected))


@dataclass(frozen=True)
class SetOutcomes(Outcomes):
    """Any number of K labels for each example: bool [n, K]."""

    main: ClassVar[str] = "micro_f1"

    predicted: np.ndarray
    expected: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """Micro and macro F1, and the fraction of examples with exactly the expected labels."""
        metrics = sklearn_metrics()
        expected, predicted = (_selected(side, indices).astype(int) for side in (self.expected, self.predicted))
        each: dict[str, Any] = {"labels": self._columns(), "zero_division": 0}
        return as_floats(
            {
                "micro_f1": metrics.f1_score(expected, predicted, average="micro", **each),
                "macro_f1": metrics.f1_score(expected, predicted, average="macro", **each),
                "accuracy": metrics.accuracy_score(expected, predicted),
            }
        )

    def _columns(self) -> list[int] | None:
        """The columns that scikit-learn counts, by default all: it reads a single one as the two labels 0 and 1."""
        return [1] if len(self.labels) == 1 else None

    def resampled(self, resamples: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how often a resample has each label predicted rightly, predicted, and expected."""
        counted = [self.predicted & self.expected, self.predicted, self.expected, self.correctness()[:, None] > 0]
        owners, kinds = np.hstack(counted).nonzero()
        columns = 3 * len(self.labels) + 1
        counts = totals(owners, kinds, len(self), resamples, columns)
        true_positives, predicted, expected = np.split(counts[:, :-1], 3, axis=1)
        return {
            "micro_f1": f1(true_positives.sum(-1), predicted.sum(-1), expected.sum(-1)),
            "macro_f1": f1(true_positives, predicted, expected).mean(-1),
            "accuracy": counts[:, -1] / len(self),
        }

    def correctness(self) -> np.ndarray:
        return _correct((self.predicted == self.expected).all(-1))

    def proportions(self) -> dict[str, np.ndarray]:
        return {"accuracy": (self.predicted == self.expected).all(-1)}

    def bounds(self, name: str) -> tuple[float, float]:
        return 0.0, 1.0

    def by_class(self) -> dict[str, dict[str, float]]:
        metrics = sklearn_metrics()
        expected, predicted = self.expected.astype(int), self.predicted.astype(int)
        columns = metrics.precision_recall_fscore_support(expected, predicted, labels=self._columns(), zero_division=0)
        return _by_label(self.labels, columns)


@dataclass(frozen=True)
class NumberOutcomes(Outcomes):
    """One number or K numbers for each example: float [n] or [n, K]."""

    main: ClassVar[str] = "pearson"

    predicted: np.ndarray
    expected: np.ndarray

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """Pearson and Spearman correlation, and the mean squared error.

        Correlations of constant numbers, or of a single one, are NaN.
        """
        expected, predicted = (_selected(side, indices).ravel() for side in (self.expected, self.predicted))
        metrics = sklearn_metrics()
        error = metrics.mean_squared_error(expected, predicted)
        return as_floats({**_correlations(predicted, expected), "mean_squared_error": error})

    def resampled(self, resamples: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how often a resample has each number."""
        expected, predicted = self.expected.ravel(), self.predicted.ravel()
        places = [np.unique(each, return_inverse=True)[1] for each in (predicted, expected)]
        errors, width = np.square(predicted - expected), len(expected) // len(self)
        rows = []
        for indices in resamples:
            counts = np.repeat(np.bincount(indices, minlength=len(self)), width)
            pearson = correlation(predicted, expected, counts)
            spearman = correlation(ranks(places[0], counts), ranks(places[1], counts), counts)
            rows.append((pearson, spearman, counts @ errors / counts.sum()))
        return dict(zip(("pearson", "spearman", "mean_squared_error"), np.array(rows).T, strict=True))

    def correctness(self) -> np.ndarray:
        """Minus the squared error."""
        errors = np.square(self.predicted - self.expected).reshape(len(self), -1).mean(-1)
        return np.asarray(-errors)


@dataclass(frozen=True)
class ChoiceOutcomes(Outcomes):
    """The index of one choice for each example: int [n]."""

    main: ClassVar[str] = "accuracy"

    predicted: np.ndarray
    expected: np.ndarray

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """Accuracy."""
        accuracy = sklearn_metrics().accuracy_score
        return as_floats({"accuracy": accuracy(_selected(self.expected, indices), _selected(self.predicted, indices))})

    def resampled(self, resamples: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        correct = self.correctness()
        return {"accuracy": np.array([correct[indices].mean() for indices in resamples])}

    def proportions(self) -> dict[str, np.ndarray]:
        return {"accuracy": self.predicted == self.expected}

    def bounds(self, name: str) -> tuple[float, float]:
        return 0.0, 1.0

    def correctness(self) -> np.ndarray:
        return _correct(self.predicted == self.expected)


def _correlations(predicted: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Pearson and Spearman correlation of float [n] each; NaN of fewer than two numbers."""
    if len(expected) < 2:
        return {"pearson": np.nan, "spearman": np.nan}
    statistics = import_extra("scipy.stats", "train", "scoring")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", statistics.ConstantInputWarning)  # the result is NaN
        return {
            "pearson": statistics.pearsonr(predicted, expected).statistic,
            "spearman": statistics.spearmanr(predicted, expected).statistic,
        }


def confusion_counts(expected: Any, predicted: Any, names: Sequence[Any]) -> np.ndarray:
    counts: np.ndarray = sklearn_metrics().confusion_matrix(expected, predicted, labels=list(names))
    return counts


def _selected(values: np.ndarray, indices: np.ndarray | None) -> np.ndarray:
    return values if indices is None else values[indices]


def _correct(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)


def as_floats(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


REPORT_NAMES = {"precision": "precision", "recall": "recall", "f1-score": "f1", "support": "support"}


def _by_label(labels: Sequence[str], columns: Sequence[Any]) -> dict[str, dict[str, float]]:
    rows = zip(*columns, strict=True)
    return {
        label: as_floats(dict(zip(REPORT_NAMES.values(), row, strict=True)))
        for label, row in zip(labels, rows, strict=True)
    }


def sklearn_metrics() -> Any:
    """scikit-learn's metrics; an `ImportError` with the command that installs it, where it is missing."""
    return import_extra("sklearn.metrics", "train", "scoring")


def goodness(name: str, score: float) -> float:
    """The score, negated where lower is better; NaN counts as the worst."""
    if math.isnan(score):
        return -math.inf
    return -score if name in LOWER_IS_BETTER else score
