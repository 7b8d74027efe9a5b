"""ElectraModel: the encoder, with everything that transformers' calls can ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from torch import Tensor, nn

from electra.batch import Batch, Layout
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.nn.cache import KeyValueCache
from electra.nn.encoder import ElectraEmbeddings, ElectraEncoder, Pass
from electra.nn.grid import batch_from_grid, check_range, check_shape
from electra.nn.outputs import BaseModelOutputWithPastAndCrossAttentions, ModelOutput

Output = TypeVar("Output", bound=ModelOutput)


@dataclass
class Encoded:
    """One pass through the encoder: `hidden` [T, H], and what was kept on the way."""

    hidden: Tensor
    way: Pass
    return_dict: bool

    @property
    def layout(self) -> Layout:
        return self.way.layout

    def first(self) -> Tensor:
        """Each row's first token: [B, H]"""
        return self.hidden[self.layout.first_tokens(self.hidden.device)]

    def per_token(self, name: str, values: Tensor) -> Tensor:
        """One value for each token: [B, L] of a grid, [T] of a ragged batch -> [T]."""
        check_shape(name, values, self.layout.grid or (self.layout.tokens,))
        return values.reshape(-1)

    def output(self, kind: type[Output], **values: Any) -> Output | tuple[Any, ...]:
        """An output with what was asked to be kept."""
        way = self.way
        if way.keep_hidden:
            values["hidden_states"] = tuple(map(self.layout.unflatten, way.hidden_states))
        if way.keep_weights:
            values["attentions"] = tuple(way.attentions)
            if "cross_attentions" in kind.__dataclass_fields__ and way.memory is not None:  # type: ignore[attr-defined]
                values["cross_attentions"] = tuple(way.cross_attentions)
        made = kind(**values)
        return made if self.return_dict else made.to_tuple()


class ElectraModel(ElectraPreTrainedModel):
    """The encoder: a vector for every token."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.embeddings = ElectraEmbeddings(config)
        if config.embedding_size != config.hidden_size:
            self.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
        self.encoder = ElectraEncoder(config)
        self.post_init()

    def batch(
        self,
        input_ids: Tensor | Batch | None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past: int = 0,
    ) -> Batch:
        """What came in, as a Batch: a grid becomes one, a Batch is checked and stays."""
        if not isinstance(input_ids, Batch):
            given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
            return batch_from_grid(self.config, *given, past)
        longest = max(input_ids.layout.lengths)
        if longest > self.config.max_position_embeddings:
            raise ValueError(
                f"a row is {longest} tokens long and the model's positions end at "
                f"{self.config.max_position_embeddings} (max_position_embeddings): truncate it or split it into windows"
            )
        check_range("input_ids", input_ids.input_ids, self.config.vocab_size)
        return input_ids

    def encode(self, batch: Batch, inputs_embeds: Tensor | None = None, way: Pass | None = None) -> Tensor:
        """A batch of T tokens -> [T, H]. `inputs_embeds` [B, L, E]: in place of the ids' word vectors."""
        words = (
            self.embeddings.word_embeddings(batch.input_ids) if inputs_embeds is None else inputs_embeds.flatten(0, 1)
        )
        hidden = self.embeddings(words, batch.token_type_ids, batch.position_ids)
        if self.config.embedding_size != self.config.hidden_size:
            hidden = self.embeddings_project(hidden)
        encoded: Tensor = self.encoder(hidden, way or Pass(batch.layout, causal=self.config.is_decoder))
        return encoded

    def run(
        self,
        input_ids: Tensor | Batch | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        *,
        output_attentions: bool | None,
        output_hidden_states: bool | None,
        return_dict: bool | None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Encoded:
        """Encode, with everything that transformers' calls can ask for."""
        config = self.config
        past = cache.get_seq_length() if cache is not None else 0
        batch = self.batch(input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, past)
        memory, memory_mask = self._memory(encoder_hidden_states, encoder_attention_mask)
        keep_weights = config.output_attentions if output_attentions is None else output_attentions
        if batch.layout.grid is None and (keep_weights or memory is not None or cache is not None):
            raise ValueError("attentions, caches and cross-attention need a padded grid, and a ragged Batch was given")
        way = Pass(
            batch.layout,
            causal=config.is_decoder,
            cache=cache,
            memory=memory,
            memory_mask=memory_mask,
            plainly=config._attn_implementation == "eager" and batch.layout.grid is not None,
            keep_weights=keep_weights,
            keep_hidden=config.output_hidden_states if output_hidden_states is None else output_hidden_states,
        )
        hidden = self.encode(batch, inputs_embeds, way)
        return Encoded(hidden, way, config.return_dict if return_dict is None else return_dict)

    def _memory(self, states: Tensor | None, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """What cross-attention reads and its mask; an encoder has none, as in transformers."""
        if states is None or not self.config.is_decoder:
            return None, None
        if not self.config.add_cross_attention:
            raise ValueError("encoder_hidden_states were given, which needs a config with add_cross_attention=True")
        return states, None if mask is None else (mask != 0 if mask.dim() == 2 else mask)

    def new_cache(self, past: KeyValueCache | None, use_cache: bool | None) -> KeyValueCache | None:
        """The cache to fill, where this is a decoder that is to have one."""
        wanted = self.config.use_cache if use_cache is None else use_cache
        if past is not None and not isinstance(past, KeyValueCache):
            raise ValueError(f"past_key_values is a {type(past).__name__}: give what an earlier call returned")
        return (past if past is not None else KeyValueCache()) if wanted and self.config.is_decoder else past

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        use_cache: bool | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions | tuple[Any, ...]:
        cache = None if isinstance(input_ids, Batch) else self.new_cache(past_key_values, use_cache)
        encoded = self.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cache=cache,
        )
        hidden = encoded.layout.unflatten(encoded.hidden)
        return encoded.output(
            BaseModelOutputWithPastAndCrossAttentions, last_hidden_state=hidden, past_key_values=cache
        )
