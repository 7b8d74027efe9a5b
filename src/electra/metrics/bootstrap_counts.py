"""Scores of many bootstrap resamples at once, from how often each resample contains what is counted.

scikit-learn needs milliseconds per resample. These functions give the same numbers, and a test compares them with it;
the scores that are reported come from scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def totals(
    owners: np.ndarray, kinds: np.ndarray, examples: int, resamples: Iterable[np.ndarray], columns: int | None = None
) -> np.ndarray:
    """How often each resample contains each kind of thing: float [resamples, columns].

    Args:
        owners: int [m], the example that each of m things belongs to.
        kinds: int [m], which kind of thing it is.
        examples: how many examples there are.
        resamples: the indices of the examples in each resample.
        columns: how many kinds there are; by default up to the highest in `kinds`.
    """
    size = columns or int(kinds.max(initial=0)) + 1
    return np.stack(
        [np.bincount(kinds, np.bincount(indices, minlength=examples)[owners], minlength=size) for indices in resamples]
    )


def label_scores(counts: np.ndarray, expected: np.ndarray, predicted: np.ndarray, labels: int) -> dict[str, np.ndarray]:
    """Accuracy, macro F1, Matthews correlation and, with two labels, the F1 of the second one: [resamples] each.

    Args:
        counts: [resamples, pairs], how often each pair of an expected and a predicted label occurs.
        expected: int [pairs], the expected label of each pair.
        predicted: int [pairs], its predicted label.
        labels: how many labels there are.
    """
    every = np.arange(labels)
    of_expected, of_predicted = counts @ (expected[:, None] == every), counts @ (predicted[:, None] == every)
    true_positives = counts @ ((expected[:, None] == every) & (predicted == expected)[:, None])
    each, total = f1(true_positives, of_predicted, of_expected), counts.sum(-1)
    scores = {
        "accuracy": ratio(true_positives.sum(-1), total),
        "macro_f1": each.mean(-1),
        "matthews": matthews(true_positives.sum(-1), of_predicted, of_expected, total),
    }
    return scores | ({"f1": each[:, 1]} if labels == 2 else {})


def matthews(correct: np.ndarray, predicted: np.ndarray, expected: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Matthews correlation of several labels; 0 where only one label occurs.

    Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".

    Args:
        correct: [resamples], how many predictions are correct.
        predicted: [resamples, labels], how often each label was predicted.
        expected: [resamples, labels], how often each label was expected.
        total: [resamples], how many predictions there are.
    """
    spread = [total**2 - (each**2).sum(-1) for each in (predicted, expected)]
    return ratio(correct * total - (predicted * expected).sum(-1), np.sqrt(spread[0] * spread[1]))


def f1(true_positives: np.ndarray, predicted: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The harmonic mean of precision and recall, from counts; 0 where nothing was predicted nor expected."""
    return ratio(2 * true_positives, predicted + expected)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    quotient: np.ndarray = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole != 0)
    return quotient


def correlation(one: np.ndarray, other: np.ndarray, counts: np.ndarray) -> float:
    """Pearson correlation of m pairs, each with its count: [m] each; NaN where one side is constant."""
    if not all(np.ptp(each[counts > 0]) for each in (one, other)):
        return float("nan")
    first, second = (each - np.average(each, weights=counts) for each in (one, other))
    return float(counts @ (first * second) / np.sqrt((counts @ first**2) * (counts @ second**2)))


def ranks(places: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The rank of each of m values, each with its count; equal values have the mean of their ranks.

    Args:
        places: int [m], which of the different values each one is, in rising order.
        counts: int [m].
    """
    equal = np.bincount(places, counts)
    mean_ranks: np.ndarray = (np.cumsum(equal) - (equal - 1) / 2)[places]
    return mean_ranks
