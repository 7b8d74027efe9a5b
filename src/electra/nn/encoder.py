"""Embeddings and the stack of layers: token ids in, one vector for every token out; and what a forward pass returns.

Module and parameter names are those of the checkpoints (`encoder.layer.0.attention.self.query.weight`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from electra.batch import Layout
from electra.config import ElectraConfig
from electra.hardware.torch_internals import register_container
from electra.nn.activations import activation
from electra.nn.attention import attend, attend_eager, attend_first, attend_padded, kernel_mask
from electra.nn.cache import KeyValueCache
from electra.nn.kernels.cpu_kernels import drop, project


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
        self.register_load_state_dict_pre_hook(_without_old_buffers)  # type: ignore[no-untyped-call]

    def forward(self, words: Tensor, token_type_ids: Tensor, position_ids: Tensor, layout: Layout) -> Tensor:
        """Word vectors [B, L, E] or [T, E], types and positions int64 [B, L] or [T] -> as the word vectors.

        Padded batches come as [B, L, E], so that hooks on this module see what they see in transformers.
        """
        summed = words + self.token_type_embeddings(token_type_ids) + self.position_embeddings(position_ids)
        return _dropped(self.dropout, self.LayerNorm(summed), layout)


class ElectraAttentionHeads(nn.Module):
    """Self-attention: queries, keys and values from the same tokens."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.num_attention_heads = config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the layer computes first tokens only."""
        dropout = self.dropout.p if self.training else 0.0
        # the layer's number is compared only if one computes first tokens: a compiler would guard on it in each layer
        if context.first_token_layer is not None and context.first_token_only(self.index):
            query = self.split_heads(project(self.query, context.queries(hidden, self.index)))
            key, value = (self.split_heads(project(dense, hidden)) for dense in (self.key, self.value))
            return attend_first(query, key, value, context.layout, dropout=dropout).flatten(1)
        query, key, value = (self.split_heads(project(dense, hidden)) for dense in (self.query, self.key, self.value))
        if context.cache is None and not context.eager and not context.keep_attentions:
            return attend(query, key, value, context.layout, dropout=dropout, causal=context.causal).flatten(1)
        q, k, v = (context.layout.unflatten(t).transpose(1, 2) for t in (query, key, value))
        if context.cache is not None:
            k, v = context.cache.update(k, v, self.index)
        mask = kernel_mask(context.layout.mask, q.dtype)
        return self.attend_recorded(q, k, v, mask, context, context.attentions, causal=context.causal)

    def split_heads(self, projected: Tensor) -> Tensor:
        """[…, H] -> […, N, D]"""
        return projected.view(*projected.shape[:-1], self.num_attention_heads, -1)

    def attend_recorded(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        mask: Tensor | None,
        context: ForwardContext,
        attentions: list[Tensor],
        *,
        causal: bool,
    ) -> Tensor:
        """[B, N, L, D] and twice [B, N, S, D] -> [T, H]; the attention weights go to `attentions` if asked for."""
        dropout = self.dropout.p if self.training else 0.0
        if context.eager or context.keep_attentions:
            attended, weights = attend_eager(q, k, v, mask, dropout=dropout, causal=causal)
            if context.keep_attentions:
                attentions.append(weights)
        else:
            attended = attend_padded(q, k, v, mask, dropout=dropout, causal=causal)
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
        normed: Tensor = self.LayerNorm(_dropped(self.dropout, project(self.dense, hidden), layout) + residual)
        return normed


class ElectraAttention(nn.Module):
    """Self-attention and its residual."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.self = ElectraAttentionHeads(config, index)
        self.output = ElectraResidual(config, config.hidden_size)

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the layer computes first tokens only."""
        attended = self.self(hidden, context)
        if context.first_token_layer is not None:
            hidden = context.queries(hidden, self.self.index)
        output: Tensor = self.output(attended, hidden, context.layout)
        return output


class ElectraIntermediate(nn.Module):
    """The first half of the feed-forward network: Linear and activation."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.intermediate_act_fn = activation(config.hidden_act)

    def forward(self, hidden: Tensor) -> Tensor:
        """[T, H] -> [T, I]"""
        return project(self.dense, hidden, self.intermediate_act_fn)


class ElectraLayer(nn.Module):
    """Self-attention and feed-forward network, LayerNorm after each (post-norm)."""

    def __init__(self, config: ElectraConfig, index: int) -> None:
        super().__init__()
        self.attention = ElectraAttention(config, index)
        self.intermediate = ElectraIntermediate(config)
        self.output = ElectraResidual(config, config.intermediate_size)

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the layer computes first tokens only."""
        hidden = self.attention(hidden, context)
        fed: Tensor = self.output(self.intermediate(hidden), hidden, context.layout)
        return fed


class ElectraEncoder(nn.Module):
    """The layers, one after another."""

    layer_class: type[nn.Module] = ElectraLayer

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(self.layer_class(config, index) for index in range(config.num_hidden_layers))
        self.gradient_checkpointing = False

    def forward(self, hidden: Tensor, context: ForwardContext) -> Tensor:
        """[T, H] -> [T, H], or [B, H] where the last layer computes first tokens only."""
        for index, layer in enumerate(self.layer):
            if context.keep_hidden_states:
                context.record(index, hidden)
            # recorded weights would be recorded again when the layer is recomputed
            if self.gradient_checkpointing and self.training and not context.keep_attentions:
                hidden = checkpoint(layer, hidden, context, use_reentrant=False)
            else:
                hidden = layer(hidden, context)
        if context.keep_hidden_states:
            context.record(len(self.layer), hidden)
        return hidden


def _without_old_buffers(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Remove buffers that transformers 4 saved with the embeddings, from a state dict that is about to be loaded."""
    for name in ("position_ids", "token_type_ids"):
        state.pop(prefix + name, None)


def _dropped(dropout: nn.Dropout, values: Tensor, layout: Layout) -> Tensor:
    """Dropout of [T, …] or [B, L, …]. In evaluation the module is called all the same, for its hooks."""
    # the module's own mode counts: with Monte Carlo dropout it trains inside a network that does not
    dropped: Tensor = drop(dropout, values, layout) if dropout.training else dropout(values)
    return dropped


@dataclass
class ForwardContext:
    """The options of one forward pass, and the tensors that it records. One object is made for each call."""

    layout: Layout
    causal: bool = False
    """Attend to earlier tokens only, as a decoder does."""
    cache: KeyValueCache | None = None
    """Keys and values of earlier tokens; padded batches only."""
    encoder_hidden_states: Tensor | None = None
    """What a decoder's cross-attention reads, [B, S, H]; padded batches only."""
    encoder_attention_mask: Tensor | None = None
    """bool [B, S], or [B | 1, 1, L, S]."""
    eager: bool = False
    """Attend by the eager reference implementation (`attn_implementation="eager"`); padded batches only."""
    first_token_layer: int | None = None
    """The layer that computes each sequence's first token alone: the last, where nothing reads the other tokens."""
    keep_attentions: bool = False
    keep_hidden_states: frozenset[int] = frozenset()
    """Which hidden states to record: 0 is the first layer's input, i the output of layer i."""
    hidden_states: list[Tensor | None] = field(default_factory=list)
    attentions: list[Tensor] = field(default_factory=list)
    cross_attentions: list[Tensor] = field(default_factory=list)

    @property
    def needs_padded(self) -> bool:
        """Whether something was asked for that only padded batches have."""
        return self.keep_attentions or self.encoder_hidden_states is not None or self.cache is not None

    def first_token_only(self, layer: int) -> bool:
        """Whether this layer computes each sequence's first token alone."""
        return self.first_token_layer == layer

    def queries(self, hidden: Tensor, layer: int) -> Tensor:
        """The tokens whose vectors a layer computes: [T, H] -> the same, or [B, H] for first tokens only."""
        return hidden[self.layout.first_tokens(hidden.device)] if self.first_token_only(layer) else hidden

    def record(self, index: int, hidden: Tensor) -> None:
        """Record hidden state `index` if it was asked for, else None in its place."""
        self.hidden_states.append(hidden if index in self.keep_hidden_states else None)


Tensors = tuple[Tensor, ...]


class ModelOutput(OrderedDict[str, Any]):
    """A dataclass that is also a dictionary, and a tuple when indexed by number. Fields that are None are not in it."""

    def __init_subclass__(cls) -> None:
        register_container(
            cls,
            lambda output: (list(output.values()), list(output.keys())),
            lambda values, names: cls(**dict(zip(names, values, strict=True))),
        )

    def __post_init__(self) -> None:
        first, *others = (field.name for field in fields(self))  # type: ignore[arg-type]
        value = getattr(self, first)
        if isinstance(value, Mapping) and all(getattr(self, name) is None for name in others):
            # other libraries, such as accelerate, rebuild an output from a dictionary of its fields
            type(self).__init__(self, **value)
            return
        for output in fields(self):  # type: ignore[arg-type]
            value = getattr(self, output.name)
            if value is not None:
                super().__setitem__(output.name, value)

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _rebuild, (type(self), dict(self))

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None."""
        return tuple(self.values())


def _rebuild(kind: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    return kind(**values)


@dataclass
class BaseModelOutputWithPastAndCrossAttentions(ModelOutput):
    """`last_hidden_state` [B, L, H]."""

    last_hidden_state: Tensor | None = None
    past_key_values: KeyValueCache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class ElectraForPreTrainingOutput(ModelOutput):
    """`logits` [B, L]: above 0, the token was replaced."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """`logits` [B, L, V]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """`logits` [B, L, V]; those of the last tokens alone if `logits_to_keep` asks for them."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: KeyValueCache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """`logits` [B, K]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class TokenClassifierOutput(ModelOutput):
    """`logits` [B, L, K]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """`start_logits`, `end_logits` [B, L]."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MultipleChoiceModelOutput(ModelOutput):
    """`logits` [B, C]: one for each choice."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
