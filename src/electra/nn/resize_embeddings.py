"""Resize embeddings and output layers: rows that exist stay, new ones are sampled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SPREAD = 1e-9
"""The fraction of the old rows' covariance that new rows are sampled with, as in transformers. They lie close to the
mean, so that a language model's probabilities hardly change (Hewitt 2021, "Initializing New Word Embeddings")."""


def resize_embedding(table: nn.Embedding, rows: int, std: float | None = None) -> None:
    """Resize a table of embeddings, in place.

    Args:
        table: its first rows stay.
        rows: how many it is to have.
        std: sample new rows from N(0, std^2). None: around the mean of the old ones.
    """
    table.weight = _resized(table.weight, rows, std)
    table.num_embeddings = rows
    if table.padding_idx is not None and table.padding_idx >= rows:
        table.padding_idx = None


def resize_outputs(layer: nn.Linear, rows: int, std: float | None = None) -> None:
    """Resize a linear layer to so many outputs, in place. New ones: as in `resize_embedding`; their bias is 0."""
    layer.weight = _resized(layer.weight, rows, std)
    resize_bias(layer, rows)


def resize_bias(layer: nn.Linear, rows: int) -> None:
    """Resize the bias of a linear layer, in place; that of new outputs is 0."""
    layer.out_features = rows
    if layer.bias is not None:
        old = layer.bias.detach()[:rows]
        added = old.new_zeros(rows - len(old))
        layer.bias = nn.Parameter(torch.cat([old, added]), requires_grad=layer.bias.requires_grad)


def _resized(weight: Tensor, rows: int, std: float | None) -> nn.Parameter:
    """[V, E] -> [rows, E]"""
    old = weight.detach()[:rows]
    added = rows - len(old)
    if added == 0:
        new = old[:0]
    elif std is None:
        new = _around_the_mean(weight.detach(), added)
    else:
        new = std * torch.randn(added, weight.shape[1], dtype=torch.float32, device=weight.device)
    return nn.Parameter(torch.cat([old, new.to(old.dtype)]), requires_grad=weight.requires_grad)


def _around_the_mean(weight: Tensor, added: int) -> Tensor:
    """Samples of the normal distribution with the rows' mean and a little of their covariance: [V, E] -> [added, E]"""
    table = weight.float()
    mean = table.mean(0)
    centred = table - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(table))
    noise = torch.randn(added, len(mean), device=weight.device)
    new: Tensor = mean + noise * (SPREAD * variances.clamp(min=0)).sqrt() @ directions.T
    return new
