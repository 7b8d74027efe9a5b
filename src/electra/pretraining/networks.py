"""The networks of a run, with fresh weights: generator and discriminator, or the one network of `mlm`"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from electra.config import ElectraConfig
from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.models.base import ElectraPreTrainedModel
from electra.nn.encoder import ElectraAttentionHeads
from electra.nn.initialize import initialize_like_google
from electra.objective.masked_language_modeling import MaskedLanguageModeling, MaskedLanguageModelingOutput
from electra.objective.masking import Masking
from electra.objective.replaced_token_detection import ReplacedTokenDetection, ReplacedTokenDetectionOutput
from electra.pretraining.pretrain_config import PretrainConfig
from electra.text.tokenizer import ElectraTokenizer

Networks = ReplacedTokenDetection | MaskedLanguageModeling
Output = ReplacedTokenDetectionOutput | MaskedLanguageModelingOutput


def build_networks(config: PretrainConfig, tokenizer: ElectraTokenizer) -> Networks:
    """Both networks, or the one of `mlm`, with fresh weights that follow from the seed.

    Their configurations keep the dropout of fine-tuning, 0.1, whatever it is in pretraining, because Google's scripts
    build a new network for either.
    """
    shape = shape_of(config, tokenizer)
    networks = _assembled(config, tokenizer, shape)
    initialize_like_google(networks, shape.initializer_range, torch.Generator().manual_seed(config.seed))
    for module in networks.modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    for module in networks.modules():
        if isinstance(module, ElectraAttentionHeads):
            module.dropout.p = config.attention_dropout
    return networks


def shape_of(config: PretrainConfig, tokenizer: ElectraTokenizer) -> ElectraConfig:
    """The configuration of the discriminator, or of the one network of `mlm`, with its vocabulary."""
    shape = config.discriminator
    shape.update({"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id})
    return shape


def _assembled(config: PretrainConfig, tokenizer: ElectraTokenizer, shape: ElectraConfig) -> Networks:
    generator, masking = ElectraForMaskedLM(config.generator_of(shape)), _masking(config, tokenizer)
    if config.objective == "mlm":
        return MaskedLanguageModeling(generator, masking=masking, tokenizer=tokenizer)
    return ReplacedTokenDetection(
        generator, ElectraForPreTraining(shape), untied=config.untied, masking=masking, tokenizer=tokenizer
    )


def _masking(config: PretrainConfig, tokenizer: ElectraTokenizer) -> Masking:
    """The masking strategy; for whole words, with the tokens that continue one."""
    if not config.whole_words or config.word_boundaries is not None:  # then the examples know the words
        return config.masking
    continuations = continuing_pieces(tokenizer)
    if not continuations.any():
        raise ValueError(
            "whole_words: no piece of this vocabulary begins with ##, so that every piece is a word; leave it out, or "
            "give word_boundaries"
        )
    return replace(config.masking, continuations=continuations)


def continuing_pieces(tokenizer: ElectraTokenizer) -> torch.Tensor:
    """Which tokens continue the word of the token before: bool [V]"""
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    special = set(tokenizer.all_special_tokens)
    return torch.tensor([piece.startswith("##") and piece not in special for piece in pieces])


def published(networks: Networks) -> dict[str, ElectraPreTrainedModel]:
    """The networks that become model folders, by the folder's name."""
    if isinstance(networks, MaskedLanguageModeling):
        return {"model": networks.generator}
    return {"discriminator": networks.discriminator, "generator": networks.generator}
