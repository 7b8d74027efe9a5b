"""`generate`: prompts to texts, as a method of a model."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from electra.generation.beams import Beams
from electra.generation.decoding_loop import Reader, Rows, decode
from electra.generation.generation_config import FILE, GenerationConfig
from electra.generation.generation_options import check_tokens
from electra.generation.generation_outputs import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput, Record
from electra.generation.generation_plan import Plan, make_plan, merge, special_tokens
from electra.generation.prompt import Prompt, read_prompt
from electra.generation.score_rules import Rule, rules_of
from electra.generation.stopping import Criterion, Stopping
from electra.hub.hub_names import Location, find_file
from electra.nn.cache import KeyValueCache
from electra.validation import require

log = logging.getLogger("electra")

if TYPE_CHECKING:
    _Network = nn.Module
else:
    _Network = object


class Generative(_Network):
    """Mixin for a decoder that says which token comes next: `generate`, and `generation_config`."""

    config: Any
    generation_config: GenerationConfig
    """The defaults of `generate`."""

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it has `generate`."""
        return True

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        logits_processor: Sequence[Rule] | None = None,
        stopping_criteria: Sequence[Criterion] | None = None,
        prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]] | None = None,
        *,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        past_key_values: KeyValueCache | None = None,
        streamer: Any = None,
        tokenizer: Any = None,
        **options: Any,
    ) -> Tensor | GenerateDecoderOnlyOutput | GenerateBeamDecoderOnlyOutput:
        """Continue prompts.

        By default the likeliest token is taken at each step (greedily); with `do_sample=True` one is sampled, by
        torch's global random generator; with `num_beams` above 1 it is a beam search, with both a beam search that
        samples.

        >>> encoding = tokenizer(
        ...     ["the river"], padding_side="left", padding=True, return_tensors="pt"
        ... )  # doctest: +SKIP
        >>> tokenizer.batch_decode(model.generate(**encoding, max_new_tokens=20))  # doctest: +SKIP

        Args:
            inputs: the prompts' ids, int64 [B, L], also as `input_ids`; padding belongs on the left. Without any, texts
                begin with `bos_token_id`.
            generation_config: options; those of the call override them, and they override the model's own.
            logits_processor: further functions (ids [R, n], scores [R, V]) -> scores [R, V].
            stopping_criteria: further functions (ids [R, n], scores so far or None) -> bool [R], True where a text is
                finished.
            prefix_allowed_tokens_fn: (number of the prompt, ids [n]) -> the tokens that may follow.
            attention_mask: [B, L], 0 for padding. Default: `pad_token_id` is padding, unless it ends texts as well.
            token_type_ids, position_ids: [B, L].
            inputs_embeds: vectors [B, L, E] to continue; the answer then holds the new tokens alone, or behind
                `input_ids`.
            encoder_hidden_states, encoder_attention_mask: what cross-attention reads, [B, S, H] and [B, S].
            past_key_values: what an earlier call has read of the prompts; it grows.
            streamer: `put(ids)` is called with the prompts [B, L] and with each column [B], on the CPU, then `end()`.
            tokenizer: for `stop_strings`.
            options: the fields of `GenerationConfig`, with transformers' defaults: at most 20 new tokens, …

        Returns:
            int64 [B * num_return_sequences, columns], the prompts included; with `return_dict_in_generate` an object.

        Raises:
            ValueError: an option that is unknown, not supported or has a value that is not allowed; prompts that end in
                padding; a text that would be longer than the model's positions.
        """
        _check_functions(logits_processor, stopping_criteria, prefix_allowed_tokens_fn, streamer)
        if inputs is not None and input_ids is not None:
            raise ValueError("the prompts are given twice, as inputs and as input_ids: give one of them")
        tensors = {
            "input_ids": input_ids if inputs is None else inputs,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
            "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask,
            "past_key_values": past_key_values,
        }
        plan, prompt = self._prepare(tensors, generation_config, options)
        if streamer is not None and plan.beams > 1:
            raise ValueError("a streamer shows tokens as they are chosen, and beams change their minds: num_beams=1")
        rules = rules_of(plan, prompt, prefix_allowed_tokens_fn, logits_processor or ())
        stopping = Stopping(plan, tokenizer, stopping_criteria or ())
        search = (Beams if plan.beams > 1 else Rows)(prompt.ids, plan, stopping)
        output = decode(search, Reader(self, prompt, plan), rules, Record(plan.options), streamer)
        assert output.sequences is not None
        return output if plan.options.return_dict_in_generate else output.sequences

    def _prepare(
        self, tensors: dict[str, Any], config: GenerationConfig | None, call: dict[str, Any]
    ) -> tuple[Plan, Prompt]:
        """The plan, and the prompts with a row for every text that is written at a time."""
        options = merge(self.generation_config, config, call)
        check_tokens(options, self.config.vocab_size)
        ends, pad = special_tokens(options)
        prompt = read_prompt(tensors, options.bos_token_id, pad, ends, next(self.parameters()).device)
        mask_given = tensors["attention_mask"] is not None
        plan = make_plan(options, prompt, self.config.max_position_embeddings, mask_given=mask_given)
        if not self.config.is_decoder:
            if prompt.inputs_embeds is not None:
                raise ValueError("inputs_embeds are continued by a cache, which needs a decoder (is_decoder=True)")
            log.warning("this model is no decoder (is_decoder=False), so each step reads the whole text, both ways")
        return plan, prompt.repeat(max(plan.beams, plan.answers))

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: KeyValueCache | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        **inputs: Any,
    ) -> dict[str, Any]:
        """The arguments of a forward pass over the last `next_sequence_length` columns; None: over all of them.

        Vectors are read in the first pass, in place of the ids. What is None is left out. Wrappers of models (PEFT)
        replace this method.
        """
        last = slice(None) if next_sequence_length is None else slice(-next_sequence_length, None)
        arguments: dict[str, Any] = {
            "input_ids": None,
            "past_key_values": past_key_values,
            "attention_mask": attention_mask,
        }
        if inputs_embeds is not None and is_first_iteration:
            arguments["inputs_embeds"] = inputs_embeds[:, last]
        else:
            arguments["input_ids"] = input_ids[:, last]
        for name in ("position_ids", "token_type_ids"):
            if inputs.get(name) is not None:
                inputs[name] = inputs[name][:, last]
        return {name: value for name, value in (arguments | inputs).items() if value is not None}

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """The score of each new token, [rows, new tokens], from what `generate` returned; 0 behind a beam's end.

        Args:
            sequences, scores, beam_indices: of the output.
            normalize_logits: make log probabilities of scores that are none (without beams).
        """
        if beam_indices is None:
            beam_indices = torch.arange(len(sequences), device=sequences.device)[:, None].expand(-1, len(scores))
        steps = torch.stack(scores[: beam_indices.shape[1]])
        steps = steps.log_softmax(-1) if normalize_logits else steps
        tokens = sequences[:, sequences.shape[1] - beam_indices.shape[1] :]
        columns = torch.arange(beam_indices.shape[1], device=sequences.device)
        of_tokens = steps[columns, beam_indices.clamp(min=0).long(), tokens]
        return of_tokens.masked_fill(beam_indices < 0, 0.0)

    # -- beside the weights, in a folder ------------------------------------------------------------------------------

    def _take_generation_config(
        self, config: Any, name_or_path: str | os.PathLike[str] | None, location: Location
    ) -> None:
        """Take this configuration, else generation_config.json of the folder or repository if there is one."""
        if config is not None:
            self.generation_config = GenerationConfig.of(config)
        elif name_or_path is not None and find_file(name_or_path, FILE, **location) is not None:
            self.generation_config = GenerationConfig.from_pretrained(name_or_path, **location)

    def _write_generation_config(self, folder: Path) -> None:
        self.generation_config.save_pretrained(folder)


def _check_functions(processors: Any, criteria: Any, allowed: Any, streamer: Any) -> None:
    """Refuse what is no function before anything is computed."""
    for name, functions in (("logits_processor", processors), ("stopping_criteria", criteria)):
        are = isinstance(functions, Sequence) and not isinstance(functions, str) and all(map(callable, functions))
        require(functions is None or are, name, functions, "a list of functions")
    require(allowed is None or callable(allowed), "prefix_allowed_tokens_fn", allowed, "a function")
    has_both = callable(getattr(streamer, "put", None)) and callable(getattr(streamer, "end", None))
    require(streamer is None or has_both, "streamer", streamer, "an object with put(ids) and end()")
