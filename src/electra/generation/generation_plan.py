"""The plan of one call: every option worked out, from the call, the model and the defaults."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from electra.generation.generation_config import DEFAULTS, FIELDS, GenerationConfig, refuse_unknown
from electra.generation.option_checks import NOT_TAKEN, WITHOUT_EFFECT, refuse_not_taken
from electra.generation.prompt import Prompt

log = logging.getLogger("electra")

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")
_ARGUMENTS = (
    *("input_ids", "attention_mask", "token_type_ids", "position_ids", "inputs_embeds", "past_key_values"),
    *("encoder_hidden_states", "encoder_attention_mask", "generation_config", "logits_processor", "stopping_criteria"),
    *("prefix_allowed_tokens_fn", "streamer", "tokenizer"),
)
"""What `generate` takes beside options, to be suggested for a name that is misspelt."""
_OF_BEAMS = ("early_stopping", "length_penalty")
_OUTPUTS = ("output_attentions", "output_hidden_states", "output_scores", "output_logits")


@dataclass(frozen=True)
class Plan:
    """How to generate. What is None in `options` is not to be done; the other fields are worked out from it."""

    options: GenerationConfig
    max_length: int
    """Columns of the finished text, prompt included."""
    min_length: int
    prompt_columns: int
    ends: tuple[int, ...]
    """Tokens that end a text; none: `max_length` alone does."""
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


def merge(model: GenerationConfig, given: GenerationConfig | None, called: Mapping[str, Any]) -> GenerationConfig:
    """The call's options (None too), then those of the config given with it, the model's, and the defaults."""
    of_transformers = {*NOT_TAKEN, *WITHOUT_EFFECT}
    refuse_unknown([name for name in called if name not in of_transformers], "generate()", *_ARGUMENTS)
    merged: dict[str, Any] = dict(DEFAULTS)
    del merged["max_length"]  # `lengths` has to know whether it was said
    for config in (model, given) if given is not None else (model,):
        config = GenerationConfig.of(config)
        refuse_not_taken(config.further)
        merged |= config.to_diff_dict()
    refuse_not_taken(called)
    merged |= {name: value for name, value in called.items() if name in FIELDS}
    options = GenerationConfig.from_dict(merged)
    said = {name for name in FIELDS if called.get(name) is not None}
    _tell_without_effect(options, said | (set(given.to_diff_dict()) if given is not None else set()))
    return options


def _tell_without_effect(options: GenerationConfig, said: set[str]) -> None:
    """One notice of what the call says that does nothing under its other options."""
    idle = [] if options.do_sample else [name for name in _SAMPLING if name in said and not _neutral(options, name)]
    if idle:
        log.warning("%s: without do_sample=True this does nothing", ", ".join(idle))
    idle = [name for name in _OF_BEAMS if name in said and not _neutral(options, name)]
    if idle and (options.num_beams or 1) == 1:
        log.warning("%s: without num_beams above 1 this does nothing", ", ".join(idle))
    idle = [name for name in _OUTPUTS if name in said and getattr(options, name)]
    if idle and not options.return_dict_in_generate:
        log.warning("%s: without return_dict_in_generate=True this does nothing", ", ".join(idle))


def _neutral(options: GenerationConfig, name: str) -> bool:
    return bool(getattr(options, name) == DEFAULTS.get(name, 0))


def plan(options: GenerationConfig, prompt: Prompt, positions: int, *, mask_given: bool) -> Plan:
    """The plan for a prompt and a network of so many positions.

    Raises ValueError where the text could not have the length that is asked for.
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
    begun = prompt.columns
    said, added = options.max_length, options.max_new_tokens
    if added is not None:
        if said is not None:
            log.warning("max_new_tokens=%d wins over max_length=%d", added, said)
        return begun + added
    if said is None:
        default: int = DEFAULTS["max_length"]
        log.warning("neither max_new_tokens nor max_length is given: at most %d tokens are generated", default)
        said = min(begun + default, positions - prompt.mask.shape[1] + begun)
    elif prompt.inputs_embeds is not None and prompt.mask.shape[1] != begun:
        said -= prompt.mask.shape[1]  # the vectors count, and are not in the answer
    if said <= begun:
        raise ValueError(
            f"the prompt has {prompt.mask.shape[1]} tokens and max_length, which counts them too, is "
            f"{options.max_length or said}: give a higher one, or max_new_tokens, or a shorter prompt (the model's "
            f"positions end at {positions})"
        )
    return said


def _shortest(options: GenerationConfig, prompt: Prompt) -> int:
    said = options.min_length or 0
    if options.min_new_tokens is not None:
        if said:
            log.warning("min_new_tokens=%d wins over min_length=%d", options.min_new_tokens, said)
        return prompt.columns + options.min_new_tokens
    vectors = prompt.mask.shape[1] if prompt.inputs_embeds is not None else prompt.columns
    return said if vectors == prompt.columns else max(said - vectors, 0)


def _check_room(longest: int, prompt: Prompt, positions: int) -> None:
    """The last token that is generated is never read, so it needs no position."""
    added, begun = longest - prompt.columns, prompt.last_position + 1
    if begun + added - 1 > positions:
        room = positions + 1 - begun
        asked = f"max_new_tokens of at most {room}" if room > 0 else "a shorter prompt"
        raise ValueError(
            f"the longest prompt has {begun} tokens, and up to {added} are to be added: that is {begun + added}, and "
            f"the model's positions end at {positions} (max_position_embeddings). Give {asked}"
        )
