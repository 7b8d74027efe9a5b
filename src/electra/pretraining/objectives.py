"""Replaced-token detection and masked language modelling: what is asked of either one's networks and outputs."""

from __future__ import annotations

from torch import Tensor

from electra.batch import Layout
from electra.models.base import ElectraPreTrainedModel
from electra.objective.masked_language_modeling import MaskedLanguageModeling, MaskedLanguageModelingOutput
from electra.objective.replaced_token_detection import ReplacedTokenDetection, ReplacedTokenDetectionOutput
from electra.pretraining.monitoring.pretraining_metrics import (
    Statistics,
    discriminator_statistics,
    generator_statistics,
    masked_statistics,
)

Networks = ReplacedTokenDetection | MaskedLanguageModeling
Output = ReplacedTokenDetectionOutput | MaskedLanguageModelingOutput


def statistics(found: Output, layout: Layout) -> Statistics:
    """What one batch, laid out so, says of the networks' learning: name -> [], sums and counts."""
    masked = found.masked
    if isinstance(found, MaskedLanguageModelingOutput):
        return masked_statistics(
            found.loss, found.generator_logits, masked.original_ids, masked.weights, layout.count_real()
        )
    return {
        **generator_statistics(
            found.generator_loss, found.generator_logits, masked.original_ids, found.sampled_ids, masked.weights
        ),
        **discriminator_statistics(
            found.discriminator_loss, found.discriminator_logits, found.labels, layout.real_tokens()
        ),
    }


def share_of_loss(networks: Networks, found: Output, layout: Layout, whole: Tensor) -> Tensor:
    """What a part adds to the loss of the whole batch, whose means are over its tokens and masked slots, whole [2]."""
    tokens, slots = whole
    generator: Tensor = found.generator_loss * ((found.masked.weights.sum() + 1e-6) / (slots + 1e-6))
    if isinstance(found, MaskedLanguageModelingOutput) or isinstance(networks, MaskedLanguageModeling):
        return generator
    discriminator = found.discriminator_loss * (layout.count_real() / tokens)
    loss: Tensor = networks.generator_weight * generator + networks.discriminator_weight * discriminator
    return loss


def published(networks: Networks) -> dict[str, ElectraPreTrainedModel]:
    """The networks that become model folders, by the folder's name."""
    if isinstance(networks, MaskedLanguageModeling):
        return {"model": networks.generator}
    return {"discriminator": networks.discriminator, "generator": networks.generator}
