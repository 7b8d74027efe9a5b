"""ElectraModel: the encoder, called as transformers' ElectraModel is, or with a ragged Batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from electra.batch import Batch, Layout
from electra.config import ElectraConfig
from electra.hardware.torch_internals import REFERENCE_KERNELS
from electra.models.base import ElectraPreTrainedModel
from electra.nn.cache import KeyValueCache
from electra.nn.decoder import ElectraDecoder
from electra.nn.encoder import (
    BaseModelOutputWithPastAndCrossAttentions,
    ElectraEmbeddings,
    ElectraEncoder,
    ForwardContext,
    ModelOutput,
)
from electra.nn.heads import IGNORED
from electra.nn.input_checks import (
    batch_from_padded,
    check_batch,
    check_encoder_states,
    check_range,
    check_shape,
    check_tensor,
    check_whole,
)
from electra.nn.kernels.cpu_kernels import padding_tokens, project

Output = TypeVar("Output", bound=ModelOutput)
HiddenStates = bool | int | Sequence[int] | None
"""Which hidden states to return: all, none, or those of these numbers (negative: from the last); None: the config's."""
Inputs = tuple[Tensor | Batch | None, Tensor | None, Tensor | None, Tensor | None, Tensor | None]
"""The first five arguments of every forward: ids or a Batch, mask, types, positions, vectors."""
OutputOptions = tuple[bool | None, HiddenStates, bool | None]
"""The last three: output_attentions, output_hidden_states, return_dict; None: the config's."""


@dataclass
class Call:
    """One call of a network, its arguments checked. Nothing is computed before `encode`, so that a head can check its
    labels first.
    """

    encoder: ElectraModel
    batch: Batch
    inputs_embeds: Tensor | None
    context: ForwardContext
    return_dict: bool

    @property
    def layout(self) -> Layout:
        """How the batch's T tokens lie in it."""
        return self.batch.layout

    def encode(self) -> Tensor:
        """The vector of every token: [T, H]."""
        return self.encoder.encode(self.batch, self.inputs_embeds, self.context)

    def encode_first(self) -> Tensor:
        """The vector of each sequence's first token: [B, H]."""
        layout, context = self.layout, self.context
        # Of a ragged batch on a CPU the last layer computes no other token. Under a compiler it computes all: the
        # sequences' lengths would be part of the graph.
        needs_all = torch.compiler.is_compiling() or context.causal or context.keep_hidden_states or REFERENCE_KERNELS
        if layout.grid is None and self.batch.device.type == "cpu" and not needs_all:
            context.first_token_layer = len(self.encoder.encoder.layer) - 1
            return self.encode()
        hidden = self.encode()
        return hidden[layout.first_tokens(hidden.device)]

    def per_token(self, name: str, values: Tensor | None, size: int, whole: bool = True) -> Tensor | None:
        """Check the labels of tokens.

        Args:
            name: the argument's.
            values: [B, L] for padded inputs, [T] for a ragged batch: 0 … size - 1, or -100 where none counts.
            size: how many classes there are.
            whole: they are classes, of any integer dtype, and become int64. False: numbers.

        Returns:
            [T]; None if there are none.
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
        """Check a whole number for each sequence.

        Args:
            name: the argument's.
            values: [B] or [B, 1]: 0 … size - 1, or -100 where none counts.
            rows: B.
            size: how many classes there are; None: any number is allowed.

        Returns:
            int64 [B]; None if there are none.
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
        """An output of this kind with `values` and what was recorded; a tuple with return_dict=False."""
        context = self.context
        if context.keep_hidden_states:
            states = (None if state is None else self.layout.unflatten(state) for state in context.hidden_states)
            values["hidden_states"] = tuple(states)
        if context.keep_attentions:
            values["attentions"] = tuple(context.attentions)
            has_cross = "cross_attentions" in kind.__dataclass_fields__  # type: ignore[attr-defined]
            if has_cross and context.encoder_hidden_states is not None:
                values["cross_attentions"] = tuple(context.cross_attentions)
        output = kind(**values)
        return output if self.return_dict else output.to_tuple()


class ElectraModel(ElectraPreTrainedModel):
    """The ELECTRA encoder without a head: a vector for every token.

    It takes padded tensors, `model(input_ids, attention_mask, …)` with ids [B, L], and returns [B, L, hidden_size]; or
    a ragged batch without padding, `model(Batch.from_rows(rows))`, and returns [T, hidden_size] for its T tokens.

    With `config.is_decoder` attention is causal; with `config.add_cross_attention` it also reads
    `encoder_hidden_states`.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraModel
        >>> model = ElectraModel(ElectraConfig.preset("tiny")).eval()
        >>> input_ids = torch.tensor([[101, 2023, 2003, 102], [101, 2748, 102, 0]])
        >>> model(input_ids, attention_mask=(input_ids != 0).long()).last_hidden_state.shape
        torch.Size([2, 4, 128])

    `ElectraModel.from_pretrained("google/electra-small-discriminator")` loads weights; a new model has random ones.
    """

    def __init__(self, config: ElectraConfig) -> None:
        """A network with random weights, in training mode.

        Args:
            config: its sizes. The object is kept, not copied.
        """
        super().__init__(config)
        self.embeddings = ElectraEmbeddings(config)
        if config.embedding_size != config.hidden_size:
            self.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
        self.encoder = ElectraDecoder(config) if config.add_cross_attention else ElectraEncoder(config)
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
        """The arguments of a call as a Batch, checked.

        Args:
            input_ids: as in `forward`.
            attention_mask: as `input_ids`.
            token_type_ids: as `input_ids`.
            position_ids: as `input_ids`.
            inputs_embeds: as `input_ids`.
            past: how many tokens a cache holds before these.

        Returns:
            A padded batch of the tensors, or the Batch that was given.

        Raises:
            ValueError: one of them cannot be read by this network; the message names it.
        """
        words = self.embeddings.word_embeddings.weight
        others = (attention_mask, token_type_ids, position_ids, inputs_embeds)
        if not isinstance(input_ids, Batch):
            return batch_from_padded(self.config, words, input_ids, *others, past)
        if any(argument is not None for argument in others):
            raise ValueError(
                "a Batch was given together with attention_mask, token_type_ids, position_ids or inputs_embeds: "
                "a Batch has them inside"
            )
        check_batch(self.config, words, input_ids)
        return input_ids

    def encode(
        self, batch: Batch, inputs_embeds: Tensor | None = None, context: ForwardContext | None = None
    ) -> Tensor:
        """The vectors of a batch's tokens, its arguments unchecked.

        Args:
            batch: T tokens.
            inputs_embeds: word vectors in place of the ids', [B, L, E].
            context: how to attend and what to record. Default: nothing is recorded.

        Returns:
            [T, H]; [B, H] if the context asks for first tokens only.
        """
        if inputs_embeds is None:
            # hooks on the table of word vectors, such as captum's, see [B, L] as in transformers
            inputs_embeds = self.embeddings.word_embeddings(batch.layout.unflatten(batch.input_ids))
        types, positions = (batch.layout.unflatten(t) for t in (batch.token_type_ids, batch.position_ids))
        hidden = self.embeddings(inputs_embeds, types, positions, batch.layout).flatten(0, -2)
        context = context or ForwardContext(batch.layout, causal=self.config.is_decoder)
        padding = 0
        if context.layout.grid is None and not context.keep_hidden_states:
            padding = padding_tokens(hidden)
        if padding:  # these belong to no sequence, so nothing attends to them; copies of tokens are finite for certain
            hidden = torch.cat([hidden, hidden[:padding].detach()])
        if self.config.embedding_size != self.config.hidden_size:
            hidden = project(self.embeddings_project, hidden)
        encoded: Tensor = self.encoder(hidden, context)
        return encoded[: batch.layout.tokens] if padding and context.first_token_layer is None else encoded

    def call(
        self,
        inputs: Inputs,
        options: OutputOptions,
        *,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Call:
        """Check the arguments of a forward pass and fill in the configuration's defaults.

        Args:
            inputs: the first five arguments of `forward`.
            options: its last three.
            encoder_hidden_states: as in `forward`.
            encoder_attention_mask: as `encoder_hidden_states`.
            cache: of a decoder, filled by this call.

        Raises:
            ValueError: an argument cannot be read by this network; the message names it.
        """
        config = self.config
        output_attentions, output_hidden_states, return_dict = options
        batch = self.batch(*inputs, past=cache.get_seq_length() if cache is not None else 0)
        context = ForwardContext(
            batch.layout,
            # a mask for each query says all of what a decoder may attend to, as in transformers
            causal=config.is_decoder and not (batch.layout.mask is not None and batch.layout.mask.dim() == 4),
            eager=config._attn_implementation == "eager" and batch.layout.grid is not None,
            keep_attentions=config.output_attentions if output_attentions is None else output_attentions,
            keep_hidden_states=self._hidden_state_numbers(output_hidden_states),
        )
        if config.is_decoder and encoder_hidden_states is not None:  # an encoder ignores them, as in transformers
            self._add_encoder_states(context, encoder_hidden_states, encoder_attention_mask)
        if cache is not None:
            cache.check_rows(batch.layout.rows)
            context.cache = cache
        if batch.layout.grid is None and context.needs_padded:
            raise ValueError("attentions, caches and cross-attention need a padded grid, and a ragged Batch was given")
        return Call(self, batch, inputs[-1], context, config.return_dict if return_dict is None else return_dict)

    def _hidden_state_numbers(self, output_hidden_states: HiddenStates) -> frozenset[int]:
        """Which hidden states to record, by number from 0."""
        wanted = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        count = self.config.num_hidden_layers + 1
        if isinstance(wanted, bool):
            return frozenset(range(count)) if wanted else frozenset()
        numbers = [wanted] if isinstance(wanted, int) else list(wanted)
        for number in numbers:
            if not isinstance(number, int) or isinstance(number, bool) or not -count <= number < count:
                allowed = f"True, False, or numbers from {-count} to {count - 1}"
                raise ValueError(f"output_hidden_states has {number!r}: it must be {allowed}")
        return frozenset(number % count for number in numbers)

    def _add_encoder_states(self, context: ForwardContext, states: Tensor, mask: Tensor | None) -> None:
        """What a decoder's cross-attention reads, [B, S, H], and its mask."""
        if not self.config.add_cross_attention:
            raise ValueError("encoder_hidden_states were given, which needs a config with add_cross_attention=True")
        words = self.embeddings.word_embeddings.weight
        check_encoder_states(states, mask, context.layout.rows, self.config.hidden_size, words)
        context.encoder_hidden_states = states
        if mask is not None:
            context.encoder_attention_mask = mask != 0 if mask.dim() == 2 else mask

    def new_cache(self, past: KeyValueCache | None, use_cache: bool | None) -> KeyValueCache | None:
        """The cache that a call fills: the given one, a new one for a decoder, or None.

        Args:
            past: what an earlier call returned.
            use_cache: whether to return keys and values. Default: `config.use_cache`.
        """
        if past is not None:
            return KeyValueCache.of(past)
        wanted = self.config.use_cache if use_cache is None else use_cache
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
        """Encode a batch.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            encoder_hidden_states: what a decoder with cross-attention reads, [B, S, hidden_size].
            encoder_attention_mask: [B, S], 1 for the states that are read. Default: all.
            past_key_values: keys and values of earlier tokens, as an earlier call returned them; `attention_mask` then
                covers them too.
            use_cache: return keys and values for the next call; decoders only. Default: `config.use_cache`.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `last_hidden_state` [B, L, hidden_size], or [T, hidden_size] for a ragged batch; `past_key_values` of a
            decoder;
            `hidden_states` (layers + 1 of [B, L, hidden_size] or [T, hidden_size]; None where not asked for) and
            `attentions` (one of [B, heads, L, L] for each layer), if asked for. With return_dict=False: the tuple of
            those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
        """
        cache = self.new_cache(past_key_values, False if isinstance(input_ids, Batch) else use_cache)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.call(
            inputs,
            options,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cache=cache,
        )
        hidden = call.layout.unflatten(call.encode())
        return call.output(BaseModelOutputWithPastAndCrossAttentions, last_hidden_state=hidden, past_key_values=cache)
