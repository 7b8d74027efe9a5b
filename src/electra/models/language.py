"""The two networks of pretraining, discriminator and generator, and the generator as a decoder."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.encoder import ElectraModel
from electra.nn.cache import KeyValueCache
from electra.nn.grid import check_range
from electra.nn.heads import ElectraDiscriminatorPredictions, ElectraGeneratorPredictions
from electra.nn.losses import IGNORED, next_token_labels, replaced_token_loss, token_loss
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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ElectraForPreTrainingOutput | tuple[Any, ...]:
        """labels: [B, L] or [T], 1 replaced, 0 original, -100 not counted; padding does not count either."""
        encoded = self.electra.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        scores = self.discriminator_predictions(encoded.hidden)
        loss = None
        if labels is not None:
            flat = encoded.per_token("labels", labels)
            check_range("labels", flat, 2, IGNORED)
            loss = replaced_token_loss(scores, flat, encoded.layout.real_tokens())
        return encoded.output(ElectraForPreTrainingOutput, loss=loss, logits=encoded.layout.unflatten(scores))


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
        scores: Tensor = self.generator_lm_head(self.generator_predictions(hidden))
        return scores


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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> MaskedLMOutput | tuple[Any, ...]:
        """labels: [B, L] or [T], the token that belongs there, -100 not counted."""
        encoded = self.electra.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        scores = self.predict_words(encoded.hidden)
        loss = None
        if labels is not None:
            flat = encoded.per_token("labels", labels)
            check_range("labels", flat, self.config.vocab_size, IGNORED)
            loss = token_loss(scores, flat)
        return encoded.output(MaskedLMOutput, loss=loss, logits=encoded.layout.unflatten(scores))


class ElectraForCausalLM(_LanguageModel):
    """The generator as a decoder: which token comes next? Attention is causal where `config.is_decoder`."""

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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> CausalLMOutputWithCrossAttentions | tuple[Any, ...]:
        """labels: [B, L] or [T], the ids themselves (they are shifted here), -100 not counted.

        logits_to_keep: score the last so many columns alone (0: all), or these columns.
        num_items_in_batch: divide the sum of the losses by this, in place of the number of labels.
        """
        if labels is not None and not (isinstance(logits_to_keep, int) and logits_to_keep == 0):
            raise ValueError("labels need the scores of all tokens: leave logits_to_keep at 0")
        ragged = isinstance(input_ids, Batch)
        cache = None if ragged or labels is not None else self.electra.new_cache(past_key_values, use_cache)
        encoded = self.electra.run(
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
        if not ragged:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            hidden = hidden[:, kept]
        scores = self.predict_words(hidden)
        loss = None
        if labels is not None:
            flat = encoded.per_token("labels", labels)
            check_range("labels", flat, self.config.vocab_size, IGNORED)
            following = next_token_labels(flat, encoded.layout)
            loss = token_loss(scores.flatten(0, -2).float(), following, num_items_in_batch)
        return encoded.output(CausalLMOutputWithCrossAttentions, loss=loss, logits=scores, past_key_values=cache)
