"""What `generate` returns where more than the token ids is asked for, in transformers' names and order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from electra.generation.generation_config import GenerationConfig
from electra.nn.cache import KeyValueCache
from electra.nn.encoder import CausalLMOutputWithCrossAttentions, ModelOutput, Tensors


@dataclass
class GenerateDecoderOnlyOutput(ModelOutput):
    """Texts, and what led to them; all but `sequences` and the cache have an entry for each new token.

    Attributes:
        sequences: int64 [rows, columns].
        scores: after all rules, [rows, V].
        logits: of the network, [rows, V].
        attentions, hidden_states: of the forward pass, one for each layer.
        past_key_values: the cache.
    """

    sequences: Tensor | None = None
    scores: Tensors | None = None
    logits: Tensors | None = None
    attentions: tuple[Tensors, ...] | None = None
    hidden_states: tuple[Tensors, ...] | None = None
    past_key_values: KeyValueCache | None = None


@dataclass
class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """As `GenerateDecoderOnlyOutput`, with a row of scores for every beam.

    Attributes:
        sequences_scores: each text's log probability with the length penalty, [rows].
        beam_indices: the row of `scores` in which each new token was chosen, -1 behind the end, int32 [rows, new
            tokens].
    """

    sequences: Tensor | None = None
    sequences_scores: Tensor | None = None
    scores: Tensors | None = None
    logits: Tensors | None = None
    beam_indices: Tensor | None = None
    attentions: tuple[Tensors, ...] | None = None
    hidden_states: tuple[Tensors, ...] | None = None
    past_key_values: KeyValueCache | None = None


class Record:
    """What is kept of each step for the output, as the options ask; None for what is not kept."""

    def __init__(self, options: GenerationConfig) -> None:
        def start(wanted: bool | None) -> Any:
            return () if wanted and options.return_dict_in_generate else None

        self.scores: Tensors | None = start(options.output_scores)
        self.logits: Tensors | None = start(options.output_logits)
        self.attentions: tuple[Tensors, ...] | None = start(options.output_attentions)
        self.hidden_states: tuple[Tensors, ...] | None = start(options.output_hidden_states)
        self.past_key_values: KeyValueCache | None = None

    def add(self, scores: Tensor, logits: Tensor, output: CausalLMOutputWithCrossAttentions) -> None:
        """Add a step: scores and logits [rows, V], and the network's output."""
        step = {
            "scores": scores,
            "logits": logits,
            "attentions": output.attentions,
            "hidden_states": output.hidden_states,
        }
        for name, value in step.items():
            if getattr(self, name) is not None and value is not None:
                setattr(self, name, (*getattr(self, name), value))
        self.past_key_values = output.past_key_values
