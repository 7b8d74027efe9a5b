"""Which constraints and which ways of sampling a plan has, in transformers' order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from electra.generation import constraints, sampling
from electra.generation.generation_plan import Plan
from electra.generation.prompt import Prompt

Rule = Callable[[Tensor, Tensor], Tensor]
"""ids [R, n], scores [R, V] -> scores [R, V]"""


def rules(plan: Plan, prompt: Prompt, allowed: Any, further: Sequence[Rule]) -> list[Rule]:
    """All that is done to the scores before a token is chosen. `prompt`: with a row for every beam.

    allowed: `prefix_allowed_tokens_fn`. further: the caller's own, after the constraints and before sampling.
    """
    found = [*_about_the_text(plan, prompt), *_about_the_end(plan)]
    if allowed is not None:
        found.append(partial(constraints.allow_only, allowed=allowed, beams=plan.beams))
    found += [*_forced_and_forbidden(plan), *further]
    if plan.sampled:
        found += _sampling(plan)
    return [*found, constraints.normalise] if plan.options.renormalize_logits else found


def _about_the_text(plan: Plan, prompt: Prompt) -> Iterator[Rule]:
    options = plan.options
    if options.sequence_bias:
        given = options.sequence_bias
        pairs = given.items() if isinstance(given, dict) else ((ids, bias) for ids, bias in given)
        yield partial(constraints.add_bias, biases=constraints.group_biases(pairs, prompt.ids.device))
    penalty = options.repetition_penalty
    if penalty is not None and penalty != 1.0:
        padded = prompt.mask.shape == prompt.ids.shape
        padding = prompt.mask.argmax(1) if padded else None
        yield partial(constraints.penalise_repetition, penalty=penalty, padding=padding)
    if options.no_repeat_ngram_size:
        yield partial(constraints.forbid_repeated_ngrams, size=options.no_repeat_ngram_size)
    if options.bad_words_ids:
        words = [(word, -math.inf) for word in options.bad_words_ids if len(word) > 1 or word[0] not in plan.ends]
        yield partial(constraints.add_bias, biases=constraints.group_biases(words, prompt.ids.device))


def _about_the_end(plan: Plan) -> Iterator[Rule]:
    if plan.min_length and plan.ends:
        yield partial(constraints.forbid_before, tokens=plan.ends, length=plan.min_length)


def _forced_and_forbidden(plan: Plan) -> Iterator[Rule]:
    options, begun = plan.options, plan.prompt_columns
    if options.forced_bos_token_id is not None:
        yield partial(constraints.force_at, tokens=[options.forced_bos_token_id], length=1)
    if options.forced_eos_token_id is not None:
        forced = options.forced_eos_token_id
        tokens = [forced] if isinstance(forced, int) else forced
        yield partial(constraints.force_at, tokens=tokens, length=plan.max_length - 1)
    if options.remove_invalid_values:
        yield constraints.make_finite
    if options.exponential_decay_length_penalty is not None:
        if not plan.ends:
            raise ValueError("exponential_decay_length_penalty makes the end likelier, and there is no eos_token_id")
        start, factor = options.exponential_decay_length_penalty
        yield partial(constraints.favour_the_end, ends=plan.ends, start=begun + start, factor=factor)
    if options.suppress_tokens:
        yield partial(constraints.forbid, tokens=options.suppress_tokens)
    if options.begin_suppress_tokens:
        first = begun if begun > 1 or options.forced_bos_token_id is None else begun + 1
        yield partial(constraints.forbid_at, tokens=options.begin_suppress_tokens, length=first)


def _sampling(plan: Plan) -> Iterator[Rule]:
    options = plan.options
    # a beam needs a token to go on with beside those that end it
    least = 1 if plan.beams == 1 else max(2, len(plan.ends) + 1)
    if options.temperature is not None and options.temperature != 1.0:
        yield partial(sampling.divide, temperature=options.temperature)
    if options.top_k:
        yield partial(sampling.keep_top_k, k=options.top_k, least=least)
    if options.top_p is not None and options.top_p < 1.0:
        yield partial(sampling.keep_top_p, p=options.top_p, least=least)
    if options.min_p is not None:
        yield partial(sampling.keep_min_p, p=options.min_p, least=least)
    if options.typical_p is not None and options.typical_p < 1.0:
        yield partial(sampling.keep_typical, p=options.typical_p, least=least)
    if options.epsilon_cutoff:
        yield partial(sampling.cut_below, epsilon=options.epsilon_cutoff, least=least)
    if options.eta_cutoff:
        yield partial(sampling.cut_below_entropy, epsilon=options.eta_cutoff, least=least)
