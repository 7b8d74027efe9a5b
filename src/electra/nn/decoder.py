"""Decoder layers: those of the encoder with cross-attention over another network's hidden states."""

from __future__ import annotations

from torch import Tensor, nn

from electra.config import ElectraConfig
from electra.nn.attention import kernel_mask
from electra.nn.cache import CacheLayer
from electra.nn.encoder import (
    ElectraAttention,
    ElectraAttentionHeads,
    ElectraEncoder,
    ElectraIntermediate,
    ElectraResidual,
    ForwardContext,
)


class ElectraCrossAttentionHeads(ElectraAttentionHeads):
    """Queries from the tokens, keys and values from `context.encoder_hidden_states`."""

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H]"""
        q = context.layout.unflatten(self.split_heads(self.query(hidden))).transpose(1, 2)
        # the encoder's states are the same at each step of generation: their keys and values are computed once
        computed = context.cache.cross if context.cache is not None else []
        if len(computed) > self.index:
            k, v = computed[self.index].keys, computed[self.index].values
        else:
            states = context.encoder_hidden_states
            assert states is not None
            k, v = (self.split_heads(dense(states)).transpose(1, 2) for dense in (self.key, self.value))
            computed.append(CacheLayer(k, v))
        mask = kernel_mask(context.encoder_attention_mask, q.dtype)
        return self.attend_recorded(q, k, v, mask, context, context.cross_attentions, causal=False)


class ElectraCrossAttention(nn.Module):
    """Cross-attention and its residual."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.self = ElectraCrossAttentionHeads(config, index)
        self.output = ElectraResidual(config, config.hidden_size)

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H]"""
        attended: Tensor = self.output(self.self(hidden, context), hidden, context.layout)
        return attended


class ElectraDecoderLayer(nn.Module):
    """Self-attention, cross-attention where there are encoder states, feed-forward network."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.attention = ElectraAttention(config, index)
        self.crossattention = ElectraCrossAttention(config, index)
        self.intermediate = ElectraIntermediate(config)
        self.output = ElectraResidual(config, config.intermediate_size)

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the layer computes first tokens only."""
        hidden = self.attention(hidden, context)
        if context.encoder_hidden_states is not None:
            hidden = self.crossattention(hidden, context)
        fed: Tensor = self.output(self.intermediate(hidden), hidden, context.layout)
        return fed


class ElectraDecoder(ElectraEncoder):
    """The stack of a network with `config.add_cross_attention`."""

    layer_class = ElectraDecoderLayer
