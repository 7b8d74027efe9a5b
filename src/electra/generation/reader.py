"""The network's side of generating: what it has read, and one forward pass over what it has not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from electra.generation.generation_plan import Plan
from electra.generation.prompt import Prompt
from electra.nn.cache import KeyValueCache
from electra.nn.outputs import CausalLMOutputWithCrossAttentions


class Reader:
    """Reads growing texts: with a cache only their new tokens, without one all of them again at each step."""

    def __init__(self, model: Any, prompt: Prompt, plan: Plan) -> None:
        """prompt: with a row for every text."""
        self.model = model
        options = plan.options
        # vectors stand for the prompt alone, so what comes after it must be read by itself
        wanted = bool(options.use_cache) or prompt.inputs_embeds is not None
        self._cached = wanted and model.config.is_decoder
        # None at first: the model makes one, and what wraps a model (PEFT) knows by it that this is the first pass
        self.cache: KeyValueCache | None = prompt.past_key_values if self._cached else None
        self._begun = False
        # without padding the kernels are faster without a mask
        self._is_padded = not bool(prompt.mask.all())
        self._inputs: dict[str, Any] = {
            "attention_mask": prompt.mask,
            "position_ids": prompt.position_ids,
            "token_type_ids": prompt.token_type_ids,
            "encoder_hidden_states": prompt.encoder_hidden_states,
            "encoder_attention_mask": prompt.encoder_attention_mask,
            "inputs_embeds": prompt.inputs_embeds,
            "use_cache": self._cached,
            "logits_to_keep": 1,
            "output_attentions": bool(options.output_attentions),
            "output_hidden_states": bool(options.output_hidden_states),
        }

    def read(self, ids: Tensor) -> CausalLMOutputWithCrossAttentions:
        """The network's output for the last column of the texts so far: int64 [R, n]"""
        inputs = self.model.prepare_inputs_for_generation(
            ids,
            next_sequence_length=self._unread(),
            past_key_values=self.cache,
            is_first_iteration=not self._begun,
            **self._inputs | ({} if self._is_padded else {"attention_mask": None}),
        )
        output: CausalLMOutputWithCrossAttentions = self.model(**inputs, return_dict=True)
        self.cache = output.past_key_values
        self._begun = True
        self._grow()
        return output

    def follow(self, parents: Tensor | None) -> None:
        """The texts go on from these rows: int64 [R]"""
        if parents is not None and self.cache is not None:
            self.cache.reorder_cache(parents)

    def _unread(self) -> int | None:
        """How many of the last columns the network has not read; None: all of them are read (again)."""
        if self.cache is None:
            return None
        return 1 if self._begun else int(self._inputs["attention_mask"].shape[1]) - self.cache.get_seq_length()

    def _grow(self) -> None:
        """A column more of what goes with the texts: real, at the next position, of the last token's type."""
        inputs = self._inputs
        mask, positions, types = inputs["attention_mask"], inputs["position_ids"], inputs["token_type_ids"]
        inputs["attention_mask"] = torch.cat((mask, torch.ones_like(mask[:, :1])), 1)
        inputs["position_ids"] = torch.cat((positions, positions[:, -1:] + 1), 1)
        if types is not None:
            inputs["token_type_ids"] = torch.cat((types, types[:, -1:]), 1)
