"""Replaced token detection: the generator corrupts, the discriminator says where (Clark et al. 2020, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from electra.batch import Batch
from electra.nn.heads import replaced_token_loss, weighted_token_loss
from electra.objective.masking import MaskedTokens, Masking

# The published English vocabulary (30,522 pieces): [CLS], [SEP], [MASK].
_ENGLISH = (30522, (101, 102, 103), 103)


class SpecialTokens(Protocol):
    """What is asked of a tokenizer here."""

    @property
    def mask_token_id(self) -> int | None: ...
    @property
    def cls_token_id(self) -> int | None: ...
    @property
    def sep_token_id(self) -> int | None: ...


@dataclass
class ReplacedTokenDetectionOutput:
    """loss = generator_weight * generator_loss + discriminator_weight * discriminator_loss, all [].

    corrupted_ids, labels: int64 [T], what the discriminator sees and whether it differs from the text (1) or not.
    generator_logits: [M, V] at the masked positions.  discriminator_logits: [T].  sampled_ids: int64 [M].
    masked: what was masked.  All are flat, rows after one another, also where a grid came in.
    """

    loss: Tensor
    generator_loss: Tensor
    discriminator_loss: Tensor
    corrupted_ids: Tensor
    labels: Tensor
    generator_logits: Tensor
    discriminator_logits: Tensor
    sampled_ids: Tensor
    masked: MaskedTokens


class ReplacedTokenDetection(nn.Module):
    """A generator and a discriminator, trained together.

    generator: an ElectraForMaskedLM.  discriminator: an ElectraForPreTraining.  From here on they share the word,
    position and type embeddings and the LayerNorm after them (Google's code: one scope, electra/embeddings), so the
    generator's `embedding_size`, `vocab_size`, `max_position_embeddings` and `type_vocab_size` must be the
    discriminator's: else a ValueError names what differs.
    untied: the generator keeps embeddings of its own (Google's untied_generator_embeddings); then only `vocab_size`
    must be the same.
    discriminator_weight, generator_weight: 50 and 1 in the paper.  temperature: of the generator's samples.
    masking: the law by which `forward` masks when it is not told what is masked.
    tokenizer, or mask_token_id and special_token_ids (those never masked): needed for that, but for the published
    English vocabulary.
    """

    def __init__(
        self,
        generator: Any,
        discriminator: Any,
        *,
        untied: bool = False,
        discriminator_weight: float = 50.0,
        generator_weight: float = 1.0,
        temperature: float = 1.0,
        masking: Masking | None = None,
        tokenizer: SpecialTokens | None = None,
        mask_token_id: int | None = None,
        special_token_ids: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        _check_fit(generator.config, discriminator.config, untied)
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}: it must be above 0")
        self.generator = generator
        self.discriminator = discriminator
        self.discriminator_weight = discriminator_weight
        self.generator_weight = generator_weight
        self.temperature = temperature
        self.masking = masking or Masking()
        self.mask_token_id, self.special_token_ids = _special_ids(
            discriminator.config.vocab_size, tokenizer, mask_token_id, special_token_ids
        )
        self.untied = untied
        if not untied:
            self.share_embeddings()

    def share_embeddings(self) -> None:
        """Make the generator's embeddings the discriminator's."""
        own, shared = self.generator.electra.embeddings, self.discriminator.electra.embeddings
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            getattr(own, name).weight = getattr(shared, name).weight
        own.LayerNorm.weight, own.LayerNorm.bias = shared.LayerNorm.weight, shared.LayerNorm.bias
        self.generator.tie_weights()

    def forward(
        self,
        input_ids: Tensor | Batch,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        *,
        masked: MaskedTokens | None = None,
        sampled_ids: Tensor | None = None,
    ) -> ReplacedTokenDetectionOutput:
        """Ids [B, L] with mask and types as the models take them, or a Batch.

        masked: what is masked; by default drawn here, from torch's random numbers.
        sampled_ids: int64 [M], what the generator is taken to have said; by default sampled.
        """
        batch: Batch = self.discriminator.electra.batch(input_ids, attention_mask, token_type_ids)
        if masked is None:
            masked = self.mask(batch)
        hidden = self.generator.electra.encode(batch.replace_ids(masked.input_ids))
        generator_logits = self.generator.predict_words(hidden[masked.positions])
        generator_loss = weighted_token_loss(generator_logits, masked.original_ids, masked.weights)
        if sampled_ids is None:
            sampled_ids = sample(generator_logits.detach(), masked.uniforms, self.temperature)
        corrupted_ids = replace_tokens(batch.input_ids, masked, sampled_ids)
        labels = (corrupted_ids != batch.input_ids).long()
        hidden = self.discriminator.electra.encode(batch.replace_ids(corrupted_ids))
        discriminator_logits = self.discriminator.discriminator_predictions(hidden)
        discriminator_loss = replaced_token_loss(discriminator_logits.float(), labels, batch.layout.real_tokens())
        return ReplacedTokenDetectionOutput(
            loss=self.generator_weight * generator_loss + self.discriminator_weight * discriminator_loss,
            generator_loss=generator_loss,
            discriminator_loss=discriminator_loss,
            corrupted_ids=corrupted_ids,
            labels=labels,
            generator_logits=generator_logits,
            discriminator_logits=discriminator_logits,
            sampled_ids=sampled_ids,
            masked=masked,
        )

    def mask(self, batch: Batch, uniforms: Tensor | None = None) -> MaskedTokens:
        """Mask a batch; uniforms: float32 [T, 3], by default from torch's random numbers."""
        if self.mask_token_id is None:
            raise ValueError(
                f"which id is [MASK] in this vocabulary of {self.discriminator.config.vocab_size}? Give "
                "ReplacedTokenDetection a tokenizer=, or mask_token_id= and special_token_ids="
            )
        if uniforms is None:
            uniforms = torch.rand(len(batch.input_ids), 3, device=batch.device)
        return self.masking(batch, uniforms, self.special_token_ids, self.mask_token_id)


def sample(logits: Tensor, uniforms: Tensor, temperature: float = 1.0) -> Tensor:
    """One token for each position, from softmax(logits / temperature): [M, V], uniforms [M] -> int64 [M].

    By inverting the distribution function, in float32: in distribution the Gumbel draw of Google's code, with one
    random number for each position in place of V, which half precision cannot spoil.
    """
    scaled = logits.float() if temperature == 1.0 else logits.float() / temperature
    reached = scaled.softmax(-1).cumsum_(-1)
    threshold = uniforms.float()[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, threshold, right=True).squeeze(1).clamp_(max=logits.shape[-1] - 1)


def replace_tokens(input_ids: Tensor, masked: MaskedTokens, sampled_ids: Tensor) -> Tensor:
    """The text with the samples in the masked places: int64 [T].

    A place that was drawn several times gets the floor of the samples' mean, as in Google's code
    (pretrain_helpers.py, scatter_update); where places are distinct that is the sample.
    """
    used = (masked.weights > 0).long()
    count = torch.zeros_like(input_ids).index_add_(0, masked.positions, used)
    total = torch.zeros_like(input_ids).index_add_(0, masked.positions, sampled_ids * used)
    return torch.where(count > 0, total // count.clamp(min=1), input_ids)


def _check_fit(generator: Any, discriminator: Any, untied: bool) -> None:
    shared = ("embedding_size", "vocab_size", "max_position_embeddings", "type_vocab_size")
    for name in ("vocab_size",) if untied else shared:
        ours, theirs = getattr(generator, name), getattr(discriminator, name)
        if ours != theirs and untied:
            raise ValueError(
                f"the generator's {name} is {ours} and the discriminator's {theirs}: one reads what the other writes"
            )
        if ours != theirs:
            raise ValueError(
                f"the generator's {name} is {ours} and the discriminator's {theirs}: they share their embeddings, "
                "so it must be the same (discriminator.config.generator() gives a configuration that fits)"
            )


def special_ids_of(tokenizer: SpecialTokens) -> tuple[int | None, tuple[int, ...]]:
    """Which id is [MASK], and which are never masked."""
    named = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id)
    return tokenizer.mask_token_id, tuple(i for i in named if i is not None)


def _special_ids(
    vocab_size: int, tokenizer: SpecialTokens | None, mask_token_id: int | None, special: Sequence[int] | None
) -> tuple[int | None, tuple[int, ...]]:
    if tokenizer is not None:
        return special_ids_of(tokenizer)
    if mask_token_id is None and vocab_size == _ENGLISH[0]:
        return _ENGLISH[2], _ENGLISH[1]
    given = () if special is None else tuple(special)
    return mask_token_id, given if mask_token_id is None else tuple({*given, mask_token_id})
