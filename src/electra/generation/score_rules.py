"""What is done to the scores of the next token before one is chosen: ids [R, n], scores [R, V] -> scores [R, V].

Formulas and order as in transformers 5.23, so that the same options give the same text. A score of -inf forbids a
token. `least`: how many tokens stay in any case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from electra.generation.generation_options import biases_of
from electra.generation.generation_plan import Plan
from electra.generation.prompt import Prompt

Rule = Callable[[Tensor, Tensor], Tensor]
"""ids [R, n], scores [R, V] -> scores [R, V]"""

Biases = tuple[Tensor, Tensor, Tensor]
"""Of k sequences of m + 1 tokens: all but the last, int64 [k, m], the last ones [k], and the biases on these [k]."""


def rules_of(plan: Plan, prompt: Prompt, allowed: Any, further: Sequence[Rule]) -> list[Rule]:
    """All rules of a plan, in the order in which they are applied.

    Args:
        plan: how to generate.
        prompt: with a row for every beam.
        allowed: `prefix_allowed_tokens_fn`.
        further: the caller's own, after the constraints and before sampling.
    """
    options, rules = plan.options, list[Rule]()

    def add(rule: Callable[..., Tensor], **values: Any) -> None:
        rules.append(partial(rule, **values) if values else rule)

    if options.sequence_bias:
        add(add_bias, biases=group_biases(biases_of(options), prompt.ids.device))
    if options.repetition_penalty not in (None, 1.0):
        padding = prompt.mask.argmax(1) if prompt.mask.shape == prompt.ids.shape else None
        add(penalise_repetition, penalty=options.repetition_penalty, padding=padding)
    if options.no_repeat_ngram_size:
        add(forbid_repeated_ngrams, size=options.no_repeat_ngram_size)
    if options.bad_words_ids:
        words = [(word, -math.inf) for word in options.bad_words_ids if len(word) > 1 or word[0] not in plan.ends]
        add(add_bias, biases=group_biases(words, prompt.ids.device))
    if plan.min_length and plan.ends:
        add(forbid, tokens=plan.ends, columns=range(plan.min_length))
    if allowed is not None:
        add(allow_only, allowed=allowed, beams=plan.beams)
    if options.forced_bos_token_id is not None:
        add(force_at, tokens=[options.forced_bos_token_id], length=1)
    if options.forced_eos_token_id is not None:
        forced = options.forced_eos_token_id
        add(force_at, tokens=[forced] if isinstance(forced, int) else forced, length=plan.max_length - 1)
    if options.remove_invalid_values:
        add(make_finite)
    if options.exponential_decay_length_penalty is not None:
        if not plan.ends:
            raise ValueError("exponential_decay_length_penalty makes the end likelier, and there is no eos_token_id")
        start, factor = options.exponential_decay_length_penalty
        add(favour_the_end, ends=plan.ends, start=plan.prompt_columns + start, factor=factor)
    if options.suppress_tokens:
        add(forbid, tokens=options.suppress_tokens)
    if options.begin_suppress_tokens:
        first = plan.prompt_columns + (plan.prompt_columns <= 1 and options.forced_bos_token_id is not None)
        add(forbid, tokens=options.begin_suppress_tokens, columns=range(first, first + 1))
    rules += further
    if plan.sampled:
        _add_sampling(plan, add)
    if options.renormalize_logits:
        add(normalise)
    return rules


def _add_sampling(plan: Plan, add: Callable[..., None]) -> None:
    options = plan.options
    # a beam needs a token to continue with beside those that end it
    least = 1 if plan.beams == 1 else max(2, len(plan.ends) + 1)
    if options.temperature not in (None, 1.0):
        add(divide, temperature=options.temperature)
    if options.top_k:
        add(keep_top_k, k=options.top_k, least=least)
    if options.top_p is not None and options.top_p < 1.0:
        add(keep_top_p, p=options.top_p, least=least)
    if options.min_p is not None:
        add(keep_min_p, p=options.min_p, least=least)
    if options.typical_p is not None and options.typical_p < 1.0:
        add(keep_typical, p=options.typical_p, least=least)
    if options.epsilon_cutoff:
        add(keep_above, epsilon=options.epsilon_cutoff, least=least)
    if options.eta_cutoff:
        add(keep_above_entropy, epsilon=options.eta_cutoff, least=least)


# -- constraints -------------------------------------------------------------------------------------------------------


def penalise_repetition(ids: Tensor, scores: Tensor, *, penalty: float, padding: Tensor | None = None) -> Tensor:
    """Divide positive scores of the text's tokens by the penalty, multiply negative ones (Keskar et al. 2019).

    padding: int64 [R], how many of a row's first columns do not count.
    """
    # a column more than the vocabulary, for padding
    seen = torch.zeros(scores.shape[0], scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
    if padding is not None:
        columns = torch.arange(ids.shape[1], device=ids.device)
        ids = ids.masked_fill(columns < padding[:, None], scores.shape[1])
    seen.scatter_(1, ids, True)
    penalised = torch.where(scores < 0, scores * penalty, scores / penalty)
    return torch.where(seen[:, :-1], penalised, scores)


def forbid_repeated_ngrams(ids: Tensor, scores: Tensor, *, size: int) -> Tensor:
    """No `size` tokens in a row that the text has already; the padding counts as text."""
    if ids.shape[1] < size:
        return scores
    ngrams = ids.unfold(1, size, 1)  # [R, n - size + 1, size]
    prefix = ids[:, ids.shape[1] - size + 1 :]
    continues = (ngrams[..., :-1] == prefix[:, None]).all(-1)
    # n-grams that do not continue the text are scattered into a column beyond the vocabulary
    spare = scores.shape[1]
    forbidden = torch.zeros(scores.shape[0], spare + 1, dtype=torch.bool, device=scores.device)
    forbidden.scatter_(1, torch.where(continues, ngrams[..., -1], spare), True)
    return scores.masked_fill(forbidden[:, :-1], -math.inf)


def add_bias(ids: Tensor, scores: Tensor, *, biases: Sequence[Biases]) -> Tensor:
    """A bias on the token that would complete one of some sequences; -inf forbids it."""
    added = torch.zeros_like(scores)
    for prefix, last, bias in biases:
        if prefix.shape[1] <= ids.shape[1]:
            completes = (ids[:, None, ids.shape[1] - prefix.shape[1] :] == prefix).all(-1)
            added.index_add_(1, last, torch.where(completes, bias, 0.0).to(added.dtype))
    return scores + added


def group_biases(pairs: Iterable[tuple[Sequence[int], float]], device: torch.device) -> list[Biases]:
    """Sequences and their biases as `add_bias` reads them: those of a length together."""
    by_length: dict[int, list[tuple[Sequence[int], float]]] = {}
    for sequence, bias in pairs:
        by_length.setdefault(len(sequence), []).append((sequence, bias))
    return [
        (
            torch.tensor([list(sequence[:-1]) for sequence, _ in group], dtype=torch.int64, device=device),
            torch.tensor([sequence[-1] for sequence, _ in group], device=device),
            torch.tensor([bias for _, bias in group], dtype=torch.float32, device=device),
        )
        for group in by_length.values()
    ]


def forbid(ids: Tensor, scores: Tensor, *, tokens: Sequence[int], columns: Sequence[int] | None = None) -> Tensor:
    """None of these tokens; with `columns` only behind a text of so many."""
    if columns is not None and ids.shape[1] not in columns:
        return scores
    return scores.index_fill(1, _known(tokens, scores), -math.inf)


def force_at(ids: Tensor, scores: Tensor, *, tokens: Sequence[int], length: int) -> Tensor:
    """Right after `length` columns none but these tokens."""
    if ids.shape[1] != length:
        return scores
    return torch.full_like(scores, -math.inf).index_fill(1, _known(tokens, scores), 0.0)


def allow_only(ids: Tensor, scores: Tensor, *, allowed: Callable[[int, Tensor], Sequence[int]], beams: int) -> Tensor:
    """The tokens that `allowed(prompt, ids [n])` gives for each row.

    Where all that it allows to a prompt's beams is forbidden already, that is allowed all the same.
    """
    closed = torch.full_like(scores, -math.inf)
    for row in range(ids.shape[0]):
        tokens = allowed(row // beams, ids[row])
        if len(tokens) == 0:
            raise ValueError(f"prefix_allowed_tokens_fn allows no token for prompt {row // beams}: it must allow some")
        closed[row, torch.as_tensor(tokens, device=scores.device)] = 0.0
    left = scores + closed
    # transformers lets a constraint win over the others where they leave a prompt nothing
    nothing = left.amax(-1).isneginf().view(-1, beams).all(-1).repeat_interleave(beams)
    return torch.where(nothing[:, None], closed, left)


def make_finite(ids: Tensor, scores: Tensor) -> Tensor:
    """NaN becomes 0, infinity the largest number."""
    return scores.nan_to_num(0.0)


def favour_the_end(ids: Tensor, scores: Tensor, *, ends: Sequence[int], start: int, factor: float) -> Tensor:
    """From `start` columns on, the end's score grows by its size times (factor ** columns since - 1)."""
    since = ids.shape[1] - start
    if since <= 0:
        return scores
    where = _known(ends, scores)
    end = scores[:, where]
    # a forbidden end stays forbidden
    grown = torch.where(end.isfinite(), end + end.abs() * (factor**since - 1), end)
    return scores.index_copy(1, where, grown)


def normalise(ids: Tensor, scores: Tensor) -> Tensor:
    """Log probabilities."""
    return scores.log_softmax(-1)


# -- sampling ----------------------------------------------------------------------------------------------------------


def divide(ids: Tensor, scores: Tensor, *, temperature: float) -> Tensor:
    """Below 1 a sharper distribution, above 1 a flatter one."""
    return scores / temperature


def keep_top_k(ids: Tensor, scores: Tensor, *, k: int, least: int) -> Tensor:
    """The k highest scores, and what equals the lowest of them."""
    lowest = scores.topk(min(max(k, least), scores.shape[1])).values[:, -1:]
    return scores.masked_fill(scores < lowest, -math.inf)


def keep_top_p(ids: Tensor, scores: Tensor, *, p: float, least: int) -> Tensor:
    """The likeliest tokens, until they have probability p together. (Holtzman et al. 2020)"""
    rising, order = scores.sort()
    dropped = rising.softmax(-1).cumsum(-1) <= 1 - p
    dropped[:, -least:] = False
    return scores.masked_fill(_in_place(dropped, order), -math.inf)


def keep_min_p(ids: Tensor, scores: Tensor, *, p: float, least: int) -> Tensor:
    """Tokens at least p times as likely as the likeliest. (Nguyen et al. 2024)"""
    probabilities = scores.softmax(-1)
    dropped = probabilities < p * probabilities.amax(-1, keepdim=True)
    dropped.scatter_(-1, probabilities.topk(min(least, scores.shape[1])).indices, False)
    return scores.masked_fill(dropped, -math.inf)


def keep_typical(ids: Tensor, scores: Tensor, *, p: float, least: int) -> Tensor:
    """Tokens whose surprise is nearest to the entropy, until they have probability p together. (Meister et al. 2022)"""
    logarithms = scores.log_softmax(-1)
    entropy = -(logarithms * logarithms.exp()).nansum(-1, keepdim=True)
    distances, order = (-logarithms - entropy).abs().sort()
    reached = scores.gather(-1, order).softmax(-1).cumsum(-1) < p
    last = reached.sum(-1, keepdim=True).clamp(max=scores.shape[1] - 1)
    dropped = distances > distances.gather(-1, last)
    dropped[:, :least] = False
    return scores.masked_fill(_in_place(dropped, order), -math.inf)


def keep_above(ids: Tensor, scores: Tensor, *, epsilon: float, least: int) -> Tensor:
    """Tokens at least this likely. (Hewitt et al. 2022, epsilon sampling)"""
    return _cut(scores, torch.tensor(epsilon, device=scores.device), least)


def keep_above_entropy(ids: Tensor, scores: Tensor, *, epsilon: float, least: int) -> Tensor:
    """Tokens at least min(epsilon, sqrt(epsilon) * exp(-entropy)) likely. (Hewitt et al. 2022, eta sampling)"""
    limit = torch.tensor(epsilon, device=scores.device)
    entropy: Tensor = torch.distributions.Categorical(logits=scores).entropy()  # type: ignore[no-untyped-call]
    return _cut(scores, torch.min(limit, limit.sqrt() * torch.exp(-entropy))[:, None], least)


def _cut(scores: Tensor, limit: Tensor, least: int) -> Tensor:
    lowest = scores.topk(min(least, scores.shape[1])).values[:, -1:]
    return scores.masked_fill((scores.softmax(-1) < limit) & (scores < lowest), -math.inf)


def _in_place(sorted_values: Tensor, order: Tensor) -> Tensor:
    """Values of sorted tokens, back in the vocabulary's order."""
    return torch.empty_like(sorted_values).scatter(-1, order, sorted_values)


def _known(tokens: Sequence[int], scores: Tensor) -> Tensor:
    """Those of the tokens that the vocabulary has: int64."""
    known = sorted({token for token in tokens if 0 <= token < scores.shape[1]})
    return torch.tensor(known, dtype=torch.int64, device=scores.device)
