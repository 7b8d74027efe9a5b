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
from electra.nn.arguments import check_range, check_tensor, check_whole
from electra.nn.cache import KeyValueCache
from electra.nn.heads import ElectraDiscriminatorPredictions, ElectraGeneratorPredictions
from electra.nn.kernels.linear import project
from electra.nn.losses import next_token_labels, replaced_token_loss, token_loss
from electra.nn.outputs import CausalLMOutputWithCrossAttentions, ElectraForPreTrainingOutput, MaskedLMOutput


class ElectraForPreTraining(ElectraPreTrainedModel):
    """The discriminator: was this token replaced?"""

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
        """labels: [B, L] or [T], 1 replaced, 0 original, -100 not counted; padding does not count either."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        flat = call.per_token("labels", labels, 2, whole=False)
        scores = self.discriminator_predictions(call.encode())
        loss = None if flat is None else replaced_token_loss(scores, flat, call.layout.real_tokens())
        return call.output(ElectraForPreTrainingOutput, loss=loss, logits=call.layout.unflatten(scores))


class _LanguageModel(ElectraPreTrainedModel):
    """An encoder and the vocabulary head. Abstract."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "generator_lm_head.weight": "electra.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.electra = ElectraModel(config)
        self.generator_predictions = ElectraGeneratorPredictions(config)
        self.generator_lm_head = nn.Linear(config.embedding_size, config.vocab_size)
        self.post_init()

    def predict_words(self, hidden: Tensor) -> Tensor:
        """[M, H] -> [M, V]"""
        return project(self.generator_lm_head, self.generator_predictions(hidden))


class ElectraForMaskedLM(_LanguageModel):
    """The generator: which token belongs here?"""

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
        """labels: [B, L] or [T], the token that belongs there, -100 not counted."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        flat = call.per_token("labels", labels, self.config.vocab_size)
        scores = self.predict_words(call.encode())
        loss = None if flat is None else token_loss(scores, flat)
        return call.output(MaskedLMOutput, loss=loss, logits=call.layout.unflatten(scores))


class ElectraForCausalLM(Generative, _LanguageModel):
    """The generator as a decoder: which token comes next? Attention is causal where `config.is_decoder`."""

    # transformers' Trainer reads both: it then counts the labels of an accumulated batch, and the shifted ones alone
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
        """labels: [B, L] or [T], the ids themselves (they are shifted here), -100 not counted.

        shift_labels: the same, shifted already; they count in place of `labels`. (It is no argument by name, since
        transformers' Trainer wants everything that is one, and has "label" in its name, in every batch.)
        logits_to_keep: score the last so many columns alone (0: all), or these columns.
        num_items_in_batch: divide the sum of the losses by this, in place of the number of labels.
        """
        shift_labels = _shift_labels(shifted)
        learning = labels is not None or shift_labels is not None
        if learning and not (isinstance(logits_to_keep, int) and logits_to_keep == 0):
            raise ValueError("labels need the scores of all tokens: leave logits_to_keep at 0")
        if isinstance(num_items_in_batch, int) and num_items_in_batch < 1:
            raise ValueError(f"num_items_in_batch={num_items_in_batch}: the sum of the losses is divided by it")
        ragged = isinstance(input_ids, Batch)
        use_cache = False if ragged or learning else use_cache
        cache = self.electra.new_cache(past_key_values, use_cache)
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(
            given,
            wanted,
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


def _shift_labels(further: dict[str, Tensor | None]) -> Tensor | None:
    """The one further argument that there is; any other is a TypeError, as Python's own."""
    shift_labels = further.pop("shift_labels", None)
    for name in further:
        raise TypeError(f"ElectraForCausalLM.forward() got an unexpected keyword argument {name!r}")
    return shift_labels


def _columns(logits_to_keep: int | Tensor, columns: int) -> slice | Tensor | None:
    """Which columns of a grid are scored; None: all."""
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
