"""Figures of merit: scikit-learn's and seqeval's, imported when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any


def single_label_scores(predicted: Sequence[int], expected: Sequence[int], labels: int) -> dict[str, float]:
    """Accuracy, F1 averaged over the labels, and Matthews' correlation; label numbers below `labels`."""
    metrics = _library("sklearn.metrics")
    every = list(range(labels))
    return {
        "accuracy": float(metrics.accuracy_score(expected, predicted)),
        "macro_f1": float(metrics.f1_score(expected, predicted, labels=every, average="macro", zero_division=0)),
        "matthews": float(metrics.matthews_corrcoef(expected, predicted)),
    }


def multi_label_scores(predicted: Sequence[Sequence[int]], expected: Sequence[Sequence[int]]) -> dict[str, float]:
    """F1 over all decisions and averaged over the labels, and how often all of an example's labels are right."""
    metrics = _library("sklearn.metrics")
    return {
        "micro_f1": float(metrics.f1_score(expected, predicted, average="micro", zero_division=0)),
        "macro_f1": float(metrics.f1_score(expected, predicted, average="macro", zero_division=0)),
        "accuracy": float(metrics.accuracy_score(expected, predicted)),
    }


def regression_scores(predicted: Sequence[float], expected: Sequence[float]) -> dict[str, float]:
    """Pearson's and Spearman's correlation, and the mean squared error."""
    metrics, statistics = _library("sklearn.metrics"), _library("scipy.stats")
    return {
        "pearson": float(statistics.pearsonr(predicted, expected).statistic),
        "spearman": float(statistics.spearmanr(predicted, expected).statistic),
        "mean_squared_error": float(metrics.mean_squared_error(expected, predicted)),
    }


def entity_scores(predicted: list[list[str]], expected: list[list[str]]) -> dict[str, float]:
    """Precision, recall and F1 of whole entities (as conlleval counts them), and the accuracy of the tags."""
    metrics = _library("seqeval.metrics")
    return {
        "f1": float(metrics.f1_score(expected, predicted, zero_division=0)),
        "precision": float(metrics.precision_score(expected, predicted, zero_division=0)),
        "recall": float(metrics.recall_score(expected, predicted, zero_division=0)),
        "accuracy": float(metrics.accuracy_score(expected, predicted)),
    }


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        package = {"sklearn": "scikit-learn", "scipy": "scikit-learn"}.get(name.split(".")[0], name.split(".")[0])
        raise ImportError(
            f"scores are computed by {package}, which is not here: pip install 'electra[train]'"
        ) from error
