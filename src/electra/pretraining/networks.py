"""The two networks, with fresh weights."""

from __future__ import annotations

import torch

from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.nn.initialize import initialize_like_google
from electra.nn.pretraining import ReplacedTokenDetection
from electra.pretraining.config import PretrainConfig
from electra.text.tokenizer import ElectraTokenizer


def build_networks(config: PretrainConfig, tokenizer: ElectraTokenizer) -> ReplacedTokenDetection:
    """Both networks with fresh weights that follow from the seed."""
    shape = config.discriminator
    shape.update({"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id})
    networks = ReplacedTokenDetection(
        ElectraForMaskedLM(shape.generator(config.generator_fraction)),
        ElectraForPreTraining(shape),
        masking=config.masking,
        tokenizer=tokenizer,
    )
    initialize_like_google(networks, shape.initializer_range, torch.Generator().manual_seed(config.seed))
    return networks
