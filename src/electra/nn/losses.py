"""What training makes small. Every loss is a mean over what counts, and 0 where nothing counts."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from electra.batch import Layout

IGNORED = -100
"""A label that does not count."""


def replaced_token_loss(scores: Tensor, labels: Tensor, real: Tensor | None = None) -> Tensor:
    """Binary cross-entropy over the real tokens: scores [T], labels [T] (1 replaced, 0 original), real bool [T] -> [].

    Labels of -100 do not count. Google's code: run_pretraining.py, _get_discriminator_output.
    """
    counts = labels != IGNORED
    if real is not None:
        counts = counts & real
    losses = F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype), reduction="none")
    return losses.masked_fill(~counts, 0).sum() / counts.sum().clamp(min=1)


def token_loss(scores: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
    """Cross-entropy: scores [T, K], labels int64 [T] with -100 not counted -> []. `items`: divide the sum by this."""
    total = F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
    return total / ((labels != IGNORED).sum().clamp(min=1) if items is None else items)


def weighted_token_loss(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy with a weight for each: scores [M, V], labels [M], weights [M] -> [].

    Google's code: run_pretraining.py, _get_masked_lm_output.
    """
    losses = F.cross_entropy(scores.float(), labels, reduction="none")
    return (weights * losses).sum() / (weights.sum() + 1e-6)


def next_token_labels(labels: Tensor, layout: Layout) -> Tensor:
    """Each token's label becomes the next token's; the last of a row has none: [T] -> [T]."""
    shifted = labels.roll(-1)
    return shifted.index_fill(0, layout.last_tokens(labels.device), IGNORED)


def row_loss(scores: Tensor, labels: Tensor, problem_type: str) -> Tensor:
    """The loss of a row classifier: scores [B, K] and labels [B] or [B, K] by problem type -> []."""
    if problem_type == "regression":
        return F.mse_loss(scores.squeeze(-1), labels.to(scores.dtype).view(scores.squeeze(-1).shape))
    if problem_type == "single_label_classification":
        return token_loss(scores, labels.view(-1))
    return F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))


def problem_type_of(labels: Tensor, num_labels: int) -> str:
    """What the labels say where the configuration does not."""
    if num_labels == 1:
        return "regression"
    return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"


def span_loss(start: Tensor, end: Tensor, start_positions: Tensor, end_positions: Tensor, layout: Layout) -> Tensor:
    """Where the answer begins and ends: scores [T] each, positions [B] each (column in the row) -> [].

    A position outside its row does not count. transformers also ignores positions past the row, but trains
    negative ones as position 0.
    """
    total = scores_loss(start, start_positions, layout) + scores_loss(end, end_positions, layout)
    return total / 2


def scores_loss(scores: Tensor, positions: Tensor, layout: Layout) -> Tensor:
    """Cross-entropy over each row's tokens: scores [T], positions [B] -> []."""
    positions = positions.view(-1)
    inside = (positions >= 0) & (positions < layout.row_lengths(scores.device))
    grid = layout.pad(scores, torch.finfo(scores.dtype).min)
    return token_loss(grid, positions.where(inside, IGNORED))
