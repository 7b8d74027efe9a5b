"""What tells whether replaced-token detection learns: counts that add up over batches, and the figures made of them.

Every statistic is a sum or a count, so the statistics of many batches (or of the parts of one, or of many processes)
are their sum, and nothing has to leave the device before somebody reads the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

Statistics = dict[str, Tensor]


# what is shown of the figures, and how it is called there
_SHOWN = {
    "loss": "loss",
    "generator_loss": "generator",
    "generator_accuracy": "accuracy",
    "discriminator_loss": "discriminator",
    "discriminator_auc": "AUC",
    "discriminator_precision": "precision",
    "discriminator_recall": "recall",
    "replaced": "replaced",
}


class Diverged(ValueError):
    """The loss or a weight is no longer a finite number: there is nothing to gain by going on.

    step: after which it was noticed. what: "the loss", "a weight". checkpoint: the last good one. rate: the highest
    learning rate.
    """

    def __init__(self, step: int, what: str, checkpoint: Path | None, rate: float) -> None:
        kept = f"The last good checkpoint is {checkpoint}" if checkpoint else "There was no checkpoint yet"
        super().__init__(
            f"after step {step} {what} is no longer a finite number, so the run was stopped. {kept}. Start a new run "
            f"with a lower learning_rate (it was {rate:g}), more warmup_steps, or precision float32"
        )


@torch.no_grad()
def generator_statistics(
    loss: Tensor, logits: Tensor, original_ids: Tensor, sampled_ids: Tensor, weights: Tensor
) -> Statistics:
    """Of the generator on one batch: loss [] (mean), logits [M, V], ids and weights [M] (0: unused) -> name: []."""
    used = weights > 0
    return {
        "masked": used.sum(),
        "generator_loss_sum": loss.detach().float() * used.sum(),
        "generator_correct": ((logits.argmax(-1) == original_ids) & used).sum(),
        "generator_sampled_correct": ((sampled_ids == original_ids) & used).sum(),
    }


@torch.no_grad()
def masked_statistics(
    loss: Tensor, logits: Tensor, original_ids: Tensor, weights: Tensor, tokens: int | Tensor
) -> Statistics:
    """Of a network that learns to guess masked tokens and nothing else, on one batch of so many tokens -> name: []."""
    found = generator_statistics(loss, logits, original_ids, original_ids, weights)
    del found["generator_sampled_correct"]  # nothing is sampled
    return {**found, "tokens": torch.ones_like(found["masked"]) * tokens}


@torch.no_grad()
def discriminator_statistics(loss: Tensor, logits: Tensor, labels: Tensor, real: Tensor | None = None) -> Statistics:
    """Of the discriminator on one batch: loss [] (mean), logits, labels [T] (1: replaced) -> name: [].

    real: bool [T], which tokens count, by default all. Padding must not: Google's figures count it, as easy negatives
    that flatter the area under the curve.
    """
    replaced, called, tokens = labels == 1, logits > 0, torch.full_like(labels[:1], labels.numel())[0]
    if real is not None:
        replaced, called, tokens = replaced & real, called & real, real.sum()
        logits = logits.masked_fill(~real, float("inf"))  # above every token, so in no token's way
    wins, pairs = _ordered_pairs(logits, replaced, tokens)
    return {
        "tokens": tokens,
        "discriminator_loss_sum": loss.detach().float() * tokens,
        "replaced": replaced.sum(),
        "called": called.sum(),
        "found": (called & replaced).sum(),
        "half_wins": wins,
        "pairs": pairs,
    }


def _ordered_pairs(scores: Tensor, positive: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """scores [T], positive [T] bool -> twice the (positive, negative) pairs in the right order, and all such pairs.

    count: [], how many tokens there are; what is above that has infinite scores.

    A tie is half a pair. The rank sum of Mann and Whitney in whole numbers: exact, of fixed shape, no word to the host.
    """
    ordered = scores.float().sort().values
    below = torch.searchsorted(ordered, scores.float(), right=False)
    up_to = torch.searchsorted(ordered, scores.float(), right=True)
    positives = positive.sum()
    twice_ranks = ((below + up_to + 1) * positive).sum()
    return twice_ranks - positives * (positives + 1), positives * (count - positives)


def figures(totals: Mapping[str, float]) -> dict[str, float | None]:
    """The figures to report, from summed statistics as plain numbers; None for one that is not defined.

    Of masked language modelling there are the first two.

    - `generator_loss`, `discriminator_loss`: means over masked slots and over tokens;
    - `generator_accuracy`: of the likeliest token; `generator_sampled_accuracy`: of the sampled one;
    - `replaced`: the share of tokens that were replaced, the base rate that the next four have to be held against;
    - `discriminator_accuracy`, `_precision`, `_recall`: of calling a token replaced above probability 0.5;
    - `discriminator_auc`: the probability that a replaced token is scored above an original one of the same batch
      (chance: 0.5).
    """
    if "replaced" not in totals:
        return {
            "generator_loss": _ratio(totals["generator_loss_sum"], totals["masked"]),
            "generator_accuracy": _ratio(totals["generator_correct"], totals["masked"]),
        }
    tokens, replaced, called, found = (totals[name] for name in ("tokens", "replaced", "called", "found"))
    return {
        "generator_loss": _ratio(totals["generator_loss_sum"], totals["masked"]),
        "generator_accuracy": _ratio(totals["generator_correct"], totals["masked"]),
        "generator_sampled_accuracy": _ratio(totals["generator_sampled_correct"], totals["masked"]),
        "discriminator_loss": _ratio(totals["discriminator_loss_sum"], tokens),
        "discriminator_accuracy": _ratio(tokens - replaced - called + 2 * found, tokens),
        "discriminator_auc": _ratio(totals["half_wins"], 2 * totals["pairs"]),
        "discriminator_precision": _ratio(found, called),
        "discriminator_recall": _ratio(found, replaced),
        "replaced": _ratio(replaced, tokens),
    }


def summary(found: Mapping[str, float | None]) -> str:
    """The main figures in a line, each with a short name; what is not defined is a dash."""
    shown = ((short, found[name]) for name, short in _SHOWN.items() if name in found)
    return "  ".join(f"{short} {'-' if value is None else format(value, '.3f')}" for short, value in shown)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
