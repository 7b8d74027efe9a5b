"""When a fit has failed, so that it is restarted with another seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from electra.finetuning.loss_options import single_labels
from electra.tasks.labelled_task import TrainingItem

STEPS_TO_LEARN = 50
"""A fit of fewer steps is never called a failure."""
UNLEARNT = 0.98
"""A model has learnt nothing if its loss is above this fraction of the loss at chance."""
TELLING = ("matthews", "f1", "word_f1", "micro_f1", "pearson")
"""Scores that are 0 or NaN where a model gives the same answer to everything."""


def tells_nothing(scores: Mapping[str, float]) -> bool:
    """Whether these are the scores of a model that gives the same answer to everything; False where none shows it."""
    score = next((scores[name] for name in TELLING if name in scores), None)
    return score is not None and (score == 0 or math.isnan(score))


def nothing_learnt(
    scores: Mapping[str, float], losses: Sequence[float], items: Sequence[TrainingItem], steps: int
) -> str | None:
    """Why a fit is a failure: the loss stayed at chance, and the model gives the same answer to everything.

    Args:
        scores: of the best evaluation.
        losses: the mean training loss of each report, in order.
        items: what was learnt from.
        steps: how many steps were taken.

    Returns:
        The reason, or None if the fit succeeded.
    """
    if steps < STEPS_TO_LEARN or len(losses) < 2 or not tells_nothing(scores):
        return None
    chance = loss_at_chance(items) or losses[0]
    if losses[-1] < UNLEARNT * chance:
        return None
    return f"it learnt nothing: the loss is {losses[-1]:.3f}, and {chance:.3f} without reading the texts"


def loss_at_chance(items: Sequence[TrainingItem]) -> float | None:
    """The loss of knowing only the labels' frequencies: their entropy in nats; None where they are no classes."""
    labels = single_labels(items)
    if labels is None:
        return None
    frequencies = torch.bincount(labels).double() / max(1, len(labels))
    return float(-(frequencies[frequencies > 0].log() * frequencies[frequencies > 0]).sum())
