"""Masked language modelling, the objective that replaced-token detection is measured against: one network guesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from electra.batch import Batch
from electra.nn.heads import weighted_token_loss
from electra.objective.masking import MaskedTokens, Masking
from electra.objective.replaced_token_detection import SpecialTokens, special_ids_of


@dataclass
class MaskedLanguageModelingOutput:
    """loss: [].  generator_logits: [M, V] at the masked positions.  masked: what was masked."""

    loss: Tensor
    generator_logits: Tensor
    masked: MaskedTokens

    @property
    def generator_loss(self) -> Tensor:
        """The loss, as it is called where there is another one."""
        return self.loss


class MaskedLanguageModeling(nn.Module):
    """A network that learns to guess masked tokens, masked and weighted as ELECTRA's generator learns it.

    (google-research/electra run_pretraining.py with electra_objective=False: the encoder of the discriminator's size.)

    generator: an ElectraForMaskedLM.  masking: which tokens are masked.  tokenizer: knows the special tokens.
    """

    def __init__(self, generator: Any, *, masking: Masking, tokenizer: SpecialTokens) -> None:
        super().__init__()
        self.generator = generator
        self.masking = masking
        self.mask_token_id, self.special_token_ids = special_ids_of(tokenizer)

    def forward(self, batch: Batch, *, masked: MaskedTokens) -> MaskedLanguageModelingOutput:
        """A batch, and what of it is masked."""
        hidden = self.generator.electra.encode(batch.replace_ids(masked.input_ids))
        logits = self.generator.predict_words(hidden[masked.positions])
        loss = weighted_token_loss(logits, masked.original_ids, masked.weights)
        return MaskedLanguageModelingOutput(loss, logits, masked)
