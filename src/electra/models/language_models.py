"""The two networks of pretraining, discriminator and generator, and the generator as a decoder."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.generation.generate import Generative
from electra.generation.generation_config import GenerationConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.electra_model import ElectraModel, HiddenStates
from electra.nn.cache import KeyValueCache
from electra.nn.encoder import CausalLMOutputWithCrossAttentions, ElectraForPreTrainingOutput, MaskedLMOutput
from electra.nn.heads import (
    ElectraDiscriminatorPredictions,
    ElectraGeneratorPredictions,
    next_token_labels,
    replaced_token_loss,
    token_loss,
)
from electra.nn.input_checks import check_range, check_tensor, check_whole
from electra.nn.kernels.cpu_kernels import project


class ElectraForPreTraining(ElectraPreTrainedModel):
    """The discriminator: for every token, whether it was replaced.

    Its encoder is what fine-tuning starts from.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForPreTraining
        >>> model = ElectraForPreTraining(ElectraConfig.preset("tiny")).eval()
        >>> (model(torch.tensor([[101, 2023, 2003, 102]])).logits > 0).shape  # True: replaced
        torch.Size([1, 4])
    """

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.electra = ElectraModel(config)
        self.discriminator_predictions = ElectraDiscriminatorPredictions(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> ElectraForPreTrainingOutput | tuple[Any, ...]:
        """Score each token as replaced.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            labels: [B, L], or [T] for a ragged batch: 1 for replaced, 0 for original, -100 where none counts. Padding
                does not count either.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are labels; `logits` [B, L], or [T] for a ragged batch, above 0 for replaced;
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
        flat = call.per_token("labels", labels, 2, whole=False)
        scores = self.discriminator_predictions(call.encode())
        loss = None if flat is None else replaced_token_loss(scores, flat, call.layout.real_tokens())
        return call.output(ElectraForPreTrainingOutput, loss=loss, logits=call.layout.unflatten(scores))


class _LanguageModel(ElectraPreTrainedModel):
    """The encoder and the head over the vocabulary, whose output layer shares the word embeddings. Abstract."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.electra = ElectraModel(config)
        self.generator_predictions = ElectraGeneratorPredictions(config)
        self.generator_lm_head = nn.Linear(config.embedding_size, config.vocab_size)
        self.electra.tied_inside = type(self).__name__
        self.post_init()

    def predict_words(self, hidden: Tensor) -> Tensor:
        """The vocabulary's scores at M tokens: [M, H] -> [M, V]."""
        return project(self.generator_lm_head, self.generator_predictions(hidden))


class ElectraForMaskedLM(_LanguageModel):
    """The generator: which token belongs at each position, for masked language modeling.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForMaskedLM
        >>> model = ElectraForMaskedLM(ElectraConfig.preset("tiny").generator()).eval()
        >>> model(torch.tensor([[101, 2023, 103, 102]])).logits[0, 2].shape  # the vocabulary's scores at [MASK]
        torch.Size([30522])
    """

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """Score the vocabulary at each position.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            labels: int64 [B, L], or [T] for a ragged batch: the token that belongs there, or -100 where none counts.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are labels; `logits` [B, L, vocab_size], or [T, vocab_size] for a ragged batch;
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
        flat = call.per_token("labels", labels, self.config.vocab_size)
        scores = self.predict_words(call.encode())
        loss = None if flat is None else token_loss(scores, flat)
        return call.output(MaskedLMOutput, loss=loss, logits=call.layout.unflatten(scores))


class ElectraForCausalLM(Generative, _LanguageModel):
    """The generator as a decoder: which token comes next. Attention is causal if `config.is_decoder` is True.

    `generate` continues texts.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForCausalLM
        >>> model = ElectraForCausalLM(ElectraConfig.preset("tiny", is_decoder=True)).eval()
        >>> model(torch.tensor([[101, 2023, 2003]])).logits[:, -1].shape  # the vocabulary's scores as the next token
        torch.Size([1, 30522])
    """

    # transformers' Trainer reads both: it then passes num_items_in_batch, and counts shifted labels alone
    accepts_loss_kwargs = True
    loss_type = "ForCausalLM"

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.generation_config = GenerationConfig.from_model_config(config)

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        *,
        num_items_in_batch: Tensor | int | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
        **shifted: Tensor | None,
    ) -> CausalLMOutputWithCrossAttentions | tuple[Any, ...]:
        """Score the vocabulary as each token's successor.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            encoder_hidden_states: what a decoder with cross-attention reads, [B, S, hidden_size].
            encoder_attention_mask: [B, S], 1 for the states that are read. Default: all.
            labels: int64 [B, L], or [T] for a ragged batch: the input ids themselves, which are shifted here; -100
                where none counts.
            past_key_values: keys and values of earlier tokens, as an earlier call returned them; `attention_mask` then
                covers them too.
            use_cache: return keys and values for the next call; decoders only. Default: `config.use_cache`; False with
                labels.
            logits_to_keep: score only so many of the last tokens (0: all), or the columns in this int64 tensor.
            num_items_in_batch: divide the sum of the losses by this, in place of the number of labels.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.
            **shifted: `shift_labels`, labels that are shifted already; used in place of `labels`. It is not named in
                the signature, since transformers' Trainer expects every named argument with "label" in its name in each
                batch.

        Returns:
            `loss` [] if there are labels; `logits` [B, L, vocab_size], or [T, vocab_size] for a ragged batch;
            `past_key_values` of a decoder; `hidden_states`, `attentions` and `cross_attentions` if asked for, as in
            `ElectraModel.forward`. With return_dict=False: the tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
            TypeError: a keyword is none of these.
        """
        shift_labels = _shift_labels(shifted)
        has_labels = labels is not None or shift_labels is not None
        if has_labels and not (isinstance(logits_to_keep, int) and logits_to_keep == 0):
            raise ValueError("labels need the scores of all tokens: leave logits_to_keep at 0")
        if isinstance(num_items_in_batch, int) and num_items_in_batch < 1:
            raise ValueError(f"num_items_in_batch={num_items_in_batch}: the sum of the losses is divided by it")
        ragged = isinstance(input_ids, Batch)
        use_cache = False if ragged or has_labels else use_cache
        cache = self.electra.new_cache(past_key_values, use_cache)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(
            inputs,
            options,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask,
            cache=cache,
        )
        flat = call.per_token("labels", labels, self.config.vocab_size)
        following = call.per_token("shift_labels", shift_labels, self.config.vocab_size)
        if flat is not None and following is None:
            following = next_token_labels(flat, call.layout)
        columns = None if ragged else _columns(logits_to_keep, call.layout.longest)
        hidden = call.layout.unflatten(call.encode())
        scores = self.predict_words(hidden if columns is None else hidden[:, columns])
        loss = None
        if following is not None:
            loss = token_loss(scores.flatten(0, -2).float(), following, num_items_in_batch)
        return call.output(CausalLMOutputWithCrossAttentions, loss=loss, logits=scores, past_key_values=cache)


def _shift_labels(keywords: dict[str, Tensor | None]) -> Tensor | None:
    """The one further keyword that is allowed; any other is a TypeError, as Python's own."""
    shift_labels = keywords.pop("shift_labels", None)
    for name in keywords:
        raise TypeError(f"ElectraForCausalLM.forward() got an unexpected keyword argument {name!r}")
    return shift_labels


def _columns(logits_to_keep: int | Tensor, columns: int) -> slice | Tensor | None:
    """Which columns of a padded batch are scored; None: all."""
    if isinstance(logits_to_keep, int):
        if logits_to_keep < 0:
            raise ValueError(f"logits_to_keep={logits_to_keep}: how many of the last columns to score, or 0 for all")
        return slice(-logits_to_keep, None) if logits_to_keep else None
    check_tensor("logits_to_keep", logits_to_keep)
    if logits_to_keep.dim() != 1:
        raise ValueError(f"logits_to_keep has the shape {list(logits_to_keep.shape)}: it must be [columns]")
    check_whole("logits_to_keep", logits_to_keep)
    check_range("logits_to_keep", logits_to_keep, columns)
    return logits_to_keep
