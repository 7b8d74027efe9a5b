"""Which values of the options can be meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check(options: Any) -> None:
    """Refuse what cannot be meant, naming the option. `options`: a GenerationConfig, None where nothing is said."""
    for name in ("max_length", "max_new_tokens", "num_beams", "num_return_sequences"):
        _require(options, name, _is_count, "a whole number of at least 1")
    for name in ("min_length", "min_new_tokens", "top_k", "no_repeat_ngram_size"):
        _require(options, name, _is_zero_or_more, "a whole number, 0 or above")
    for name in ("repetition_penalty", "max_time"):
        _require(options, name, lambda value: _is_number(value) and value > 0, "a number above 0")
    _require(options, "length_penalty", _is_number, "a number")
    early = "True, False or 'never'"
    _require(options, "early_stopping", lambda value: isinstance(value, bool) or value == "never", early)
    for name in ("pad_token_id", "bos_token_id", "forced_bos_token_id"):
        _require(options, name, _is_zero_or_more, "a token id, 0 or above")
    _require(options, "stop_strings", _are_strings, "a string that is not empty, or a list of such")
    _require(options, "bad_words_ids", lambda value: _is_list(value) and all(map(_are_ids, value)), _LISTS)
    for name in ("suppress_tokens", "begin_suppress_tokens"):
        _require(options, name, _are_ids, "a list of token ids")
    for name in ("eos_token_id", "forced_eos_token_id"):
        _require(options, name, lambda value: _is_whole(value) or _are_whole(value), "a token id or a list of them")
    _require(options, "sequence_bias", _are_biases, "{(ids): number}, or [[[ids], number], …]")
    decay = "a pair (new tokens, factor above 0)"
    _require(options, "exponential_decay_length_penalty", _is_decay, decay)
    if options.do_sample:
        _check_sampling(options)
    _check_answers(options)


def _check_sampling(options: Any) -> None:
    temperature = options.temperature
    if temperature is not None and not (_is_number(temperature) and temperature > 0):
        raise ValueError(
            f"temperature is {temperature!r}: it must be above 0; for the likeliest token at each step, give "
            "do_sample=False"
        )
    for name in ("top_p", "typical_p"):
        _require(options, name, lambda value: _is_number(value) and 0 < value <= 1, "above 0 and at most 1")
    _require(options, "min_p", lambda value: _is_number(value) and 0 <= value <= 1, "from 0 to 1")
    for name in ("epsilon_cutoff", "eta_cutoff"):
        _require(options, name, lambda value: _is_number(value) and 0 <= value < 1, "from 0 to below 1")


def _check_answers(options: Any) -> None:
    answers, beams = options.num_return_sequences or 1, options.num_beams or 1
    if beams > 1 and answers > beams:
        raise ValueError(
            f"num_return_sequences is {answers} and num_beams {beams}: a beam search has as many answers as beams, or "
            "fewer"
        )
    if beams == 1 and answers > 1 and not options.do_sample:
        raise ValueError(
            f"num_return_sequences is {answers}, and the likeliest token at each step gives one answer: sample "
            "(do_sample=True), or search with beams (num_beams)"
        )


def check_tokens(options: Any, vocabulary: int) -> None:
    """Refuse tokens that the vocabulary does not have. (One that ends texts may be none: then it ends none.)"""
    for name in ("pad_token_id", "bos_token_id", "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens"):
        _check_tokens(name, getattr(options, name), vocabulary)
    _check_tokens("begin_suppress_tokens", options.begin_suppress_tokens, vocabulary)
    for word in options.bad_words_ids or ():
        _check_tokens("bad_words_ids", word, vocabulary)
    for sequence in _sequences(options.sequence_bias):
        _check_tokens("sequence_bias", sequence, vocabulary)


def _check_tokens(name: str, given: Any, vocabulary: int) -> None:
    for token in () if given is None else (given,) if isinstance(given, int) else given:
        if not 0 <= token < vocabulary:
            raise ValueError(f"{name} holds {token}: the vocabulary's tokens are 0 to {vocabulary - 1}")


def _sequences(biases: Any) -> Any:
    return () if biases is None else biases if isinstance(biases, Mapping) else [ids for ids, _ in biases]


# Options of transformers' `generate` that are not taken here, each with the values under which it does nothing.
NOT_TAKEN: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("assistant_model", "assistant_tokenizer", "prompt_lookup_num_tokens", "assistant_early_exit"), ()),
    **dict.fromkeys(("speculation_type", "assistant_ensemble_weight", "watermarking_config", "top_h"), ()),
    **dict.fromkeys(("negative_prompt_ids", "negative_prompt_attention_mask", "custom_generate"), ()),
    **dict.fromkeys(("constraints", "force_words_ids", "dola_layers", "prefill_chunk_size"), ()),
    **dict.fromkeys(("max_cache_len", "compile_config", "continuous_batching_config", "cache_config"), ()),
    **dict.fromkeys(("token_healing", "low_memory", "synced_gpus", "use_mtp", "is_assistant"), (False,)),
    "cache_implementation": ("dynamic",),
    "guidance_scale": (1,),
    "penalty_alpha": (0,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0,),
    "encoder_repetition_penalty": (1,),
    "encoder_no_repeat_ngram_size": (0,),
}

# Options that say how something works that is not taken here, or that only other models have.
WITHOUT_EFFECT = (
    *("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
    *("assistant_lookbehind", "target_lookbehind", "max_matching_ngram_size"),
    *("decoder_start_token_id", "disable_compile", "trust_remote_code"),
)


def refuse_not_taken(given: Mapping[str, Any]) -> None:
    """An option of transformers that is not taken here is a ValueError, unless its value changes nothing."""
    for name, value in given.items():
        if name in NOT_TAKEN and value is not None and value not in NOT_TAKEN[name]:
            raise ValueError(
                f"generate() does not take {name}={value!r}: it decodes greedily, by sampling, and by beam search, "
                "with a cache that grows. Leave it out, or use transformers, which reads the same folders"
            )


_LISTS = "a list of lists of token ids"


def _require(options: Any, name: str, holds: Any, allowed: str) -> None:
    value = getattr(options, name)
    if value is not None and not holds(value):
        raise ValueError(f"{name} is {value!r}: it must be {allowed}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return _is_whole(value) and value > 0  # type: ignore[operator]


def _is_zero_or_more(value: object) -> bool:
    return _is_whole(value) and value >= 0  # type: ignore[operator]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def _are_whole(value: object) -> bool:
    return _is_list(value) and all(map(_is_whole, value))  # type: ignore[call-overload]


def _are_ids(value: object) -> bool:
    return _are_whole(value) and min(value) >= 0  # type: ignore[call-overload,no-any-return]


def _are_strings(value: object) -> bool:
    given = [value] if isinstance(value, str) else value
    return _is_list(given) and all(isinstance(text, str) and text for text in given)  # type: ignore[attr-defined]


def _are_biases(value: object) -> bool:
    pairs: Any = list(value.items()) if isinstance(value, Mapping) else value
    return _is_list(pairs) and all(len(pair) == 2 and _are_ids(pair[0]) and _is_number(pair[1]) for pair in pairs)


def _is_decay(value: object) -> bool:
    return _is_list(value) and len(value) == 2 and _is_whole(value[0]) and _is_number(value[1]) and value[1] > 0  # type: ignore[index,arg-type]
