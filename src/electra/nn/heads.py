"""Task heads: from a vector for every token to scores."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from electra.batch import Layout
from electra.config import ElectraConfig
from electra.nn.activations import activation
from electra.nn.kernels.linear import project


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
