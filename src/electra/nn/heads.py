"""Task heads, from a vector for every token to scores, and their losses: a mean over the labels that count, else 0."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.batch import Layout
from electra.config import ElectraConfig
from electra.nn.activations import activation
from electra.nn.kernels.cpu_kernels import project


def classifier_dropout(config: ElectraConfig) -> nn.Dropout:
    """The dropout before a classifier."""
    probability = config.classifier_dropout
    return nn.Dropout(config.hidden_dropout_prob if probability is None else probability)


class ElectraDiscriminatorPredictions(nn.Module):
    """Whether each token was replaced: Linear, activation, Linear to one number."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dense_prediction = nn.Linear(config.hidden_size, 1)
        self.activation = activation(config.hidden_act)

    def forward(self, hidden: Tensor) -> Tensor:
        """[T, H] -> [T]"""
        scores: Tensor = self.dense_prediction(project(self.dense, hidden, self.activation))
        return scores.squeeze(-1)


class ElectraGeneratorPredictions(nn.Module):
    """Back to the width of the embeddings: Linear, GELU, LayerNorm."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.LayerNorm = nn.LayerNorm(config.embedding_size, eps=config.layer_norm_eps)
        self.dense = nn.Linear(config.hidden_size, config.embedding_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """[M, H] -> [M, E]"""
        normed: Tensor = self.LayerNorm(project(self.dense, hidden, F.gelu))
        return normed


class ElectraClassificationHead(nn.Module):
    """Scores of a sequence's labels, from its first token."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = classifier_dropout(config)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, first: Tensor) -> Tensor:
        """[B, H] -> [B, K]"""
        hidden = F.gelu(self.dense(self.dropout(first)))
        scores: Tensor = self.out_proj(self.dropout(hidden))
        return scores


class ElectraSequenceSummary(nn.Module):
    """One vector for each sequence, as `config.summary_type` says; for multiple choice."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.kind = config.summary_type
        width = config.hidden_size
        self.summary = nn.Linear(width, width) if config.summary_use_proj else nn.Identity()
        self.activation = activation(config.summary_activation or "linear")
        # no field: only some configurations have this key, which transformers reads too
        self.first_dropout = nn.Dropout(getattr(config, "summary_first_dropout", 0.0))
        self.last_dropout = nn.Dropout(config.summary_last_dropout)

    def forward(self, hidden: Tensor, layout: Layout) -> Tensor:
        """[T, H] -> [B, H]"""
        if self.kind == "first":
            summary = hidden[layout.first_tokens(hidden.device)]
        elif self.kind == "mean":
            summary = layout.pad(hidden).sum(1) / layout.row_lengths(hidden.device)[:, None]
        else:  # last and cls_index: the last column, as in transformers, which reads no cls_index here
            summary = hidden[layout.last_tokens(hidden.device)]
        summed: Tensor = self.last_dropout(self.activation(self.summary(self.first_dropout(summary))))
        return summed


def span_scores(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of each token as an answer's start and as its end: [T, 2] -> [T], [T]."""
    start, end = scores.unbind(-1)
    return start.contiguous(), end.contiguous()


IGNORED = -100
"""The label of what does not count, as in `torch.nn.functional.cross_entropy`."""


def replaced_token_loss(scores: Tensor, labels: Tensor, real: Tensor | None = None) -> Tensor:
    """The discriminator's loss: binary cross-entropy, averaged over tokens (run_pretraining.py,
    _get_discriminator_output).

    Args:
        scores: [T]; above 0 means replaced.
        labels: [T], 1 for replaced and 0 for original; -100 does not count.
        real: bool [T], which tokens are not padding. None: all.

    Returns:
        [], in the scores' dtype.
    """
    counts = labels != IGNORED
    if real is not None:
        counts = counts & real
    losses = F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype), reduction="none")
    return losses.masked_fill(~counts, 0).sum() / counts.sum().clamp(min=1)


def token_loss(scores: Tensor, labels: Tensor, items: Tensor | int | None = None) -> Tensor:
    """Cross-entropy, averaged over the labels.

    Args:
        scores: [T, K].
        labels: int64 [T]; -100 does not count.
        items: divide the sum by this number in place of the number of labels.

    Returns:
        [].
    """
    total = F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="sum")
    return total / ((labels != IGNORED).sum().clamp(min=1) if items is None else items)


def weighted_token_loss(scores: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """The generator's loss: weighted cross-entropy (run_pretraining.py, _get_masked_lm_output).

    Args:
        scores: [M, V], of any floating-point dtype.
        labels: int64 [M].
        weights: float32 [M].

    Returns:
        float32 [].
    """
    losses = F.cross_entropy(scores.float(), labels, reduction="none")
    return (weights * losses).sum() / (weights.sum() + 1e-6)


def next_token_labels(labels: Tensor, layout: Layout) -> Tensor:
    """Each token's label becomes the next token's, and a sequence's last token has none: [T] -> [T]."""
    shifted = labels.roll(-1)
    return shifted.index_fill(0, layout.last_tokens(labels.device), IGNORED)


def row_loss(scores: Tensor, labels: Tensor, problem_type: str) -> Tensor:
    """The loss of a sequence classifier: scores [B, K], labels [B] or [B, K] by problem type -> []."""
    if problem_type == "regression":
        return F.mse_loss(scores.squeeze(-1), labels.to(scores.dtype).view(scores.squeeze(-1).shape))
    if problem_type == "single_label_classification":
        return token_loss(scores, labels.view(-1))
    return F.binary_cross_entropy_with_logits(scores, labels.to(scores.dtype))


def problem_type_of(labels: Tensor, num_labels: int) -> str:
    """The problem type that these labels [B] or [B, K] are of, if the configuration has none: as in transformers."""
    if num_labels == 1:
        return "regression"
    return "multi_label_classification" if labels.is_floating_point() else "single_label_classification"


def span_loss(start: Tensor, end: Tensor, start_positions: Tensor, end_positions: Tensor, layout: Layout) -> Tensor:
    """The mean of the cross-entropies of start and end.

    A position outside its sequence does not count. transformers also ignores positions behind the sequence, but trains
    negative ones as position 0.

    Args:
        start, end: scores [T].
        start_positions, end_positions: int64 [B], columns of the sequence.
        layout: of the T tokens in B sequences.

    Returns:
        [].
    """
    total = scores_loss(start, start_positions, layout) + scores_loss(end, end_positions, layout)
    return total / 2


def scores_loss(scores: Tensor, positions: Tensor, layout: Layout) -> Tensor:
    """Cross-entropy over each sequence's tokens: scores [T], positions int64 [B] -> []."""
    positions = positions.view(-1)
    inside = (positions >= 0) & (positions < layout.row_lengths(scores.device))
    padded = layout.pad(scores, torch.finfo(scores.dtype).min)
    return token_loss(padded, positions.where(inside, IGNORED))
