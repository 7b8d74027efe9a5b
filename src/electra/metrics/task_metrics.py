"""Figures of merit: scikit-learn's and seqeval's, imported when they are asked for.

What a model said of labelled examples, beside what is right, is an `Outcomes`: it has scores of all examples or of some
of them (a bootstrap draws those), and says how right each answer is (paired tests compare that).
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from operator import eq
from typing import Any, ClassVar

import numpy as np

from electra.metrics.bootstrap_counts import correlation, f1, label_scores, ranks, share, totals

IOB2_PREFIXES = {"B", "I", "O"}
OUTSIDE = "O"
"""The label of what belongs to no entity."""
LESS_IS_BETTER = frozenset({"mean_squared_error"})
"""Of all other scores, the more, the better."""


class Outcomes(ABC):
    """What was said of each of n examples, and what is right."""

    main: ClassVar[str]
    """The name of the score that says most in one figure; the more, the better."""

    @abstractmethod
    def __len__(self) -> int:
        """How many examples."""

    @abstractmethod
    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """Metrics by name, of the examples with these numbers (one may come several times); None: of all."""

    @abstractmethod
    def rightness(self) -> np.ndarray:
        """[n]: how right each answer is by itself; the more, the better."""

    def by_class(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and support for each label; nothing where there are none."""
        return {}

    def confusion(self) -> tuple[tuple[str, ...], np.ndarray] | None:
        """Names, and how often what is one of them (the row) was taken for one of them (the column): int [K, K].

        None where answers are no names.
        """
        return None

    def resampled(self, draws: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Each score of every draw of examples: what `scores` says of it, up to rounding, but quickly for many."""
        rows = [self.scores(chosen) for chosen in draws]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


@dataclass(frozen=True)
class LabelOutcomes(Outcomes):
    """One of the labels for each of m decisions: numbers of labels, int [m].

    `owner`, int [m]: the example that each decision is of, in rising order, where an example has several (a sentence's
    words); `count` is then how many examples there are.
    """

    main: ClassVar[str] = "accuracy"

    predicted: np.ndarray
    expected: np.ndarray
    labels: tuple[str, ...]
    owner: np.ndarray | None = None
    count: int | None = None

    def __len__(self) -> int:
        return len(self.expected) if self.count is None else self.count

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """Accuracy, F1 averaged over the labels, Matthews' correlation and, of two labels, the second one's F1."""
        metrics = needed("sklearn.metrics")
        expected, predicted, times = self._decisions(chosen)
        every = list(range(len(self.labels)))
        each = metrics.f1_score(expected, predicted, labels=every, average=None, zero_division=0, sample_weight=times)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A single label was found")  # Matthews' correlation is 0 then
            matthews = metrics.matthews_corrcoef(expected, predicted, sample_weight=times)
        accuracy = metrics.accuracy_score(expected, predicted, sample_weight=times)
        found = {"accuracy": accuracy, "macro_f1": each.mean(), "matthews": matthews}
        return _floats(found | ({"f1": each[1]} if len(self.labels) == 2 else {}))

    def _decisions(self, chosen: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every pair of a right and a said label that there is, and how often: what scores are computed from."""
        times = None if chosen is None else np.bincount(chosen, minlength=len(self))
        if times is not None and self.owner is not None:
            times = times[self.owner]
        cells = np.bincount(self.expected * len(self.labels) + self.predicted, weights=times)
        (pairs,) = cells.nonzero()
        return pairs // len(self.labels), pairs % len(self.labels), cells[pairs]

    def resampled(self, draws: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how often a draw has each pair of a right and a said label."""
        count = len(self.labels)
        pairs, number = np.unique(self.expected * count + self.predicted, return_inverse=True)
        times = totals(np.arange(len(self)) if self.owner is None else self.owner, number, len(self), draws)
        return label_scores(times, pairs // count, pairs % count, count)

    def rightness(self) -> np.ndarray:
        """Whether a decision is right; of several, the share that is (1 of none)."""
        right = _booleans(self.predicted == self.expected)
        if self.owner is None:
            return right
        total = np.bincount(self.owner, minlength=len(self))
        return np.where(total > 0, np.bincount(self.owner, right, minlength=len(self)) / np.maximum(total, 1), 1.0)

    def by_class(self) -> dict[str, dict[str, float]]:
        metrics = needed("sklearn.metrics")
        found = metrics.precision_recall_fscore_support(
            self.expected, self.predicted, labels=list(range(len(self.labels))), zero_division=0
        )
        return _table(self.labels, found)

    def confusion(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Of the labels."""
        return self.labels, _confusion(self.expected, self.predicted, range(len(self.labels)))


def word_outcomes(
    predicted: Sequence[Sequence[int]], expected: Sequence[Sequence[int]], labels: tuple[str, ...]
) -> LabelOutcomes:
    """One of the labels for each word of each example."""
    owner = np.repeat(np.arange(len(expected)), list(map(len, expected)))
    said, right = (np.fromiter(chain.from_iterable(side), dtype=int) for side in (predicted, expected))
    return LabelOutcomes(said, right, labels, owner, len(expected))


@dataclass(frozen=True)
class SetOutcomes(Outcomes):
    """Any of the labels for each: bool [n, K]."""

    main: ClassVar[str] = "micro_f1"

    predicted: np.ndarray
    expected: np.ndarray
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """F1 over all decisions and averaged over the labels, and how often all of an example's labels are right."""
        metrics = needed("sklearn.metrics")
        expected, predicted = _of(self.expected, chosen).astype(int), _of(self.predicted, chosen).astype(int)
        each: dict[str, Any] = {"labels": self._columns(), "zero_division": 0}
        return _floats(
            {
                "micro_f1": metrics.f1_score(expected, predicted, average="micro", **each),
                "macro_f1": metrics.f1_score(expected, predicted, average="macro", **each),
                "accuracy": metrics.accuracy_score(expected, predicted),
            }
        )

    def _columns(self) -> list[int] | None:
        """What scikit-learn is to count: all columns; a single one it takes for two labels, of which 1 is ours."""
        return [1] if len(self.labels) == 1 else None

    def resampled(self, draws: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how often a draw has each label found, said and right."""
        counted = [self.predicted & self.expected, self.predicted, self.expected, self.rightness()[:, None] > 0]
        example, number = np.hstack(counted).nonzero()
        columns = 3 * len(self.labels) + 1
        times = totals(example, number, len(self), draws, columns)
        found, said, right = np.split(times[:, :-1], 3, axis=1)
        return {
            "micro_f1": f1(found.sum(-1), said.sum(-1), right.sum(-1)),
            "macro_f1": f1(found, said, right).mean(-1),
            "accuracy": times[:, -1] / len(self),
        }

    def rightness(self) -> np.ndarray:
        return _booleans((self.predicted == self.expected).all(-1))

    def by_class(self) -> dict[str, dict[str, float]]:
        metrics = needed("sklearn.metrics")
        expected, predicted = self.expected.astype(int), self.predicted.astype(int)
        found = metrics.precision_recall_fscore_support(expected, predicted, labels=self._columns(), zero_division=0)
        return _table(self.labels, found)


@dataclass(frozen=True)
class NumberOutcomes(Outcomes):
    """A number for each, or several: float [n] or [n, K]."""

    main: ClassVar[str] = "pearson"

    predicted: np.ndarray
    expected: np.ndarray

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """Pearson's and Spearman's correlation, and the mean squared error.

        Where all numbers are the same, or there is only one, correlations are NaN.
        """
        expected, predicted = _of(self.expected, chosen).ravel(), _of(self.predicted, chosen).ravel()
        error = needed("sklearn.metrics").mean_squared_error(expected, predicted)
        return _floats({**_correlations(predicted, expected), "mean_squared_error": error})

    def resampled(self, draws: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how often a draw has each number."""
        expected, predicted = self.expected.ravel(), self.predicted.ravel()
        places = [np.unique(each, return_inverse=True)[1] for each in (predicted, expected)]
        errors, width = np.square(predicted - expected), len(expected) // len(self)
        found = []
        for chosen in draws:
            times = np.repeat(np.bincount(chosen, minlength=len(self)), width)
            pearson = correlation(predicted, expected, times)
            spearman = correlation(ranks(places[0], times), ranks(places[1], times), times)
            found.append((pearson, spearman, times @ errors / times.sum()))
        return dict(zip(("pearson", "spearman", "mean_squared_error"), np.array(found).T, strict=True))

    def rightness(self) -> np.ndarray:
        """Minus the squared error."""
        errors = np.square(self.predicted - self.expected).reshape(len(self), -1).mean(-1)
        return np.asarray(-errors)


@dataclass(frozen=True)
class EntityOutcomes(Outcomes):
    """Entities, from tags such as O, B-PER and I-PER for each word of each example."""

    main: ClassVar[str] = "f1"

    predicted: Sequence[Sequence[str]]
    expected: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """Precision, recall and F1 of whole entities, F1 as conlleval counts, and the accuracy of the tags.

        The first three are strict: an entity begins with B-. conlleval takes an I- that follows nothing of its type
        for a beginning too. Tags of other schemes than IOB2 are counted as conlleval does.
        """
        metrics = needed("seqeval.metrics")
        picked = range(len(self)) if chosen is None else chosen
        expected, predicted = ([list(tags[i]) for i in picked] for tags in (self.expected, self.predicted))
        found = {
            name: getattr(metrics, f"{name}_score")(expected, predicted, zero_division=0, **self._strictness())
            for name in ("f1", "precision", "recall")
        }
        found["conlleval_f1"] = metrics.f1_score(expected, predicted, zero_division=0)
        return _floats({**found, "accuracy": metrics.accuracy_score(expected, predicted)})

    def _strictness(self) -> dict[str, Any]:
        prefixes = {tag[:1] for tags in chain(self.predicted, self.expected) for tag in tags}
        return {"mode": "strict", "scheme": needed("seqeval.scheme").IOB2} if prefixes <= IOB2_PREFIXES else {}

    def resampled(self, draws: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From how many entities of each example were found, were said and are right, strictly and as conlleval does;
        and how many of its tags are right, of how many."""
        strict = self._strictness().get("scheme")
        counts = []
        for right, said in zip(self.expected, self.predicted, strict=True):
            entities = [*_entity_counts(right, said, strict), *_entity_counts(right, said, None)]
            counts.append([*entities, sum(map(eq, right, said)), len(right)])
        table = np.array(counts)
        times = np.stack([table[chosen].sum(0) for chosen in draws])
        found, said, right, *loose, same, tags = times.T
        return {
            "f1": f1(found, said, right),
            "precision": share(found, said),
            "recall": share(found, right),
            "conlleval_f1": f1(*loose),
            "accuracy": share(same, tags),
        }

    def rightness(self) -> np.ndarray:
        """Whether all tags of an example are right."""
        return _booleans([list(a) == list(b) for a, b in zip(self.predicted, self.expected, strict=True)])

    def by_class(self) -> dict[str, dict[str, float]]:
        metrics = needed("seqeval.metrics")
        expected, predicted = ([list(tags) for tags in side] for side in (self.expected, self.predicted))
        found = metrics.classification_report(
            expected, predicted, output_dict=True, zero_division=0, **self._strictness()
        )
        return {
            label: _floats({_REPORT_NAMES[name]: value for name, value in row.items()})
            for label, row in found.items()
            if not label.endswith(" avg")
        }

    def confusion(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Of the kinds of entity that the words belong to; O: none."""
        expected, predicted = ([tag[2:] or tag for tag in chain(*side)] for side in (self.expected, self.predicted))
        kinds = sorted({*expected, *predicted}, key=lambda kind: (kind != OUTSIDE, kind))
        return tuple(kinds), _confusion(expected, predicted, kinds)


@dataclass(frozen=True)
class ChoiceOutcomes(Outcomes):
    """Which of its choices for each example: int [n]."""

    main: ClassVar[str] = "accuracy"

    predicted: np.ndarray
    expected: np.ndarray

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        """Accuracy."""
        accuracy = needed("sklearn.metrics").accuracy_score
        return _floats({"accuracy": accuracy(_of(self.expected, chosen), _of(self.predicted, chosen))})

    def resampled(self, draws: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        right = self.rightness()
        return {"accuracy": np.array([right[chosen].mean() for chosen in draws])}

    def rightness(self) -> np.ndarray:
        return _booleans(self.predicted == self.expected)


def _correlations(predicted: np.ndarray, expected: np.ndarray) -> dict[str, Any]:
    """Pearson's and Spearman's, of two numbers or more."""
    if len(expected) < 2:
        return {"pearson": np.nan, "spearman": np.nan}
    statistics = needed("scipy.stats")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", statistics.ConstantInputWarning)  # NaN says it
        return {
            "pearson": statistics.pearsonr(predicted, expected).statistic,
            "spearman": statistics.spearmanr(predicted, expected).statistic,
        }


def _entity_counts(expected: Sequence[str], predicted: Sequence[str], scheme: Any) -> tuple[int, int, int]:
    """How many entities of one example were found, were said, and are right."""
    right, said = (_entities(list(tags), scheme) for tags in (expected, predicted))
    return len(right & said), len(said), len(right)


def _entities(tags: list[str], scheme: Any) -> set[Any]:
    if scheme is None:
        return set(needed("seqeval.metrics.sequence_labeling").get_entities(tags))
    found = needed("seqeval.scheme").Entities([tags], scheme)
    return {(entity.tag, entity.start, entity.end) for entity in found.entities[0]}


def _confusion(expected: Any, predicted: Any, names: Sequence[Any]) -> np.ndarray:
    found: np.ndarray = needed("sklearn.metrics").confusion_matrix(expected, predicted, labels=list(names))
    return found


def _of(values: np.ndarray, chosen: np.ndarray | None) -> np.ndarray:
    return values if chosen is None else values[chosen]


def _booleans(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=float)


def _floats(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


_REPORT_NAMES = {"precision": "precision", "recall": "recall", "f1-score": "f1", "support": "support"}


def _table(labels: Sequence[str], columns: Sequence[Any]) -> dict[str, dict[str, float]]:
    rows = zip(*columns, strict=True)
    return {
        label: _floats(dict(zip(_REPORT_NAMES.values(), row, strict=True)))
        for label, row in zip(labels, rows, strict=True)
    }


def needed(name: str) -> Any:
    """A module that scores are computed by; an `ImportError` that says how to install it."""
    try:
        return import_module(name)
    except ImportError as error:
        package = {"sklearn": "scikit-learn", "scipy": "scikit-learn"}.get(name.split(".")[0], name.split(".")[0])
        raise ImportError(
            f"scores are computed by {package}, which is not here: pip install 'electra[train]'"
        ) from error
