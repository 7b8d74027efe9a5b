"""Keys and values of earlier tokens, which a decoder reads in its next call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class CacheLayer:
    """One layer's keys and values, [B, N, S, D]."""

    keys: Tensor
    values: Tensor

    def take(self, rows: Tensor) -> None:
        """Keep these sequences, in this order: int64 [B']."""
        self.keys, self.values = self.keys.index_select(0, rows), self.values.index_select(0, rows)


@dataclass
class KeyValueCache:
    """Every layer's keys and values of the tokens so far; `cross` holds those of cross-attention."""

    layers: list[CacheLayer] = field(default_factory=list)
    cross: list[CacheLayer] = field(default_factory=list)

    @classmethod
    def of(cls, past: Any) -> KeyValueCache:
        """A cache from what a caller gives: one of ours as it is, one of transformers' read into a new one.

        Raises:
            ValueError: it is neither.
        """
        if isinstance(past, cls):
            return past
        layers = getattr(past, "layers", None)
        if not isinstance(layers, list) or not all(hasattr(layer, "keys") for layer in layers):
            raise ValueError(f"past_key_values is a {type(past).__name__}: give what an earlier call returned")
        return cls([CacheLayer(layer.keys, layer.values) for layer in layers])

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens the cache holds."""
        return self.layers[layer_idx].keys.shape[2] if len(self.layers) > layer_idx else 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Append [B, N, L, D] to those of a layer; returns all of its keys and values, [B, N, S, D] each."""
        if len(self.layers) == layer_idx:
            self.layers.append(CacheLayer(keys, values))
        else:
            layer = self.layers[layer_idx]
            layer.keys = torch.cat((layer.keys, keys), dim=2)
            layer.values = torch.cat((layer.values, values), dim=2)
        return self.layers[layer_idx].keys, self.layers[layer_idx].values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Sequence i becomes what sequence `beam_idx[i]` was: int64 [B]. A beam takes over the past of another."""
        for layer in (*self.layers, *self.cross):
            layer.take(beam_idx)

    def check_rows(self, rows: int) -> None:
        """Refuse an input of another number of sequences."""
        cached = self.layers[0].keys.shape[0] if self.layers else rows
        if cached != rows:
            raise ValueError(f"past_key_values is of {cached} rows and the input has {rows}")

    def __len__(self) -> int:
        return len(self.layers)
