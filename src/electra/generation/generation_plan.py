"""The plan of one call: every option worked out, from the call, the model and the defaults."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from electra.generation.generation_config import GenerationConfig
from electra.generation.generation_options import (
    BEAMS,
    DEFAULTS,
    FIELDS,
    NOT_SUPPORTED,
    OUTPUT,
    SAMPLING,
    TABLE,
    WITHOUT_EFFECT,
    refuse_unknown,
    refuse_unsupported,
)
from electra.generation.prompt import Prompt

log = logging.getLogger("electra")

_ARGUMENTS = (
    *("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "past_key_values"),
    *("encoder_hidden_states", "encoder_attention_mask", "generation_config", "logits_processor", "stopping_criteria"),
    *("prefix_allowed_tokens_fn", "streamer", "tokenizer"),
)
"""What `generate` takes beside options, to be suggested for a name that is misspelt."""


@dataclass(frozen=True)
class Plan:
    """How to generate.

    Attributes:
        options: None for what is not to be done.
        max_length: columns of the finished text, prompt included.
        min_length: columns at least.
        prompt_columns: columns of the prompt.
        ends: tokens that end a text; without any only `max_length` does.
        pad: the padding token.
    """

    options: GenerationConfig
    max_length: int
    min_length: int
    prompt_columns: int
    ends: tuple[int, ...]
    pad: int | None

    @property
    def beams(self) -> int:
        return self.options.num_beams or 1

    @property
    def answers(self) -> int:
        """For each prompt."""
        return self.options.num_return_sequences or 1

    @property
    def sampled(self) -> bool:
        return bool(self.options.do_sample)


def merge(model: GenerationConfig, config: GenerationConfig | None, call: Mapping[str, Any]) -> GenerationConfig:
    """The options of the call (None too), then those of the config given with it, the model's, and the defaults."""
    known_elsewhere = {*NOT_SUPPORTED, *WITHOUT_EFFECT}
    refuse_unknown([name for name in call if name not in known_elsewhere], "generate()", *_ARGUMENTS)
    merged: dict[str, Any] = dict(DEFAULTS)
    del merged["max_length"]  # `_longest` has to know whether anybody set it
    for one in (model, config) if config is not None else (model,):
        one = GenerationConfig.of(one)
        refuse_unsupported(one.further)
        merged |= one.to_diff_dict()
    refuse_unsupported(call)
    merged |= {name: value for name, value in call.items() if name in FIELDS}
    options = GenerationConfig.from_dict(merged)
    named = {name for name in FIELDS if call.get(name) is not None}
    _warn_without_effect(options, named | set(GenerationConfig.of(config).to_diff_dict() if config else ()))
    return options


def _warn_without_effect(options: GenerationConfig, named: set[str]) -> None:
    """Warn of what the call asks for that does nothing under its other options."""
    missing = {
        SAMPLING: not options.do_sample,
        BEAMS: (options.num_beams or 1) == 1,
        OUTPUT: not options.return_dict_in_generate,
    }
    for needs, is_missing in missing.items():
        idle = [
            name
            for name, row in TABLE.items()
            if row["needs"] == needs and name in named and getattr(options, name) != DEFAULTS.get(name, 0)
        ]
        if idle and is_missing:
            log.warning("%s: without %s this does nothing", ", ".join(idle), needs)


def make_plan(options: GenerationConfig, prompt: Prompt, positions: int, *, mask_given: bool) -> Plan:
    """The plan for a prompt.

    Args:
        options: merged.
        prompt: one row for each prompt.
        positions: how many the network has.
        mask_given: whether the call has an attention mask.

    Raises:
        ValueError: the text cannot have the length that is asked for.
    """
    ends, pad = special_tokens(options)
    if ends and min(ends) < 0:
        log.warning("eos_token_id holds %d, which is no token: it ends no text", min(ends))
    if pad is not None and options.pad_token_id is None and prompt.rows > 1 and not mask_given:
        log.warning("neither attention_mask nor pad_token_id is given, so nothing counts as padding")
    longest = _longest(options, prompt, positions)
    shortest = _shortest(options, prompt)
    if shortest > longest:
        log.warning("the text is to have at least %d tokens, and ends at %d", shortest, longest)
    _check_room(longest, prompt, positions)
    return Plan(options, longest, shortest, prompt.columns, ends, pad)


def special_tokens(options: GenerationConfig) -> tuple[tuple[int, ...], int | None]:
    """The tokens that end a text, and the one to pad with: the first of those where none is given."""
    eos = options.eos_token_id
    ends = () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos)
    pad = options.pad_token_id
    return ends, ends[0] if pad is None and ends else pad


def _longest(options: GenerationConfig, prompt: Prompt, positions: int) -> int:
    """Columns of the finished text."""
    longest, added = options.max_length, options.max_new_tokens
    if added is not None:
        if longest is not None:
            log.warning("max_new_tokens=%d wins over max_length=%d", added, longest)
        return prompt.columns + added
    if longest is None:
        default: int = DEFAULTS["max_length"]
        log.warning("neither max_new_tokens nor max_length is given: at most %d tokens are generated", default)
        longest = min(prompt.columns + default, positions - prompt.read_columns + prompt.columns)
    elif prompt.inputs_embeds is not None and prompt.read_columns != prompt.columns:
        longest -= prompt.read_columns  # the vectors count, and are not in the answer
    if longest <= prompt.columns:
        raise ValueError(
            f"the prompt has {prompt.read_columns} tokens and max_length, which counts them too, is "
            f"{options.max_length or longest}: give a higher one, or max_new_tokens, or a shorter prompt (the model's "
            f"positions end at {positions})"
        )
    return longest


def _shortest(options: GenerationConfig, prompt: Prompt) -> int:
    shortest = options.min_length or 0
    if options.min_new_tokens is not None:
        if shortest:
            log.warning("min_new_tokens=%d wins over min_length=%d", options.min_new_tokens, shortest)
        return prompt.columns + options.min_new_tokens
    has_vectors = prompt.inputs_embeds is not None and prompt.read_columns != prompt.columns
    return max(shortest - prompt.read_columns, 0) if has_vectors else shortest


def _check_room(longest: int, prompt: Prompt, positions: int) -> None:
    """The last token that is generated is never read, so it needs no position."""
    added, tokens = longest - prompt.columns, prompt.last_position + 1
    if tokens + added - 1 > positions:
        room = positions + 1 - tokens
        remedy = f"max_new_tokens of at most {room}" if room > 0 else "a shorter prompt"
        raise ValueError(
            f"the longest prompt has {tokens} tokens, and up to {added} are to be added: that is {tokens + added}, and "
            f"the model's positions end at {positions} (max_position_embeddings). Give {remedy}"
        )
