"""Scores of many draws, from how often each draw has what is counted.

scikit-learn needs milliseconds for each draw of a bootstrap. These are the same figures, which a test holds against it;
the scores themselves are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def totals(
    example: np.ndarray, number: np.ndarray, examples: int, draws: Iterable[np.ndarray], columns: int | None = None
) -> np.ndarray:
    """How often each draw has each thing: float [draws, columns].

    example, number: int [m]: which of the examples has one, and of which thing. draws: numbers of examples.
    """
    size = columns or int(number.max(initial=0)) + 1
    return np.stack(
        [np.bincount(number, np.bincount(chosen, minlength=examples)[example], minlength=size) for chosen in draws]
    )


def label_scores(times: np.ndarray, right: np.ndarray, said: np.ndarray, labels: int) -> dict[str, np.ndarray]:
    """Accuracy, F1 averaged over the labels, Matthews' correlation and, of two labels, the second one's F1.

    times: [draws, pairs], how often each pair of a right and a said label came; right, said: [pairs], its labels.
    """
    every = np.arange(labels)
    by_right, by_said = times @ (right[:, None] == every), times @ (said[:, None] == every)
    found = times @ ((right[:, None] == every) & (said == right)[:, None])
    each, count = f1(found, by_said, by_right), times.sum(-1)
    scores = {
        "accuracy": share(found.sum(-1), count),
        "macro_f1": each.mean(-1),
        "matthews": matthews(found.sum(-1), by_said, by_right, count),
    }
    return scores | ({"f1": each[:, 1]} if labels == 2 else {})


def matthews(found: np.ndarray, said: np.ndarray, right: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Matthews' correlation of several labels (Gorodkin 2004, "Comparing two K-category assignments by a K-category
    correlation coefficient"): found, count [draws]; said, right [draws, labels]; 0 where one label is all there is."""
    spread = [count**2 - (each**2).sum(-1) for each in (said, right)]
    return share(found * count - (said * right).sum(-1), np.sqrt(spread[0] * spread[1]))


def f1(found: np.ndarray, said: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The harmonic mean of found / said and found / right; 0 where there is neither."""
    return share(2 * found, said + right)


def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    quotient: np.ndarray = np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole != 0)
    return quotient


def correlation(one: np.ndarray, other: np.ndarray, times: np.ndarray) -> float:
    """Pearson's of pairs, each counted so often: [m] each; NaN where one of the two is the same in all that are."""
    if not all(np.ptp(each[times > 0]) for each in (one, other)):
        return float("nan")
    first, second = (each - np.average(each, weights=times) for each in (one, other))
    return float(times @ (first * second) / np.sqrt((times @ first**2) * (times @ second**2)))


def ranks(place: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The rank of each value among all, each counted so often; of equal ones the mean of theirs.

    place, times: int [m]: which of the different values each is, in rising order.
    """
    equal = np.bincount(place, times)
    found: np.ndarray = (np.cumsum(equal) - (equal - 1) / 2)[place]
    return found
