"""`generate`: from prompts to texts, as a method of a model."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from electra.generation.beams import Beams
from electra.generation.decoding_loop import write
from electra.generation.generation_config import FILE, GenerationConfig
from electra.generation.generation_outputs import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput, Kept
from electra.generation.generation_plan import Plan, merge, plan, special_tokens
from electra.generation.option_checks import check_tokens
from electra.generation.prompt import Prompt, read_prompt
from electra.generation.reader import Reader
from electra.generation.rows import Rows
from electra.generation.rules import Rule, rules
from electra.generation.stopping import Criterion, Stopping
from electra.hub.hub_names import Location, find_file
from electra.nn.cache import KeyValueCache

log = logging.getLogger("electra")

if TYPE_CHECKING:
    _Network = nn.Module
else:
    _Network = object


class Generative(_Network):
    """Mixin for a decoder that says which token comes next: `generate`, and `generation_config`."""

    config: Any
    generation_config: GenerationConfig
    """What `generate` does unless it is told otherwise."""

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
        """Texts that go on from prompts: int64 [B * num_return_sequences, columns], the prompts included.

        >>> encoding = tokenizer(
        ...     ["the river"], padding_side="left", padding=True, return_tensors="pt"
        ... )  # doctest: +SKIP
        >>> tokenizer.batch_decode(model.generate(**encoding, max_new_tokens=20))  # doctest: +SKIP

        By default the likeliest token is taken at each step (greedily); with `do_sample=True` one is drawn, by torch's
        global random generator; with `num_beams` above 1 it is a beam search, with both a beam search that draws.

        Args:
            inputs: the prompts' ids, int64 [B, L], also as `input_ids`; padding belongs on the left. Without any, texts
                begin with `bos_token_id`.
            generation_config: options; those of the call win over them, and they over the model's own.
            logits_processor: further functions (ids [R, n], scores [R, V]) -> scores [R, V].
            stopping_criteria: further functions (ids [R, n], scores so far or None) -> bool [R], True where a text is
                finished.
            prefix_allowed_tokens_fn: (number of the prompt, ids [n]) -> the tokens that may follow.
            attention_mask: [B, L], 0 for padding. Default: `pad_token_id` is padding, unless it ends texts as well.
            inputs_embeds: vectors [B, L, E] to go on from; the answer then holds the new tokens alone, or what
                `input_ids` holds beside them.
            encoder_hidden_states, encoder_attention_mask: what cross-attention reads, [B, S, H] and [B, S].
            past_key_values: what an earlier call has read of the prompts; it is read on from, and grows.
            streamer: has `put(ids)` called with the prompts [B, L] and with each column [B], on the CPU, and `end()`.
            tokenizer: for `stop_strings`.
            options: the fields of `GenerationConfig`, with transformers' defaults: at most 20 new tokens, …

        Raises:
            ValueError: an option that is unknown, not taken here or cannot be meant; prompts that end in padding; a
                text that would be longer than the model's positions.
        """
        if inputs is not None and input_ids is not None:
            raise ValueError("the prompts are given twice, as inputs and as input_ids: give one of them")
        given = {
            "input_ids": input_ids if inputs is None else inputs,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
            "encoder_hidden_states": encoder_hidden_states,
            "encoder_attention_mask": encoder_attention_mask,
            "past_key_values": past_key_values,
        }
        how, prompt = self._prepare(given, generation_config, options)
        if streamer is not None and how.beams > 1:
            raise ValueError("a streamer shows tokens as they are chosen, and beams change their minds: num_beams=1")
        reader, kept = Reader(self, prompt, how), Kept.asked(how.options)
        weigh = rules(how, prompt, prefix_allowed_tokens_fn, logits_processor or ())
        stopping = Stopping(how, tokenizer, stopping_criteria or ())
        search = Beams(prompt.ids, how, stopping) if how.beams > 1 else Rows(prompt.ids, how, stopping)
        write(search, reader, weigh, kept, streamer)
        found = search.output(kept)
        assert found.sequences is not None
        return found if how.options.return_dict_in_generate else found.sequences

    def _prepare(
        self, given: dict[str, Any], config: GenerationConfig | None, called: dict[str, Any]
    ) -> tuple[Plan, Prompt]:
        """The plan, and the prompts with a row for every text that is written at a time."""
        options = merge(self.generation_config, config, called)
        check_tokens(options, self.config.vocab_size)
        ends, pad = special_tokens(options)
        prompt = read_prompt(given, options.bos_token_id, pad, ends, next(self.parameters()).device)
        mask_given = given["attention_mask"] is not None
        how = plan(options, prompt, self.config.max_position_embeddings, mask_given=mask_given)
        if not self.config.is_decoder:
            if prompt.inputs_embeds is not None:
                raise ValueError("texts go on from inputs_embeds by a cache, which needs a decoder (is_decoder=True)")
            log.warning("this model is no decoder (is_decoder=False), so each step reads the whole text, both ways")
        return how, prompt.repeat(max(how.beams, how.answers))

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

        Vectors are read in the first pass, in place of the ids. What is None is left out.
        """
        last = slice(None) if next_sequence_length is None else slice(-next_sequence_length, None)
        made: dict[str, Any] = {"input_ids": None, "past_key_values": past_key_values, "attention_mask": attention_mask}
        if inputs_embeds is not None and is_first_iteration:
            made["inputs_embeds"] = inputs_embeds[:, last]
        else:
            made["input_ids"] = input_ids[:, last]
        for name in ("position_ids", "token_type_ids"):
            if inputs.get(name) is not None:
                inputs[name] = inputs[name][:, last]
        return {name: value for name, value in (made | inputs).items() if value is not None}

    def compute_transition_scores(
        self,
        sequences: Tensor,
        scores: tuple[Tensor, ...],
        beam_indices: Tensor | None = None,
        normalize_logits: bool = False,
    ) -> Tensor:
        """The score of each new token, [rows, new tokens], from what `generate` returned; 0 behind a beam's end.

        normalize_logits: log probabilities, where `scores` are not (without beams).
        """
        if beam_indices is None:
            beam_indices = torch.arange(len(sequences), device=sequences.device)[:, None].expand(-1, len(scores))
        steps = torch.stack(scores[: beam_indices.shape[1]])
        steps = steps.log_softmax(-1) if normalize_logits else steps
        tokens = sequences[:, sequences.shape[1] - beam_indices.shape[1] :]
        columns = torch.arange(beam_indices.shape[1], device=sequences.device)
        found = steps[columns, beam_indices.clamp(min=0).long(), tokens]
        return found.masked_fill(beam_indices < 0, 0.0)

    # -- beside the weights, in a folder ------------------------------------------------------------------------------

    def _take_generation_config(
        self, given: Any, name_or_path: str | os.PathLike[str] | None, location: Location
    ) -> None:
        """What was given, else generation_config.json of the folder or repository; without one things stay."""
        if given is not None:
            self.generation_config = GenerationConfig.of(given)
        elif name_or_path is not None and find_file(name_or_path, FILE, **location) is not None:
            self.generation_config = GenerationConfig.from_pretrained(name_or_path, **location)

    def _write_generation_config(self, folder: Path) -> None:
        self.generation_config.save_pretrained(folder)
