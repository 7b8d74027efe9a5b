"""Warnings about a fit: classes that are never predicted, a loss at chance, unknown text, a better baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from electra.finetuning.failures import STEPS_TO_LEARN, UNLEARNT, loss_at_chance
from electra.metrics.task_metrics import Outcomes, goodness
from electra.tasks.labelled_task import TrainingItem

MOST_UNKNOWN = 0.05
"""English text has about one unknown piece in a thousand; German on an English vocabulary has one in twelve."""
MOST_NAMES = 8


def never_predicted(outcomes: Outcomes) -> str | None:
    """A warning about the classes that the model never predicts, though examples have them."""
    confusion = outcomes.confusion_matrix()
    if confusion is not None:
        labels, counts = confusion
        never = [i for i in range(len(labels)) if counts[i].any() and not counts[:, i].any()]
        missed = {labels[i]: int(counts[i].sum()) for i in never}
    else:
        by_class = outcomes.by_class().items()
        missed = {label: round(row["support"]) for label, row in by_class if row["support"] and not row["recall"]}
    if not missed:
        return None
    names = ", ".join(f"{label} ({count:,})" for label, count in list(missed.items())[:MOST_NAMES])
    more = f" and {len(missed) - MOST_NAMES} more" if len(missed) > MOST_NAMES else ""
    return (
        f"never predicted, though the evaluation examples have them: {names}{more}. "
        "Try --class-weights balanced, more --epochs, or more examples of them"
    )


def stayed_at_chance(items: Sequence[TrainingItem], losses: Sequence[float], steps: int) -> str | None:
    """A warning that the training loss stayed where knowing only the frequencies of the labels would put it.

    Args:
        items: what was learnt from.
        losses: the mean training loss of each report, in order.
        steps: how many steps were taken.
    """
    chance = loss_at_chance(items)
    if chance is None or chance == 0 or not losses or steps < STEPS_TO_LEARN or losses[-1] < UNLEARNT * chance:
        return None
    return (
        f"the training loss stayed at chance: it is {losses[-1]:.3f}, and {chance:.3f} without reading the texts. "
        "Try another --learning-rate, more --epochs or another --seed, and check that labels and texts belong together"
    )


def unknown_pieces(items: Sequence[TrainingItem], unknown: int | None) -> str | None:
    """A warning that the vocabulary does not know the text.

    Args:
        items: what was learnt from.
        unknown: the id of the unknown token.
    """
    tokens = sum(map(len, items))
    rows = (row.input_ids for item in items for row in item.rows)
    count = sum(int((np.asarray(row) == unknown).sum()) for row in rows) if unknown is not None else 0
    if not tokens or count / tokens < MOST_UNKNOWN:
        return None
    return (
        f"{count / tokens:.1%} of the tokens of the training examples are unknown to the model's vocabulary: "
        "is it made for this language and spelling? Try a model whose vocabulary was trained on such text"
    )


def better_baseline(main: str, scores: Mapping[str, float], baselines: Mapping[str, Mapping[str, Any]]) -> str | None:
    """A warning that a baseline is at least as good as the model, by the main score."""
    score = scores.get(main)
    if score is None or not baselines:
        return None
    name, values = max(baselines.items(), key=lambda each: goodness(main, each[1].get(main, float("nan"))))
    best = values.get(main, float("nan"))
    if not goodness(main, best) >= goodness(main, score) or best != best:
        return None
    return (
        f"a baseline is as good as the model or better: {main} {best:.4f} of {name}, {score:.4f} of the model. "
        "Try more --epochs, another --learning-rate, more examples, or a larger model"
    )
