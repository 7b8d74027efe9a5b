"""The metrics of pretraining: sums and counts that add up over batches, and the metrics computed from them

The statistics of many batches (or of the parts of one, or of many processes) are the sum of theirs, and nothing has to
leave the device before the metrics are read.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from electra.batch import Layout
from electra.objective.masked_language_modeling import MaskedLanguageModeling, MaskedLanguageModelingOutput
from electra.pretraining.networks import Networks, Output

Statistics = dict[str, Tensor]

# the metrics of a line in the log, and their short names there
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


def statistics(output: Output, layout: Layout) -> Statistics:
    """The sums and counts of one batch of this layout, each [], by name."""
    masked = output.masked
    if isinstance(output, MaskedLanguageModelingOutput):
        return masked_statistics(
            output.loss, output.generator_logits, masked.original_ids, masked.weights, layout.count_real()
        )
    return {
        **generator_statistics(
            output.generator_loss, output.generator_logits, masked.original_ids, output.sampled_ids, masked.weights
        ),
        **discriminator_statistics(
            output.discriminator_loss, output.discriminator_logits, output.labels, layout.real_tokens()
        ),
    }


def loss_of_part(networks: Networks, output: Output, layout: Layout, whole: Tensor) -> Tensor:
    """What a part of a batch adds to the loss of the whole batch: [].

    The losses are means over tokens and masked slots, so each is weighted by the part's fraction of them.

    Args:
        whole: the tokens and masked slots of the whole batch, float32 [2].
    """
    tokens, slots = whole
    generator: Tensor = output.generator_loss * ((output.masked.weights.sum() + 1e-6) / (slots + 1e-6))
    if isinstance(output, MaskedLanguageModelingOutput) or isinstance(networks, MaskedLanguageModeling):
        return generator
    discriminator = output.discriminator_loss * (layout.count_real() / tokens)
    loss: Tensor = networks.generator_weight * generator + networks.discriminator_weight * discriminator
    return loss


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
    """Of masked language modelling on one batch of so many tokens -> name: []."""
    values = generator_statistics(loss, logits, original_ids, original_ids, weights)
    del values["generator_sampled_correct"]  # nothing is sampled
    return {**values, "tokens": torch.ones_like(values["masked"]) * tokens}


@torch.no_grad()
def discriminator_statistics(loss: Tensor, logits: Tensor, labels: Tensor, real: Tensor | None = None) -> Statistics:
    """Of the discriminator on one batch: loss [] (mean), logits, labels [T] (1: replaced) -> name: [].

    Args:
        real: bool [T], which tokens count; by default all. Padding must not: Google's metrics count it, as easy
            negatives that flatter the area under the curve.
    """
    replaced, called, tokens = labels == 1, logits > 0, torch.full_like(labels[:1], labels.numel())[0]
    if real is not None:
        replaced, called, tokens = replaced & real, called & real, real.sum()
        logits = logits.masked_fill(~real, float("inf"))  # ranked above every real token
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

    The rank sum of Mann and Whitney in whole numbers: exact, of fixed shape (it can be compiled), and without a
    transfer to the host. A tie is half a pair.

    Args:
        count: [], the number of real tokens; the others have infinite scores.
    """
    ordered = scores.float().sort().values
    below = torch.searchsorted(ordered, scores.float(), right=False)
    up_to = torch.searchsorted(ordered, scores.float(), right=True)
    positives = positive.sum()
    twice_ranks = ((below + up_to + 1) * positive).sum()
    return twice_ranks - positives * (positives + 1), positives * (count - positives)


def metrics_of(totals: Mapping[str, float]) -> dict[str, float | None]:
    """The metrics of summed statistics; None for one that is not defined. Masked language modelling has the first two.

    - `generator_loss`, `discriminator_loss`: means over masked slots and over tokens;
    - `generator_accuracy`: of the likeliest token; `generator_sampled_accuracy`: of the sampled one;
    - `replaced`: the fraction of tokens that were replaced, the base rate to compare the next four with;
    - `discriminator_accuracy`, `_precision`, `_recall`: of calling a token replaced above probability 0.5;
    - `discriminator_auc`: the probability that a replaced token is scored above an original one of the same batch
      (chance: 0.5).
    """
    if "replaced" not in totals:
        return {
            "generator_loss": _ratio(totals["generator_loss_sum"], totals["masked"]),
            "generator_accuracy": _ratio(totals["generator_correct"], totals["masked"]),
        }
    tokens, replaced, called, hits = (totals[name] for name in ("tokens", "replaced", "called", "found"))
    return {
        "generator_loss": _ratio(totals["generator_loss_sum"], totals["masked"]),
        "generator_accuracy": _ratio(totals["generator_correct"], totals["masked"]),
        "generator_sampled_accuracy": _ratio(totals["generator_sampled_correct"], totals["masked"]),
        "discriminator_loss": _ratio(totals["discriminator_loss_sum"], tokens),
        "discriminator_accuracy": _ratio(tokens - replaced - called + 2 * hits, tokens),
        "discriminator_auc": _ratio(totals["half_wins"], 2 * totals["pairs"]),
        "discriminator_precision": _ratio(hits, called),
        "discriminator_recall": _ratio(hits, replaced),
        "replaced": _ratio(replaced, tokens),
    }


def summary(metrics: Mapping[str, float | None]) -> str:
    """The main metrics in a line, each with a short name; one that is not defined is a dash."""
    shown = ((short, metrics[name]) for name, short in _SHOWN.items() if name in metrics)
    return "  ".join(f"{short} {'-' if value is None else format(value, '.3f')}" for short, value in shown)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
