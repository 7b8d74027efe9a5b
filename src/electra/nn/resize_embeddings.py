"""Tables with more or fewer rows: what is there stays, what is new is drawn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPREAD = 1e-9
"""How much of the old rows' covariance the new ones get: transformers' factor. They lie close to the mean, so that a
language model's probabilities hardly change (Hewitt 2021, "Initializing New Word Embeddings")."""


def resize_embedding(table: nn.Embedding, rows: int, deviation: float | None = None) -> None:
    """Give a table so many rows, in place. New ones: around the mean of the old ones, or N(0, `deviation`)."""
    table.weight = _resized(table.weight, rows, deviation)
    table.num_embeddings = rows
    if table.padding_idx is not None and table.padding_idx >= rows:
        table.padding_idx = None


def resize_outputs(layer: nn.Linear, rows: int, deviation: float | None = None) -> None:
    """Give a linear layer so many outputs, in place. New ones: as in `resize_embedding`; their bias is 0."""
    layer.weight = _resized(layer.weight, rows, deviation)
    resize_bias(layer, rows)


def resize_bias(layer: nn.Linear, rows: int) -> None:
    """The bias of so many outputs; that of new ones is 0."""
    layer.out_features = rows
    if layer.bias is not None:
        kept = layer.bias.detach()[:rows]
        added = kept.new_zeros(rows - len(kept))
        layer.bias = nn.Parameter(torch.cat([kept, added]), requires_grad=layer.bias.requires_grad)


def _resized(weight: Tensor, rows: int, deviation: float | None) -> nn.Parameter:
    """[V, E] -> [rows, E]"""
    kept = weight.detach()[:rows]
    added = rows - len(kept)
    if added == 0:
        new = kept[:0]
    elif deviation is None:
        new = _around_the_mean(weight.detach(), added)
    else:
        new = deviation * torch.randn(added, weight.shape[1], dtype=torch.float32, device=weight.device)
    return nn.Parameter(torch.cat([kept, new.to(kept.dtype)]), requires_grad=weight.requires_grad)


def _around_the_mean(weight: Tensor, added: int) -> Tensor:
    """Draws from the normal distribution with the rows' mean and a little of their covariance: [V, E] -> [added, E]"""
    table = weight.float()
    mean = table.mean(0)
    centred = table - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(table))
    drawn = torch.randn(added, len(mean), device=weight.device)
    new: Tensor = mean + drawn * (SPREAD * variances.clamp(min=0)).sqrt() @ directions.T
    return new
