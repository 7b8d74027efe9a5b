"""How sure scores are: bootstrap intervals, and whether one model is better than another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from electra.metrics.task_metrics import Outcomes, needed

PERMUTATIONS = 9999
AT_ONCE = 2**22
"""Numbers of all permutations that are in memory together."""


def intervals(
    outcomes: Outcomes, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """For each score the interval that holds `confidence` of what other examples of the same kind would give.

    Bootstrap percentiles: the examples are drawn anew, with replacement, `resamples` times (Efron and Tibshirani 1993,
    "An introduction to the bootstrap", chapter 13).
    """
    return _percentiles(outcomes.resampled(_draws(len(outcomes), resamples, seed)), confidence)


def difference(
    one: Outcomes, other: Outcomes, *, resamples: int = 1000, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """For each score the interval of how much better `one` is than `other` on the same examples (paired bootstrap)."""
    first, second = (each.resampled(_draws(len(each), resamples, seed)) for each in (one, other))
    return _percentiles({name: first[name] - second[name] for name in first if name in second}, confidence)


def paired_test(one: Outcomes, other: Outcomes, *, seed: int = 0) -> dict[str, Any]:
    """Whether the answers of two models to the same examples differ by more than chance, and `p`.

    Where an answer is right or wrong, McNemar's exact test of the examples on which one model alone is right; else a
    permutation test of the mean difference of how right the answers are.
    """
    statistics = needed("scipy.stats")
    first, second = one.rightness(), other.rightness()
    counts = {"better": int((first > second).sum()), "worse": int((first < second).sum())}
    differ = counts["better"] + counts["worse"]
    if not differ:
        return {"test": "none: every answer is as right as the other's", **counts, "p": 1.0}
    if set(np.unique([first, second])) <= {0.0, 1.0}:
        found = statistics.binomtest(counts["better"], differ)
        return {"test": "McNemar's, exact", **counts, "p": float(found.pvalue)}
    test: Callable[..., Any] = statistics.permutation_test
    found = test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        vectorized=True,
        permutation_type="samples",
        n_resamples=PERMUTATIONS,
        batch=max(1, AT_ONCE // len(first)),
        rng=np.random.default_rng(seed),
    )
    return {"test": "paired permutation", **counts, "p": float(found.pvalue)}


def _draws(examples: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Numbers of examples, as many as there are, drawn with replacement."""
    resample, state = needed("sklearn.utils").resample, np.random.RandomState(seed)
    every = np.arange(examples)
    with needed("sklearn").config_context(skip_parameter_validation=True):
        for _ in range(resamples):
            yield resample(every, random_state=state)


def _percentiles(drawn: Mapping[str, np.ndarray], confidence: float) -> dict[str, tuple[float, float]]:
    """A score that cannot be computed of some draw (NaN) has no part in that draw."""
    tail = (1 - confidence) / 2
    found = {}
    for name, values in drawn.items():
        known = values[np.isfinite(values)]
        if len(known):
            low, high = np.quantile(known, [tail, 1 - tail])
            found[name] = (float(low), float(high))
    return found
