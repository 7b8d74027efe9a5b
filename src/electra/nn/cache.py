"""Keys and values that a decoder has computed, kept for its next call."""

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
        """Keep these rows, in this order: int64 [B']."""
        self.keys, self.values = self.keys.index_select(0, rows), self.values.index_select(0, rows)


@dataclass
class KeyValueCache:
    """Every layer's keys and values of the tokens so far; `cross` holds those of the encoder that is attended to."""

    layers: list[CacheLayer] = field(default_factory=list)
    cross: list[CacheLayer] = field(default_factory=list)

    @classmethod
    def of(cls, past: Any) -> KeyValueCache:
        """A cache as it is; one of transformers, whose layers have `keys` and `values` too, is read into a new one."""
        if isinstance(past, cls):
            return past
        layers = getattr(past, "layers", None)
        if not isinstance(layers, list) or not all(hasattr(layer, "keys") for layer in layers):
            raise ValueError(f"past_key_values is a {type(past).__name__}: give what an earlier call returned")
        return cls([CacheLayer(layer.keys, layer.values) for layer in layers])

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """How many tokens are kept."""
        return self.layers[layer_idx].keys.shape[2] if len(self.layers) > layer_idx else 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Append [B, N, L, D] to a layer's; return all that it keeps, [B, N, S, D]."""
        if len(self.layers) == layer_idx:
            self.layers.append(CacheLayer(keys, values))
        else:
            kept = self.layers[layer_idx]
            kept.keys = torch.cat((kept.keys, keys), dim=2)
            kept.values = torch.cat((kept.values, values), dim=2)
        return self.layers[layer_idx].keys, self.layers[layer_idx].values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row i becomes what row `beam_idx[i]` was: int64 [B]. A beam that goes on from another takes over its past."""
        for layer in (*self.layers, *self.cross):
            layer.take(beam_idx)

    def __len__(self) -> int:
        return len(self.layers)
