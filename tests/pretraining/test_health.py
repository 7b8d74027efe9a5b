"""The figures of a run, against scikit-learn."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from electra.pretraining.monitoring.pretraining_metrics import (
    discriminator_statistics,
    generator_statistics,
    metrics_of,
)


def batch(tokens: int = 500, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [T] with many ties, labels [T] that they tell something about."""
    draw = torch.Generator().manual_seed(seed)
    labels = (torch.rand(tokens, generator=draw) < 0.2).long()
    logits = (torch.randn(tokens, generator=draw) + 1.5 * labels - 1).mul(4).round() / 4
    return logits, labels


def guesses(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Generator logits [M, V], original ids, sampled ids, weights [M]."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(50, 7, generator=draw)
    original, sampled = (torch.randint(7, (50,), generator=draw) for _ in range(2))
    return logits, original, sampled, (torch.arange(50) % 5 > 0).float()


def totals(*batches: tuple[torch.Tensor, torch.Tensor]) -> dict[str, float]:
    summed: dict[str, float] = {}
    logits, original, sampled, weights = guesses()
    found = [generator_statistics(torch.tensor(2.5), logits, original, sampled, weights)]
    found += [discriminator_statistics(torch.tensor(0.5), *pair) for pair in batches]
    for statistics in found:
        for name, value in statistics.items():
            summed[name] = summed.get(name, 0) + value.item()
    return summed


def test_the_discriminators_figures_are_scikit_learns() -> None:
    logits, labels = batch()
    found = metrics_of(totals((logits, labels)))
    called = (logits > 0).long()
    expected = {
        "discriminator_auc": metrics.roc_auc_score(labels, logits),
        "discriminator_accuracy": metrics.accuracy_score(labels, called),
        "discriminator_precision": metrics.precision_score(labels, called),
        "discriminator_recall": metrics.recall_score(labels, called),
        "replaced": labels.float().mean().item(),
        "discriminator_loss": 0.5,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


def test_the_generators_figures_count_used_slots_only() -> None:
    logits, original, sampled, weights = guesses()
    used = weights.bool()
    found = metrics_of(totals(batch()))
    assert found["generator_loss"] == pytest.approx(2.5)
    assert found["generator_accuracy"] == metrics.accuracy_score(original[used], logits.argmax(-1)[used])
    assert found["generator_sampled_accuracy"] == metrics.accuracy_score(original[used], sampled[used])


def test_statistics_of_two_batches_add_up() -> None:
    first, second = batch(seed=1), batch(300, seed=2)
    found = metrics_of(totals(first, second))
    logits, labels = (torch.cat(pair) for pair in zip(first, second, strict=True))
    assert found["discriminator_recall"] == pytest.approx(metrics.recall_score(labels, logits > 0))
    pairs = [int(own.sum()) * int((1 - own).sum()) for _, own in (first, second)]
    curves = [metrics.roc_auc_score(own, scores) for scores, own in (first, second)]
    within = sum(p * c for p, c in zip(pairs, curves, strict=True)) / sum(pairs)
    assert found["discriminator_auc"] == pytest.approx(within)


def test_what_is_not_defined_is_none() -> None:
    found = metrics_of(totals((torch.full((4,), -1.0), torch.zeros(4, dtype=torch.int64))))
    assert found["discriminator_auc"] is found["discriminator_precision"] is found["discriminator_recall"] is None
    assert found["discriminator_accuracy"] == 1.0
