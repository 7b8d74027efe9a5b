"""What the layers of one forward pass share: how to attend, and what to record."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from electra.batch import Layout
from electra.nn.cache import KeyValueCache


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
