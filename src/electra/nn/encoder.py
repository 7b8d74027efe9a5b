"""Embeddings and the stack of layers: token ids in, one vector for every token out.

Module and parameter names are those of the checkpoints (`encoder.layer.0.attention.self.query.weight`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from electra.batch import Layout
from electra.config import ElectraConfig
from electra.nn.activations import activation
from electra.nn.attention import attend, attend_first, attend_grid, attend_plainly, kernel_mask
from electra.nn.cache import CacheLayer, KeyValueCache
from electra.nn.kernels.dropout import drop
from electra.nn.kernels.linear import project


@dataclass
class Pass:
    """What the layers of one forward pass share: how to attend, and what to keep of the way."""

    layout: Layout
    causal: bool = False
    cache: KeyValueCache | None = None
    """Decoders: keys and values of earlier tokens; grids only."""
    memory: Tensor | None = None
    """What cross-attention reads, [B, S, H]."""
    memory_mask: Tensor | None = None
    plainly: bool = False
    """Attend by the written-out twin (`attn_implementation="eager"`); grids only."""
    narrowed: int | None = None
    """The layer from which on there are only the rows' first tokens: the last, where nothing reads the others."""
    keep_weights: bool = False
    keep_hidden: frozenset[int] = frozenset()
    """Whose hidden states to keep: 0 is what goes into the first layer, 1 what comes out of it."""
    hidden_states: list[Tensor | None] = field(default_factory=list)
    attentions: list[Tensor] = field(default_factory=list)
    cross_attentions: list[Tensor] = field(default_factory=list)

    def narrows(self, heads: ElectraAttentionHeads) -> bool:
        """Whether this layer computes the rows' first tokens alone. Its number is not read unless one does: a compiler
        would make a graph for each layer.
        """
        return self.narrowed is not None and self.narrowed == heads.index

    def asking(self, hidden: Tensor, heads: ElectraAttentionHeads) -> Tensor:
        """The tokens whose vectors a layer computes: [T, H] -> the same, or [B, H] where it is narrowed."""
        return hidden[self.layout.first_tokens(hidden.device)] if self.narrows(heads) else hidden

    def note(self, index: int, hidden: Tensor) -> None:
        """Keep a hidden state if it was asked for, None in its place if others were."""
        if self.keep_hidden:
            self.hidden_states.append(hidden if index in self.keep_hidden else None)


class ElectraEmbeddings(nn.Module):
    """LayerNorm(word + type + position), then dropout."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, words: Tensor, token_type_ids: Tensor, position_ids: Tensor, layout: Layout) -> Tensor:
        """Word vectors [T, E] and ids [T] -> [T, E]"""
        summed = words + self.token_type_embeddings(token_type_ids) + self.position_embeddings(position_ids)
        return drop(self.dropout, self.LayerNorm(summed), layout)


class ElectraAttentionHeads(nn.Module):
    """Queries from the tokens, keys and values from the same tokens or, in cross-attention, from the memory."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.num_attention_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, hidden: Tensor, way: Pass) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the layer is narrowed"""
        query = self._heads(project(self.query, way.asking(hidden, self)))
        key, value = (self._heads(project(dense, hidden)) for dense in (self.key, self.value))
        if way.narrows(self):
            return attend_first(query, key, value, way.layout, dropout=self.dropout.p * self.training).flatten(1)
        if way.cache is None and not way.plainly and not way.keep_weights:
            dropout = self.dropout.p if self.training else 0.0
            return attend(query, key, value, way.layout, dropout=dropout, causal=way.causal).flatten(1)
        q, k, v = (way.layout.unflatten(t).transpose(1, 2) for t in (query, key, value))
        if way.cache is not None:
            k, v = way.cache.update(k, v, self.index)
        mask = kernel_mask(way.layout.mask, q.dtype)
        return self._attend(q, k, v, mask, way, way.attentions, causal=way.causal)

    def over_memory(self, hidden: Tensor, way: Pass) -> Tensor:
        """[T, H] -> [T, H], reading `way.memory`"""
        q = way.layout.unflatten(self._heads(self.query(hidden))).transpose(1, 2)
        kept = way.cache.cross if way.cache is not None else []
        if len(kept) > self.index:
            k, v = kept[self.index].keys, kept[self.index].values
        else:
            assert way.memory is not None
            k, v = (self._heads(dense(way.memory)).transpose(1, 2) for dense in (self.key, self.value))
            kept.append(CacheLayer(k, v))
        mask = kernel_mask(way.memory_mask, q.dtype)
        return self._attend(q, k, v, mask, way, way.cross_attentions, causal=False)

    def _heads(self, projected: Tensor) -> Tensor:
        """[…, H] -> […, N, D]"""
        return projected.view(*projected.shape[:-1], self.num_attention_heads, -1)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, way: Pass, kept: list[Tensor], *, causal: bool
    ) -> Tensor:
        """[B, N, L, D] and twice [B, N, S, D] -> [T, H]"""
        dropout = self.dropout.p if self.training else 0.0
        if way.plainly or way.keep_weights:
            attended, weights = attend_plainly(q, k, v, mask, dropout=dropout, causal=causal)
            if way.keep_weights:
                kept.append(weights)
        else:
            attended = attend_grid(q, k, v, mask, dropout=dropout, causal=causal)
        return attended.transpose(1, 2).flatten(0, 1).flatten(1)


class ElectraResidual(nn.Module):
    """Linear, dropout, then LayerNorm of the sum with what came in."""

    def __init__(self, config: ElectraConfig, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden: Tensor, residual: Tensor, layout: Layout) -> Tensor:
        """[T, inputs], [T, H] -> [T, H]"""
        normed: Tensor = self.LayerNorm(drop(self.dropout, project(self.dense, hidden), layout) + residual)
        return normed


class ElectraAttention(nn.Module):
    """Attention and its residual."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.self = ElectraAttentionHeads(config, index)
        self.output = ElectraResidual(config, config.hidden_size)

    def forward(self, hidden: Tensor, way: Pass) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the layer is narrowed"""
        attended: Tensor = self.output(self.self(hidden, way), way.asking(hidden, self.self), way.layout)
        return attended

    def over_memory(self, hidden: Tensor, way: Pass) -> Tensor:
        """[T, H] -> [T, H]"""
        attended: Tensor = self.output(self.self.over_memory(hidden, way), hidden, way.layout)
        return attended


class ElectraIntermediate(nn.Module):
    """The wide half of the feed-forward network."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn = activation(config.hidden_act)

    def forward(self, hidden: Tensor) -> Tensor:
        """[T, H] -> [T, I]"""
        return project(self.dense, hidden, self.intermediate_act_fn)


class ElectraLayer(nn.Module):
    """Attention, cross-attention where a decoder has it, feed-forward; LayerNorm after each (post-norm)."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.attention = ElectraAttention(config, index)
        if config.add_cross_attention:
            self.crossattention = ElectraAttention(config, index)
        self.intermediate = ElectraIntermediate(config)
        self.output = ElectraResidual(config, config.intermediate_size)

    def forward(self, hidden: Tensor, way: Pass) -> Tensor:
        """[T, H] -> [T, H]"""
        hidden = self.attention(hidden, way)
        if way.memory is not None:
            hidden = self.crossattention.over_memory(hidden, way)
        fed: Tensor = self.output(self.intermediate(hidden), hidden, way.layout)
        return fed


class ElectraEncoder(nn.Module):
    """The layers, one after another."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(ElectraLayer(config, index) for index in range(config.num_hidden_layers))
        self.gradient_checkpointing = False

    def forward(self, hidden: Tensor, way: Pass) -> Tensor:
        """[T, H] -> [T, H]"""
        for index, layer in enumerate(self.layer):
            way.note(index, hidden)
            if self.gradient_checkpointing and self.training and not way.keep_weights:
                hidden = checkpoint(layer, hidden, way, use_reentrant=False)
            else:
                hidden = layer(hidden, way)
        way.note(len(self.layer), hidden)
        return hidden
