"""What `generate` returns where it is asked for more than the token ids, in transformers' names and order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from electra.generation.generation_config import GenerationConfig
from electra.nn.cache import KeyValueCache
from electra.nn.outputs import CausalLMOutputWithCrossAttentions, ModelOutput, Tensors


@dataclass
class GenerateDecoderOnlyOutput(ModelOutput):
    """`sequences`: int64 [rows, columns]. The others have an entry for each new token.

    scores: what it was chosen by, [rows, V]; logits: what the network said, [rows, V]; attentions and hidden_states:
    those of the forward pass, one for each layer.
    """

    sequences: Tensor | None = None
    scores: Tensors | None = None
    logits: Tensors | None = None
    attentions: tuple[Tensors, ...] | None = None
    hidden_states: tuple[Tensors, ...] | None = None
    past_key_values: KeyValueCache | None = None


@dataclass
class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """`sequences`: int64 [rows, columns]; the others as in `GenerateDecoderOnlyOutput`, with a row for every beam.

    sequences_scores: each text's log probability under the length penalty, [rows]; beam_indices: the row of `scores`
    that each new token was chosen in, -1 behind the end, int32 [rows, new tokens].
    """

    sequences: Tensor | None = None
    sequences_scores: Tensor | None = None
    scores: Tensors | None = None
    logits: Tensors | None = None
    beam_indices: Tensor | None = None
    attentions: tuple[Tensors, ...] | None = None
    hidden_states: tuple[Tensors, ...] | None = None
    past_key_values: KeyValueCache | None = None


@dataclass
class Kept:
    """What is kept of the way, as the options ask; None for what is not kept."""

    scores: Tensors | None = None
    logits: Tensors | None = None
    attentions: tuple[Tensors, ...] | None = None
    hidden_states: tuple[Tensors, ...] | None = None
    past_key_values: KeyValueCache | None = None

    @classmethod
    def asked(cls, options: GenerationConfig) -> Kept:
        def empty(wanted: Any) -> tuple[()] | None:
            return () if wanted and options.return_dict_in_generate else None

        return cls(
            empty(options.output_scores),
            empty(options.output_logits),
            empty(options.output_attentions),
            empty(options.output_hidden_states),
        )

    def add(self, scores: Tensor, logits: Tensor, output: CausalLMOutputWithCrossAttentions) -> None:
        """A step's."""
        if self.scores is not None:
            self.scores += (scores,)
        if self.logits is not None:
            self.logits += (logits,)
        if self.attentions is not None and output.attentions is not None:
            self.attentions += (output.attentions,)
        if self.hidden_states is not None and output.hidden_states is not None:
            self.hidden_states += (output.hidden_states,)
        self.past_key_values = output.past_key_values
