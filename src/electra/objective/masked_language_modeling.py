"""Masked language modeling, the objective that replaced-token detection is compared with: one network predicts."""

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
    """loss: [].  generator_logits: [M, V] at the masked positions.  masked: the masked tokens."""

    loss: Tensor
    generator_logits: Tensor
    masked: MaskedTokens

    @property
    def generator_loss(self) -> Tensor:
        """The loss, by its name in replaced-token detection."""
        return self.loss


class MaskedLanguageModeling(nn.Module):
    """A network that is trained to predict masked tokens, with the masking and the loss of ELECTRA's generator.

    (google-research/electra run_pretraining.py with electra_objective=False: the encoder of the discriminator's size.)
    """

    def __init__(self, generator: Any, *, masking: Masking, tokenizer: SpecialTokens) -> None:
        """Put a network and its masking together.

        Args:
            generator: an ElectraForMaskedLM.
            masking: which tokens are masked.
            tokenizer: knows the special tokens.
        """
        super().__init__()
        self.generator = generator
        self.masking = masking
        self.mask_token_id, self.special_token_ids = special_ids_of(tokenizer)

    def forward(self, batch: Batch, *, masked: MaskedTokens) -> MaskedLanguageModelingOutput:
        """Predict the masked tokens.

        Args:
            batch: of T tokens.
            masked: M of them.

        Returns:
            The loss and the scores of the vocabulary.
        """
        hidden = self.generator.electra.encode(batch.replace_ids(masked.input_ids))
        logits = self.generator.predict_words(hidden[masked.positions])
        loss = weighted_token_loss(logits, masked.original_ids, masked.weights)
        return MaskedLanguageModelingOutput(loss, logits, masked)
