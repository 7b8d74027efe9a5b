"""The options of `generate` as one table: type, allowed values, transformers' default, and what an option needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from electra.validation import did_you_mean, is_count, is_number, is_whole, require


class Kind(NamedTuple):
    """The values that an option may have."""

    holds: Callable[[Any], bool]
    allowed: str
    remedy: str = ""
    only_when_sampling: bool = False
    """Any number passes without do_sample: people's files have `temperature: 0.0` beside `do_sample: false`."""


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0


def _are_ids(value: Any) -> bool:
    return _is_list(value) and all(is_count(token, 0) for token in value)


def _are_strings(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else value
    return _is_list(texts) and all(isinstance(text, str) and text for text in texts)


def _is_bias(value: Any) -> bool:
    # -inf is a bias, too: it forbids the token
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _are_biases(value: Any) -> bool:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    is_pair = lambda pair: _is_list(pair) and len(pair) == 2 and _are_ids(pair[0]) and _is_bias(pair[1])  # noqa: E731
    return _is_list(pairs) and all(map(is_pair, pairs))


def _is_decay(value: Any) -> bool:
    return _is_list(value) and len(value) == 2 and is_whole(value[0]) and is_number(value[1]) and value[1] > 0


BOOL = Kind(lambda value: isinstance(value, bool), "True or False")
COUNT = Kind(is_count, "a whole number of at least 1")
COUNT_OR_0 = Kind(lambda value: is_count(value, 0), "a whole number, 0 or above")
NUMBER = Kind(is_number, "a number")
POSITIVE = Kind(lambda value: is_number(value) and value > 0, "a number above 0")
TEMPERATURE = Kind(POSITIVE.holds, "above 0", "for the likeliest token at each step, give do_sample=False", True)
PROBABILITY = Kind(lambda value: is_number(value) and 0 < value <= 1, "above 0 and at most 1", "", True)
FRACTION = Kind(lambda value: is_number(value) and 0 <= value <= 1, "from 0 to 1", "", True)
CUTOFF = Kind(lambda value: is_number(value) and 0 <= value < 1, "from 0 to below 1", "", True)
EARLY = Kind(lambda value: isinstance(value, bool) or value == "never", "True, False or 'never'")
STRINGS = Kind(_are_strings, "a string that is not empty, or a list of such")
TOKEN = Kind(COUNT_OR_0.holds, "a token id, 0 or above")
END = Kind(
    lambda value: is_whole(value) or (_is_list(value) and all(map(is_whole, value))), "a token id or a list of them"
)
TOKENS = Kind(_are_ids, "a list of token ids")
SEQUENCES = Kind(lambda value: _is_list(value) and all(map(_are_ids, value)), "a list of lists of token ids")
BIASES = Kind(_are_biases, "{(ids): number}, or [[[ids], number], …]")
DECAY = Kind(_is_decay, "a pair (new tokens, factor above 0)")

SAMPLING, BEAMS, OUTPUT = "do_sample=True", "num_beams above 1", "return_dict_in_generate=True"
"""What some options need to have an effect."""


def _option(kind: Kind, meaning: str, default: Any = None, needs: str = "") -> Any:
    return field(default=None, metadata={"kind": kind, "meaning": meaning, "default": default, "needs": needs})


# ruff: noqa: RUF009  (each call makes a field)
@dataclass(kw_only=True, eq=False)
class Options:
    """Every option of `generate`. None: the model's own value counts, then `DEFAULTS`."""

    # -- length
    max_length: int | None = _option(COUNT, "tokens of the whole text, prompt included", 20)
    max_new_tokens: int | None = _option(COUNT, "tokens that are added; overrides max_length")
    min_length: int | None = _option(COUNT_OR_0, "tokens of the whole text at least", 0)
    min_new_tokens: int | None = _option(COUNT_OR_0, "tokens that are added at least; overrides min_length")
    early_stopping: bool | str | None = _option(
        EARLY,
        "stop at num_beams finished texts, or when a better one is unlikely (False), impossible (never)",
        False,
        BEAMS,
    )
    max_time: float | None = _option(POSITIVE, "seconds; the token that is being computed is finished")
    stop_strings: str | list[str] | None = _option(STRINGS, "stop after any of these; needs generate(tokenizer=…)")
    # -- choice of the next token
    do_sample: bool | None = _option(BOOL, "sample the next token instead of taking the likeliest", False)
    num_beams: int | None = _option(COUNT, "continuations that are kept at a time; 1: no beam search", 1)
    num_return_sequences: int | None = _option(COUNT, "answers for each prompt", 1)
    use_cache: bool | None = _option(BOOL, "keep keys and values, so that a step computes one token", True)
    # -- distribution to sample from
    temperature: float | None = _option(TEMPERATURE, "divides the scores: below 1 sharper", 1.0, SAMPLING)
    top_k: int | None = _option(COUNT_OR_0, "the k likeliest tokens; 0: all", 50, SAMPLING)
    top_p: float | None = _option(
        PROBABILITY, "the likeliest tokens of this probability together (Holtzman et al. 2020)", 1.0, SAMPLING
    )
    min_p: float | None = _option(
        FRACTION, "tokens at least this fraction as likely as the likeliest (Nguyen et al. 2024)", None, SAMPLING
    )
    typical_p: float | None = _option(
        PROBABILITY, "tokens of the most expected surprise, of this probability (Meister et al. 2022)", 1.0, SAMPLING
    )
    epsilon_cutoff: float | None = _option(CUTOFF, "tokens at least this likely (Hewitt et al. 2022)", None, SAMPLING)
    eta_cutoff: float | None = _option(CUTOFF, "likewise, lower for a flat distribution", None, SAMPLING)
    # -- what becomes likelier and less likely
    repetition_penalty: float | None = _option(POSITIVE, "above 1: tokens of the text become less likely", 1.0)
    length_penalty: float | None = _option(
        NUMBER, "a text's log probability is divided by its new tokens to this power", 1.0, BEAMS
    )
    no_repeat_ngram_size: int | None = _option(COUNT_OR_0, "no so many tokens in a row twice", 0)
    bad_words_ids: list[list[int]] | None = _option(SEQUENCES, "sequences that are forbidden")
    sequence_bias: dict[tuple[int, ...], float] | list[list[Any]] | None = _option(
        BIASES, "is added to a token's score where it completes one of these sequences"
    )
    forced_bos_token_id: int | None = _option(TOKEN, "the token after the first one")
    forced_eos_token_id: int | list[int] | None = _option(END, "the last token of a text that reaches max_length")
    suppress_tokens: list[int] | None = _option(TOKENS, "are forbidden")
    begin_suppress_tokens: list[int] | None = _option(TOKENS, "are forbidden as the first new token")
    exponential_decay_length_penalty: tuple[int, float] | None = _option(
        DECAY, "from so many new tokens on, the end becomes likelier by this factor with each"
    )
    remove_invalid_values: bool | None = _option(BOOL, "replace NaN and infinite scores")
    renormalize_logits: bool | None = _option(BOOL, "make log probabilities of the final scores")
    # -- what is returned
    output_attentions: bool | None = _option(BOOL, "attention weights of each step", None, OUTPUT)
    output_hidden_states: bool | None = _option(BOOL, "hidden states of each step", None, OUTPUT)
    output_scores: bool | None = _option(BOOL, "scores after all rules", None, OUTPUT)
    output_logits: bool | None = _option(BOOL, "scores of the network", None, OUTPUT)
    return_dict_in_generate: bool | None = _option(BOOL, "return a GenerateDecoderOnlyOutput (or …Beam…)")
    # -- tokens with a role
    pad_token_id: int | None = _option(TOKEN, "padding")
    bos_token_id: int | None = _option(TOKEN, "begins a text without a prompt")
    eos_token_id: int | list[int] | None = _option(END, "ends a text")


TABLE: dict[str, Mapping[str, Any]] = {option.name: option.metadata for option in fields(Options)}
FIELDS = tuple(TABLE)
DEFAULTS: dict[str, Any] = {name: row["default"] for name, row in TABLE.items() if row["default"] is not None}
"""Those of transformers 5.23, for what neither the call nor the model sets."""

NOT_SUPPORTED: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("assistant_model", "assistant_tokenizer", "prompt_lookup_num_tokens", "assistant_early_exit"), ()),
    **dict.fromkeys(("speculation_type", "assistant_ensemble_weight", "watermarking_config", "top_h"), ()),
    **dict.fromkeys(("negative_prompt_ids", "negative_prompt_attention_mask", "custom_generate"), ()),
    **dict.fromkeys(("constraints", "force_words_ids", "dola_layers", "prefill_chunk_size"), ()),
    **dict.fromkeys(("max_cache_len", "compile_config", "continuous_batching_config", "cache_config"), ()),
    **dict.fromkeys(("token_healing", "low_memory", "synced_gpus", "use_mtp", "is_assistant"), (False,)),
    **dict.fromkeys(("guidance_scale", "num_beam_groups", "encoder_repetition_penalty"), (1,)),
    **dict.fromkeys(("penalty_alpha", "diversity_penalty", "encoder_no_repeat_ngram_size"), (0,)),
    "cache_implementation": ("dynamic",),
}
"""Options of transformers' `generate` that are not supported, each with the values under which it does nothing."""

WITHOUT_EFFECT = (
    *("num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"),
    *("assistant_lookbehind", "target_lookbehind", "max_matching_ngram_size"),
    *("decoder_start_token_id", "disable_compile", "trust_remote_code"),
)
"""Options that tune what is not supported, or that only other models have."""


def check_options(options: Options) -> None:
    """Refuse values that are not allowed.

    Raises:
        ValueError: the message names the option, the value and what is allowed.
    """
    for name, value in vars(options).items():
        if name not in TABLE or value is None:
            continue
        kind: Kind = TABLE[name]["kind"]
        if kind.only_when_sampling and not options.do_sample:
            kind = NUMBER
        require(kind.holds(value), name, value, kind.allowed, kind.remedy)
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


def check_tokens(options: Options, vocabulary: int) -> None:
    """Refuse tokens that the vocabulary does not have. (eos_token_id may be none of them: then it ends no text.)"""
    for name in ("pad_token_id", "bos_token_id", "forced_bos_token_id", "forced_eos_token_id", "suppress_tokens"):
        _check_tokens(name, getattr(options, name), vocabulary)
    _check_tokens("begin_suppress_tokens", options.begin_suppress_tokens, vocabulary)
    _check_tokens("bad_words_ids", [token for word in options.bad_words_ids or () for token in word], vocabulary)
    _check_tokens("sequence_bias", [token for ids, _ in biases_of(options) for token in ids], vocabulary)


def _check_tokens(name: str, tokens: Any, vocabulary: int) -> None:
    for token in () if tokens is None else (tokens,) if isinstance(tokens, int) else tokens:
        if not 0 <= token < vocabulary:
            raise ValueError(f"{name} holds {token}: the vocabulary's tokens are 0 to {vocabulary - 1}")


def biases_of(options: Options) -> Iterator[tuple[Sequence[int], float]]:
    """The sequences of `sequence_bias`, each with its bias."""
    biases = options.sequence_bias or ()
    yield from biases.items() if isinstance(biases, Mapping) else ((ids, bias) for ids, bias in biases)


def refuse_unsupported(values: Mapping[str, Any]) -> None:
    """Refuse an option of transformers that is not supported, unless its value changes nothing."""
    for name, value in values.items():
        if name in NOT_SUPPORTED and value is not None and value not in NOT_SUPPORTED[name]:
            raise ValueError(
                f"generate() does not take {name}={value!r}: it decodes greedily, by sampling, and by beam search, "
                "with a cache that grows. Leave it out, or use transformers, which reads the same folders"
            )


def refuse_unknown(names: Iterable[str], what: str, *also: str) -> None:
    """Refuse a name that is no option; `also` are further names that are known."""
    allowed = [*FIELDS, *also]
    for name in names:
        if name not in allowed:
            nearest = did_you_mean(name, allowed) or f". There is {', '.join(sorted(allowed))}."
            raise ValueError(f"{what} has no option {name!r}{nearest}")
