"""What the next token is drawn from: ids [R, n] and their scores [R, V] -> scores [R, V], -inf for what is left out.

Formulas as in transformers 5.23. `least`: how many tokens stay in any case.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def divide(ids: Tensor, scores: Tensor, *, temperature: float) -> Tensor:
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


def cut_below(ids: Tensor, scores: Tensor, *, epsilon: float, least: int) -> Tensor:
    """Tokens at least this likely. (Hewitt et al. 2022, epsilon sampling)"""
    return _cut(scores, torch.tensor(epsilon, device=scores.device), least)


def cut_below_entropy(ids: Tensor, scores: Tensor, *, epsilon: float, least: int) -> Tensor:
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
