"""When a fit has failed, so that it is to be begun again with another seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from electra.finetuning.loss_options import single_labels
from electra.tasks.task import TrainingItem

STEPS_TO_LEARN = 50  # a fit of fewer steps is not called a failure, whatever it learnt
UNLEARNT = 0.98  # a loss above this share of what it costs to know nothing is that of a model that learnt nothing
TELLING = ("matthews", "f1", "micro_f1", "pearson")
"""Scores that are 0, or no number, where a model gives the same answer to everything or finds nothing."""


class Diverged(Exception):
    """The loss is no longer a number."""


def tells_nothing(scores: Mapping[str, float]) -> bool:
    """Whether these are the scores of a model that gives one answer to everything, as far as scores say that."""
    found = next((scores[name] for name in TELLING if name in scores), None)
    return found is not None and (found == 0 or math.isnan(found))


def nothing_learnt(
    scores: Mapping[str, float], losses: Sequence[float], items: Sequence[TrainingItem], steps: int
) -> str | None:
    """Why a fit of so many steps is a failure, if it is: the loss is that of knowing nothing, and so are the answers.

    losses: the mean ones between two reports, in their order.
    """
    if steps < STEPS_TO_LEARN or len(losses) < 2 or not tells_nothing(scores):
        return None
    nothing = _loss_of_frequencies(items) or losses[0]
    if losses[-1] < UNLEARNT * nothing:
        return None
    return f"it learnt nothing: the loss is {losses[-1]:.3f}, and {nothing:.3f} without reading the texts"


def _loss_of_frequencies(items: Sequence[TrainingItem]) -> float | None:
    """What knowing only how frequent the labels are costs, in nats; None where labels are no classes."""
    labels = single_labels(items)
    if labels is None:
        return None
    shares = torch.bincount(labels).double() / max(1, len(labels))
    return float(-(shares[shares > 0].log() * shares[shares > 0]).sum())
