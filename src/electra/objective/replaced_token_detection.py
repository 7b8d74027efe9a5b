"""Replaced-token detection: a generator corrupts tokens, the discriminator finds them (Clark et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from electra.batch import Batch
from electra.nn.heads import replaced_token_loss, weighted_token_loss
from electra.objective.masking import MaskedTokens, Masking
from electra.validation import require_positive

# The published English vocabulary (30,522 pieces): [CLS], [SEP], [MASK].
_ENGLISH = (30522, (101, 102, 103), 103)


class SpecialTokens(Protocol):
    """The part of a tokenizer that is used here."""

    @property
    def mask_token_id(self) -> int | None: ...
    @property
    def cls_token_id(self) -> int | None: ...
    @property
    def sep_token_id(self) -> int | None: ...


@dataclass
class ReplacedTokenDetectionOutput:
    """loss = generator_weight * generator_loss + discriminator_weight * discriminator_loss, all [].

    corrupted_ids, labels: int64 [T], the discriminator's input, and 1 where it differs from the text, else 0.
    generator_logits: [M, V] at the masked positions.  discriminator_logits: [T].  sampled_ids: int64 [M].
    masked: the masked tokens.  All are flat, sequences one after another, for padded inputs too.
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
    """A generator and a discriminator, trained together by replaced-token detection.

    The two share the word, position and type embeddings and the LayerNorm after them (Google's code: one scope,
    electra/embeddings), unless `untied`.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ReplacedTokenDetection
        >>> config = ElectraConfig.preset("tiny")
        >>> pair = ReplacedTokenDetection(ElectraForMaskedLM(config.generator()), ElectraForPreTraining(config))
        >>> pair(torch.tensor([[101, 2023, 2003, 2204, 102]])).loss.shape
        torch.Size([])
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
        """Put two networks together. From here on they share their embeddings, unless `untied`.

        Args:
            generator: an ElectraForMaskedLM.
            discriminator: an ElectraForPreTraining.
            untied: the generator keeps its own embeddings (Google's untied_generator_embeddings).
            discriminator_weight: of its loss in the sum; 50 in the paper.
            generator_weight: of its loss in the sum; 1 in the paper.
            temperature: of the generator's samples.
            masking: the strategy by which `forward` masks if `masked` is not given. Default: the paper's.
            tokenizer: knows [MASK] and the tokens that are never masked. Needed for masking, unless the vocabulary is
                the published English one or the next two are given.
            mask_token_id: the id of [MASK].
            special_token_ids: ids that are never masked.

        Raises:
            ValueError: the configurations differ in a size that has to be the same: `vocab_size`, and if embeddings are
                shared `embedding_size`, `max_position_embeddings` and `type_vocab_size`; or temperature is not above 0.
        """
        super().__init__()
        _check_sizes(generator.config, discriminator.config, untied)
        require_positive("temperature", temperature)
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
        """Let the generator use the discriminator's embeddings; needed again after both were resized."""
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
        """Mask, let the generator fill in, and let the discriminator find what was replaced.

        Args:
            input_ids: int64 or int32 [B, L], or a `Batch` of T tokens.
            attention_mask: [B, L], 1 for tokens and 0 for padding. Default: every token counts.
            token_type_ids: int64 [B, L]. Default: 0.
            masked: the masked tokens. Default: chosen here, with torch's random numbers.
            sampled_ids: int64 [M], in place of the generator's samples.

        Returns:
            The losses, and what they were computed from.

        Raises:
            ValueError: an argument cannot be read, [MASK] is unknown, or one of the two networks was resized.
        """
        self._check_shared()
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
        """Choose the masked tokens of a batch.

        Args:
            batch: of T tokens.
            uniforms: float32 [T, 3] in [0, 1). Default: torch's random numbers.

        Raises:
            ValueError: the id of [MASK] is unknown.
        """
        if self.mask_token_id is None:
            raise ValueError(
                f"which id is [MASK] in this vocabulary of {self.discriminator.config.vocab_size}? Give "
                "ReplacedTokenDetection a tokenizer=, or mask_token_id= and special_token_ids="
            )
        if uniforms is None:
            uniforms = torch.rand(len(batch.input_ids), 3, device=batch.device)
        return self.masking(batch, uniforms, self.special_token_ids, self.mask_token_id)

    def _check_shared(self) -> None:
        """Refuse networks of which one was resized after they were put together."""
        _check_sizes(self.generator.config, self.discriminator.config, self.untied)
        words = (half.electra.embeddings.word_embeddings for half in (self.generator, self.discriminator))
        first, second = (embeddings.weight for embeddings in words)
        # sharded parameters are objects of their own, and share what they hold all the same
        plain = type(first) is nn.Parameter and type(second) is nn.Parameter
        if not self.untied and plain and first is not second:
            raise ValueError(
                "generator and discriminator no longer share their embeddings: call share_embeddings(), or give "
                "untied=True"
            )


def sample(logits: Tensor, uniforms: Tensor, temperature: float = 1.0) -> Tensor:
    """Sample a token for each position from softmax(logits / temperature).

    The distribution function is inverted, in float32: the same distribution as the Gumbel samples of Google's code,
    with one random number for each position in place of V, and without the error of half precision.

    Args:
        logits: [M, V].
        uniforms: float32 [M] in [0, 1).
        temperature: above 0.

    Returns:
        int64 [M].
    """
    scaled = logits.float() if temperature == 1.0 else logits.float() / temperature
    reached = scaled.softmax(-1).cumsum_(-1)
    threshold = uniforms.float()[:, None] * reached[:, -1:]
    return torch.searchsorted(reached, threshold, right=True).squeeze(1).clamp_(max=logits.shape[-1] - 1)


def replace_tokens(input_ids: Tensor, masked: MaskedTokens, sampled_ids: Tensor) -> Tensor:
    """The text with the samples at the masked positions.

    A position that was chosen several times gets the floor of its samples' mean, as in Google's code
    (pretrain_helpers.py, scatter_update); for distinct positions that is the sample.

    Args:
        input_ids: int64 [T].
        masked: the M masked tokens.
        sampled_ids: int64 [M].

    Returns:
        int64 [T].
    """
    used = (masked.weights > 0).long()
    count = torch.zeros_like(input_ids).index_add_(0, masked.positions, used)
    total = torch.zeros_like(input_ids).index_add_(0, masked.positions, sampled_ids * used)
    return torch.where(count > 0, total // count.clamp(min=1), input_ids)


def _check_sizes(generator: Any, discriminator: Any, untied: bool) -> None:
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
    """The id of [MASK], and the ids that are never masked."""
    named = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id)
    return tokenizer.mask_token_id, tuple(i for i in named if i is not None)


def _special_ids(
    vocab_size: int, tokenizer: SpecialTokens | None, mask_token_id: int | None, special: Sequence[int] | None
) -> tuple[int | None, tuple[int, ...]]:
    if tokenizer is not None:
        return special_ids_of(tokenizer)
    if mask_token_id is None and vocab_size == _ENGLISH[0]:
        return _ENGLISH[2], _ENGLISH[1]
    never_masked = () if special is None else tuple(special)
    return mask_token_id, never_masked if mask_token_id is None else tuple({*never_masked, mask_token_id})
