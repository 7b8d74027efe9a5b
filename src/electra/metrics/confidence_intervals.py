"""Confidence intervals of scores, and tests of whether one model is better than another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from electra.metrics.task_metrics import Outcomes
from electra.validation import import_extra

PERMUTATIONS = 9999
AT_ONCE = 2**22
"""How many numbers of all permutations are in memory together."""


def intervals(
    outcomes: Outcomes, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The confidence interval of each score: what other examples of the same kind would give.

    Of a score that is a fraction of the examples, such as accuracy, it is Clopper and Pearson's exact one (1934, "The
    use of confidence or fiducial limits illustrated in the case of the binomial"). Of other scores it is made of
    bootstrap percentiles: the examples are sampled with replacement, `resamples` times (Efron and Tibshirani 1993, "An
    introduction to the bootstrap", chapter 13). Where every resample has the best (or worst) possible score, which says
    nothing of other examples, the other end is the exact one of all (or no) examples being right.

    Args:
        outcomes: the answers to the examples.
        resamples: how many samples.
        confidence: how much of them the interval contains, between 0 and 1.
        seed: of the sampling.

    Returns:
        (low, high) by the name of the score; scores that are NaN in every resample are missing.
    """
    found = _percentiles(outcomes.resampled(_resamples(len(outcomes), resamples, seed)), confidence)
    proportions = outcomes.proportions()
    for name in found:
        bounds = outcomes.bounds(name)
        if bounds is None:
            continue
        lowest, highest = bounds
        if name in proportions and len(proportions[name]):
            correct, count = int(proportions[name].sum()), len(proportions[name])
        elif found[name] == (highest, highest):
            correct, count = len(outcomes), len(outcomes)
        elif found[name] == (lowest, lowest):
            correct, count = 0, len(outcomes)
        else:
            continue
        low, high = exact_interval(correct, count, confidence)
        found[name] = lowest + (highest - lowest) * low, lowest + (highest - lowest) * high
    return found


def exact_interval(correct: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper and Pearson's interval of a probability, from `correct` of `count` independent trials."""
    statistics = import_extra("scipy.stats", "train", "scoring")
    interval = statistics.binomtest(correct, count).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def difference(
    one: Outcomes, other: Outcomes, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """For each score the interval of how much better `one` is than `other` on the same examples (paired bootstrap)."""
    first, second = (each.resampled(_resamples(len(each), resamples, seed)) for each in (one, other))
    return _percentiles({name: first[name] - second[name] for name in first if name in second}, confidence)


def paired_test(one: Outcomes, other: Outcomes, *, seed: int = 0) -> dict[str, Any]:
    """Whether the answers of two models to the same examples differ by more than chance.

    Where an answer is either correct or not, McNemar's exact test of the examples on which one model alone is correct;
    else a permutation test of the mean difference of how correct the answers are.

    Returns:
        `test` (its name), `better` and `worse` (on how many examples `one` is), and `p`.
    """
    statistics = import_extra("scipy.stats", "train", "scoring")
    first, second = one.correctness(), other.correctness()
    counts = {"better": int((first > second).sum()), "worse": int((first < second).sum())}
    differ = counts["better"] + counts["worse"]
    if not differ:
        return {"test": "none: every answer is as right as the other's", **counts, "p": 1.0}
    if set(np.unique([first, second])) <= {0.0, 1.0}:
        result = statistics.binomtest(counts["better"], differ)
        return {"test": "McNemar's, exact", **counts, "p": float(result.pvalue)}
    test: Callable[..., Any] = statistics.permutation_test
    result = test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        vectorized=True,
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        batch=max(1, AT_ONCE // len(first)),  # all permutations of 10,000 examples at once would take 7 GB
        rng=np.random.default_rng(seed),
    )
    return {"test": "paired permutation", **counts, "p": float(result.pvalue)}


def _resamples(examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Indices of as many examples as there are, sampled with replacement."""
    resample = import_extra("sklearn.utils", "train", "scoring").resample
    state, every = np.random.RandomState(seed), np.arange(examples)
    # checking the parameters takes longer than the sampling
    with import_extra("sklearn", "train", "scoring").config_context(skip_parameter_validation=True):
        for _ in range(resamples):
            yield resample(every, random_state=state)


def _percentiles(resampled: Mapping[str, np.ndarray], confidence: float) -> dict[str, tuple[float, float]]:
    """The interval of each score, without the resamples in which it cannot be computed (NaN)."""
    tail = (1 - confidence) / 2
    found = {}
    for name, values in resampled.items():
        finite = values[np.isfinite(values)]
        if len(finite):
            low, high = np.quantile(finite, [tail, 1 - tail])
            found[name] = (float(low), float(high))
    return found
