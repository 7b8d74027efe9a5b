"""ElectraModel: the encoder, with everything that transformers' calls can ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from electra.batch import Batch, Layout
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.nn.arguments import check_range, check_shape, check_tensor, check_whole
from electra.nn.cache import KeyValueCache
from electra.nn.encoder import ElectraEmbeddings, ElectraEncoder, Pass
from electra.nn.kernels.linear import filler, project
from electra.nn.losses import IGNORED
from electra.nn.outputs import BaseModelOutputWithPastAndCrossAttentions, ModelOutput
from electra.nn.padded_inputs import batch_from_grid, check_batch, check_memory

Output = TypeVar("Output", bound=ModelOutput)
HiddenStates = bool | int | Sequence[int] | None
"""Which hidden states to return: all, none, or those of these numbers (negative: from the last); None: the config's."""
Inputs = tuple[Tensor | Batch | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""The first five arguments of every forward: ids or a Batch, mask, types, positions, vectors."""
Wanted = tuple[bool | None, HiddenStates, bool | None]
"""The last three: attention weights, hidden states, a dict or a tuple; None: what the config says."""


@dataclass
class Call:
    """One call of a network: what came in, checked, and how to go through the encoder. Nothing is computed before
    `encode`, so that a head can check its labels first.
    """

    encoder: ElectraModel
    batch: Batch
    inputs_embeds: Tensor | None
    way: Pass
    return_dict: bool

    @property
    def layout(self) -> Layout:
        return self.batch.layout

    def encode(self) -> Tensor:
        """[T, H]"""
        return self.encoder.encode(self.batch, self.inputs_embeds, self.way)

    def encode_first(self) -> Tensor:
        """Each row's first token: [B, H]. Of a ragged batch on a CPU, the last layer computes no other.

        Under a compiler it does: the rows' lengths would be part of the graph.
        """
        layout, way = self.layout, self.way
        fixed = torch.compiler.is_compiling() or way.causal or way.keep_hidden
        if layout.grid is None and self.batch.device.type == "cpu" and not fixed:
            way.narrowed = len(self.encoder.encoder.layer) - 1
            return self.encode()
        hidden = self.encode()
        return hidden[layout.first_tokens(hidden.device)]

    def per_token(self, name: str, values: Tensor | None, size: int, whole: bool = True) -> Tensor | None:
        """A label for each token, 0 … size - 1 or -100: [B, L] of a grid, [T] of a ragged batch -> [T].

        whole: classes, of any integer dtype, which become int64. None stays None.
        """
        if values is None:
            return None
        check_tensor(name, values, self.batch.device)
        check_shape(name, values, self.layout.grid or (self.layout.tokens,))
        if whole:
            check_whole(name, values)
            values = values.long()
        check_range(name, values, size, IGNORED)
        return values.reshape(-1)

    def per_row(self, name: str, values: Tensor | None, rows: int, size: int | None = None) -> Tensor | None:
        """A whole number for each row, 0 … size - 1 or -100 (size None: any): [B] or [B, 1] -> int64 [B].

        None stays None.
        """
        if values is None:
            return None
        check_tensor(name, values, self.batch.device)
        check_shape(name, values, (rows,), (rows, 1))
        check_whole(name, values)
        if size is not None:
            check_range(name, values, size, IGNORED)
        return values.reshape(-1).long()

    def output(self, kind: type[Output], **values: Any) -> Output | tuple[Any, ...]:
        """An output with what was asked to be kept."""
        way = self.way
        if way.keep_hidden:
            states = (None if state is None else self.layout.unflatten(state) for state in way.hidden_states)
            values["hidden_states"] = tuple(states)
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
        words = self.embeddings.word_embeddings.weight
        given = (attention_mask, token_type_ids, position_ids, inputs_embeds)
        if not isinstance(input_ids, Batch):
            return batch_from_grid(self.config, words, input_ids, *given, past)
        if any(argument is not None for argument in given):
            raise ValueError(
                "a Batch was given together with attention_mask, token_type_ids, position_ids or inputs_embeds: "
                "a Batch has them inside"
            )
        check_batch(self.config, words, input_ids)
        return input_ids

    def encode(self, batch: Batch, inputs_embeds: Tensor | None = None, way: Pass | None = None) -> Tensor:
        """A batch of T tokens -> [T, H]. `inputs_embeds` [B, L, E]: in place of the ids' word vectors."""
        if inputs_embeds is None:  # as a grid where there is one: who hooks into the table sees what transformers shows
            inputs_embeds = self.embeddings.word_embeddings(batch.layout.unflatten(batch.input_ids))
        words = inputs_embeds.flatten(0, -2)
        hidden = self.embeddings(words, batch.token_type_ids, batch.position_ids, batch.layout)
        way = way or Pass(batch.layout, causal=self.config.is_decoder)
        behind = filler(hidden) if way.layout.grid is None and not way.keep_hidden else 0
        if behind:  # no row has these tokens: nothing attends to them. They are copies, as finite as the rest
            hidden = torch.cat([hidden, hidden[:behind].detach()])
        if self.config.embedding_size != self.config.hidden_size:
            hidden = project(self.embeddings_project, hidden)
        encoded: Tensor = self.encoder(hidden, way)
        return encoded[: batch.layout.tokens] if behind and way.narrowed is None else encoded

    def call(
        self,
        given: Inputs,
        wanted: Wanted,
        *,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Call:
        """Check a call, with everything that transformers' calls can ask for."""
        config = self.config
        output_attentions, output_hidden_states, return_dict = wanted
        batch = self.batch(*given, past=cache.get_seq_length() if cache is not None else 0)
        memory, memory_mask = self._memory(encoder_hidden_states, encoder_attention_mask, batch.layout.rows)
        _check_cache(cache, batch.layout.rows)
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
            keep_hidden=self._kept(output_hidden_states),
        )
        return Call(self, batch, given[-1], way, config.return_dict if return_dict is None else return_dict)

    def _kept(self, wanted: HiddenStates) -> frozenset[int]:
        """Whose hidden states are to be kept, by number from 0."""
        wanted = self.config.output_hidden_states if wanted is None else wanted
        count = self.config.num_hidden_layers + 1
        if isinstance(wanted, bool):
            return frozenset(range(count)) if wanted else frozenset()
        numbers = [wanted] if isinstance(wanted, int) else list(wanted)
        for number in numbers:
            if not isinstance(number, int) or isinstance(number, bool) or not -count <= number < count:
                allowed = f"True, False, or numbers from {-count} to {count - 1}"
                raise ValueError(f"output_hidden_states has {number!r}: it must be {allowed}")
        return frozenset(number % count for number in numbers)

    def _memory(self, states: Tensor | None, mask: Tensor | None, rows: int) -> tuple[Tensor | None, Tensor | None]:
        """What cross-attention reads and its mask; an encoder has none, as in transformers."""
        if states is None or not self.config.is_decoder:
            return None, None
        if not self.config.add_cross_attention:
            raise ValueError("encoder_hidden_states were given, which needs a config with add_cross_attention=True")
        words = self.embeddings.word_embeddings.weight
        check_memory("encoder_hidden_states", states, mask, rows, self.config.hidden_size, words)
        return states, None if mask is None else (mask != 0 if mask.dim() == 2 else mask)

    def new_cache(self, past: KeyValueCache | None, use_cache: bool | None) -> KeyValueCache | None:
        """The cache to fill, where this is a decoder that is to have one."""
        wanted = self.config.use_cache if use_cache is None else use_cache
        if past is not None:
            return KeyValueCache.of(past)
        return KeyValueCache() if wanted and self.config.is_decoder else None

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
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> BaseModelOutputWithPastAndCrossAttentions | tuple[Any, ...]:
        cache = self.new_cache(past_key_values, False if isinstance(input_ids, Batch) else use_cache)
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.call(
            given,
            wanted,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cache=cache,
        )
        hidden = call.layout.unflatten(call.encode())
        return call.output(BaseModelOutputWithPastAndCrossAttentions, last_hidden_state=hidden, past_key_values=cache)


def _check_cache(cache: KeyValueCache | None, rows: int) -> None:
    """The cache is that of as many rows."""
    kept = cache.layers[0].keys.shape[0] if cache is not None and cache.layers else rows
    if kept != rows:
        raise ValueError(f"past_key_values is of {kept} rows and the input has {rows}")
