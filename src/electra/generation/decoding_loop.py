"""The loop of generating: read what is new, score the next token, choose one, until every text is finished."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from electra.generation.beams import Beams
from electra.generation.generation_outputs import GenerateDecoderOnlyOutput, Record
from electra.generation.generation_plan import Plan
from electra.generation.prompt import Prompt
from electra.generation.score_rules import Rule
from electra.generation.stopping import Stopping
from electra.nn.cache import KeyValueCache
from electra.nn.encoder import CausalLMOutputWithCrossAttentions


def decode(
    search: Rows | Beams, reader: Reader, rules: Sequence[Rule], record: Record, streamer: Any = None
) -> GenerateDecoderOnlyOutput | Any:
    """Continue the texts of `search` to their ends, and return its output."""
    if streamer is not None:
        streamer.put(search.ids.cpu())
    while not search.done:
        output = reader.read(search.ids)
        assert output.logits is not None
        logits = output.logits[:, -1].float()
        scores = search.weigh(logits)
        for rule in rules:
            scores = rule(search.ids, scores)
        record.add(scores, logits, output)
        search.advance(scores, record)
        reader.reorder(search.parents)
        if streamer is not None:
            streamer.put(search.ids[:, -1].cpu())
    if streamer is not None:
        streamer.end()
    return search.output(record)


class Rows:
    """One text for each row: the likeliest token at each step, or a sampled one.

    Attributes:
        ids: int64 [R, n].
        done: whether all are finished.
        parents: None: each text continues itself.
    """

    parents: Tensor | None = None

    def __init__(self, ids: Tensor, plan: Plan, stopping: Stopping) -> None:
        self.ids = ids
        self.plan = plan
        self.stopping = stopping
        self.done = False
        self._open = torch.ones(ids.shape[0], dtype=torch.bool, device=ids.device)

    def weigh(self, logits: Tensor) -> Tensor:
        """The scores that the rules are applied to: [R, V] -> [R, V]."""
        return logits

    def advance(self, scores: Tensor, record: Record) -> None:
        """Choose a token for each row by its scores [R, V]."""
        if self.plan.sampled:
            tokens = torch.multinomial(scores.softmax(-1), 1)[:, 0]
        else:
            tokens = scores.argmax(-1)
        if self.stopping.pads and self.plan.pad is not None:
            tokens = tokens.where(self._open, self.plan.pad)
        self.ids = torch.cat((self.ids, tokens[:, None]), 1)
        self._open = self._open & ~self.stopping(self.ids, record.scores)
        self.done = not self._open.any()

    def output(self, record: Record) -> GenerateDecoderOnlyOutput:
        return GenerateDecoderOnlyOutput(self.ids, **vars(record))


class Reader:
    """The network reading growing texts: with a cache only new tokens, without one all of them at each step.

    Args:
        model: the decoder.
        prompt: with a row for every text.
        plan: how to generate.
    """

    def __init__(self, model: Any, prompt: Prompt, plan: Plan) -> None:
        self.model = model
        options = plan.options
        # vectors stand for the prompt alone, so what comes after it must be read by itself
        wanted = bool(options.use_cache) or prompt.inputs_embeds is not None
        use_cache = wanted and model.config.is_decoder
        # None at first: the model makes one, and wrappers of a model (PEFT) recognise the first pass by it
        self.cache: KeyValueCache | None = prompt.past_key_values if use_cache else None
        self._is_first = True
        # without padding the kernels are faster without a mask
        self._is_padded = not bool(prompt.mask.all())
        self._inputs: dict[str, Any] = {
            "attention_mask": prompt.mask,
            "position_ids": prompt.position_ids,
            "token_type_ids": prompt.token_type_ids,
            "encoder_hidden_states": prompt.encoder_hidden_states,
            "encoder_attention_mask": prompt.encoder_attention_mask,
            "inputs_embeds": prompt.inputs_embeds,
            "use_cache": use_cache,
            "logits_to_keep": 1,
            "output_attentions": bool(options.output_attentions),
            "output_hidden_states": bool(options.output_hidden_states),
        }

    def read(self, ids: Tensor) -> CausalLMOutputWithCrossAttentions:
        """The network's output for the last column of the texts so far, int64 [R, n]."""
        inputs = self.model.prepare_inputs_for_generation(
            ids,
            next_sequence_length=self._unread(),
            past_key_values=self.cache,
            is_first_iteration=self._is_first,
            **self._inputs | ({} if self._is_padded else {"attention_mask": None}),
        )
        output: CausalLMOutputWithCrossAttentions = self.model(**inputs, return_dict=True)
        self.cache = output.past_key_values
        self._is_first = False
        self._append_column()
        return output

    def reorder(self, parents: Tensor | None) -> None:
        """Continue these rows of the cache: int64 [R]."""
        if parents is not None and self.cache is not None:
            self.cache.reorder_cache(parents)

    def _unread(self) -> int | None:
        """How many of the last columns the network has not read; None: all of them are read (again)."""
        if self.cache is None:
            return None
        return self._inputs["attention_mask"].shape[1] - self.cache.get_seq_length() if self._is_first else 1

    def _append_column(self) -> None:
        """One more column of the inputs: not masked, at the next position, of the last token's type."""
        inputs = self._inputs
        mask, positions, types = inputs["attention_mask"], inputs["position_ids"], inputs["token_type_ids"]
        inputs["attention_mask"] = torch.cat((mask, torch.ones_like(mask[:, :1])), 1)
        inputs["position_ids"] = torch.cat((positions, positions[:, -1:] + 1), 1)
        if types is not None:
            inputs["token_type_ids"] = torch.cat((types, types[:, -1:]), 1)
