"""Ranking metrics (MRR, nDCG, MAP) and the losses that learn to rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from electra.metrics.task_metrics import Outcomes
from electra.validation import import_extra

CUTOFF = 10
"""MRR@10 and nDCG@10: the first ten texts of a ranking count."""


@dataclass(frozen=True)
class RankingOutcomes(Outcomes):
    """How well each query's texts were ranked.

    A query without a relevant text counts 0. Texts with equal scores are not ordered by the file: each metric is the
    mean over all orders of them.
    """

    main: ClassVar[str] = "ndcg@10"

    measured: dict[str, np.ndarray]
    """Each metric of every query, [n]: none depends on another query."""

    @classmethod
    def of(cls, predicted: Sequence[Sequence[float]], expected: Sequence[Sequence[float]]) -> Self:
        """From scores and relevance.

        Args:
            predicted: the scores of each query's texts.
            expected: how relevant these are; above 0 if they are. Where some are negative (a teacher's scores), the
                gain of a text is how far it is above the query's lowest one.
        """
        each = [_measures(*pair) for pair in zip(predicted, expected, strict=True)]
        return cls(dict(zip(("mrr@10", "ndcg@10", "map"), np.array(each).reshape(-1, 3).T, strict=True)))

    def __len__(self) -> int:
        return len(self.measured[self.main])

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """Mean reciprocal rank and normalised discounted cumulative gain of the first ten, mean average precision."""
        picked = np.arange(len(self)) if indices is None else indices
        return {name: float(values[picked].mean()) for name, values in self.measured.items()}

    def bounds(self, name: str) -> tuple[float, float]:
        return 0.0, 1.0

    def correctness(self) -> np.ndarray:
        return self.measured[self.main]


def _measures(predicted: Sequence[float], expected: Sequence[float]) -> tuple[float, float, float]:
    """The reciprocal rank of a query's first relevant text, nDCG@10 and average precision."""
    metrics = import_extra("sklearn.metrics", "train", "scoring")
    scores, relevance = np.asarray(predicted, dtype=float), np.asarray(expected, dtype=float)
    relevant, gains = relevance > 0, relevance - min(0.0, relevance.min())
    gain = float(metrics.ndcg_score([gains], [scores], k=CUTOFF) if len(gains) > 1 else relevant[0])
    if not relevant.any():
        return 0.0, gain, 0.0
    return _reciprocal_rank(scores, relevant), gain, float(metrics.average_precision_score(relevant, scores))


def _reciprocal_rank(scores: np.ndarray, relevant: np.ndarray) -> float:
    """The reciprocal rank of the first relevant text, the mean over all orders of the texts with its score.

    Of m such texts, r of them relevant, the j-th is the first relevant one in C(m - j, r - 1) of C(m, r) orders.

    Args:
        scores: [m].
        relevant: bool [m].
    """
    best = scores[relevant].max()
    above, tied = int((scores > best).sum()), scores == best
    texts, relevant_ones = int(tied.sum()), int((tied & relevant).sum())
    places = range(1, min(texts, CUTOFF - above) + 1)
    return float(sum(comb(texts - j, relevant_ones - 1) / comb(texts, relevant_ones) / (above + j) for j in places))


def list_loss(scores: Tensor, sizes: Sequence[int], targets: Tensor) -> Tensor:
    """Cross-entropy of each group's softmax, the mean over the groups -> [].

    ListNet's top-one loss; with one relevant text it is the softmax over the passages. Cao et al. 2007, "Learning to
    rank: from pairwise approach to listwise approach", section 4.3.

    Args:
        scores: [R], of R sequences in groups.
        sizes: how many sequences each group has.
        targets: [R]; those of a group add up to 1.
    """
    grid = pad_sequence(list(torch.split(scores, list(sizes))), batch_first=True, padding_value=-np.inf)
    wanted = pad_sequence(list(torch.split(targets, list(sizes))), batch_first=True)
    costs = wanted * grid.log_softmax(-1)
    return -costs.where(wanted > 0, 0).sum(-1).mean()


def pair_loss(scores: Tensor) -> Tensor:
    """Minus the log probability that the first of two is ranked above the second: scores [P, 2] -> [].

    Burges et al. 2005, "Learning to rank using gradient descent" (RankNet), equation 3 with a certain order.
    """
    return F.softplus(scores[:, 1] - scores[:, 0]).mean()


def margin_loss(scores: Tensor, margins: Tensor) -> Tensor:
    """The squared error of the difference of two scores: scores [P, 2], a teacher's differences [P] -> [].

    Hofstätter et al. 2020, "Improving efficient neural ranking models with cross-architecture knowledge distillation",
    equation 6 (Margin-MSE).
    """
    return F.mse_loss(scores[:, 0] - scores[:, 1], margins)
