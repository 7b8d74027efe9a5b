"""Alarms on made-up series of figures: each is raised by its own sickness, once, and by no healthy run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from electra.pretraining.monitoring.alarms import GRACE_TOKENS, RULES, Alarms, grace

Record = dict[str, Any]
STEPS = range(100, 20_100, 100)
WARMUP = 1000
UNIGRAM = 7.0


def healthy(step: int) -> Record:
    """The course of a run as they go: two thousand steps of next to no recall, a dip of the AUC, a falling loss."""
    learnt = 1 - math.exp(-step / 4000)
    wave = math.sin(step / 130)  # the noise of reports
    return {
        "step": step,
        "split": "train",
        "generator_loss": 10.3 * math.exp(-step / 300) + 7.2 - 5 * learnt + 0.1 * wave,
        "generator_sampled_accuracy": 0.5 * learnt,
        "discriminator_auc": 0.62 + 0.3 * learnt + 0.02 * wave,
        "discriminator_recall": max(0.0, learnt - 0.4 + 0.02 * wave),
        "gradient_norm": 2 + 40 * math.exp(-step / 500) + (30 if step % 1700 == 0 else 0),  # lone spikes
    }


def raised(course: Callable[[int], Record], steps: range = STEPS, unigram: float | None = UNIGRAM) -> dict[str, int]:
    """name -> step of all alarms of a run."""
    alarms = Alarms(warmup_steps=WARMUP, unigram_entropy=unigram)
    return {alarm.name: alarm.step for step in steps for alarm in alarms.check(course(step))}


def test_a_healthy_run_raises_none() -> None:
    assert raised(healthy) == {}
    assert raised(healthy, unigram=None) == {}


SICK: dict[str, Record] = {
    "recall": {"discriminator_recall": 0.0005, "discriminator_auc": 0.6},
    "discriminator": {"discriminator_auc": 0.53},
    "generator": {"generator_loss": 6.99},
    "replacements": {"generator_sampled_accuracy": 0.85},
}


@pytest.mark.parametrize("name", SICK)
def test_a_sickness_is_told_once_and_not_before_the_grace_is_over(name: str) -> None:
    found = raised(lambda step: healthy(step) | SICK[name])
    assert found == {name: grace(WARMUP) + 100}
    assert raised(lambda step: healthy(step) | SICK[name], range(100, grace(WARMUP) + 1, 100)) == {}


# A run of `tiny` as it was (experiments/learning.md, the arm rtd), every 300 steps of 4,015 tokens: generator's loss,
# its sampled accuracy, area under the curve, recall, gradients' norm. Warm-up 600 steps, entropy of the tokens 6.65.
REAL = (
    (7.65, 0.001, 0.833, 0.221, 9.3),
    (6.62, 0.011, 0.652, 0.064, 7.2),
    (6.3, 0.024, 0.598, 0.025, 4.7),
    (6.19, 0.039, 0.582, 0.02, 3.6),
    (6.08, 0.049, 0.586, 0.019, 3.7),
    (6.07, 0.057, 0.601, 0.021, 3.9),
    (6.01, 0.062, 0.6, 0.02, 3.9),
    (5.97, 0.069, 0.606, 0.026, 4.1),
    (5.97, 0.068, 0.608, 0.022, 4.1),
    (5.92, 0.075, 0.608, 0.02, 4.3),
    (5.88, 0.076, 0.612, 0.024, 4.3),
    (5.89, 0.076, 0.616, 0.024, 4.3),
    (5.9, 0.076, 0.618, 0.025, 4.5),
    (5.87, 0.08, 0.62, 0.025, 4.6),
    (5.85, 0.081, 0.621, 0.024, 4.7),
    (5.87, 0.081, 0.621, 0.024, 4.7),
    (5.85, 0.081, 0.628, 0.028, 4.8),
    (5.86, 0.082, 0.624, 0.024, 4.9),
    (5.85, 0.083, 0.629, 0.028, 5.0),
    (5.87, 0.082, 0.628, 0.027, 5.0),
)
# a short one at a rate of 1e-3, at its end
TOO_FAST = (5.91, 0.07, 0.516, 0.0, 5.6)
NAMES = ("generator_loss", "generator_sampled_accuracy", "discriminator_auc", "discriminator_recall", "gradient_norm")


def real(step: int) -> Record:
    """Reported every 60 steps, five times what was seen every 300."""
    figures = dict(zip(NAMES, REAL[(step - 1) // 300], strict=True))
    return {"step": step, "split": "train", "tokens_seen": 4015 * step, **figures}


def test_a_real_run_raises_none_though_it_is_looked_at_early(monkeypatch: pytest.MonkeyPatch) -> None:
    for tokens in (GRACE_TOKENS, 0):
        monkeypatch.setattr("electra.pretraining.monitoring.alarms.GRACE_TOKENS", tokens)
        for grace_steps in (None, 1200):
            alarms = Alarms(warmup_steps=600, unigram_entropy=6.65, grace_steps=grace_steps)
            assert [alarm for step in range(60, 6001, 60) for alarm in alarms.check(real(step))] == []


def test_a_real_run_at_too_high_a_rate_is_told() -> None:
    alarms = Alarms(warmup_steps=600, unigram_entropy=6.65)
    sick = dict(zip(NAMES, TOO_FAST, strict=True))
    told = {alarm.name: alarm.step for step in range(60, 6001, 60) for alarm in alarms.check(real(step) | sick)}
    assert told == {"recall": 5040, "discriminator": 5040}


def test_small_batches_have_a_longer_grace() -> None:
    """In them, 5,000 steps are not much text."""
    tokens_in_step = 1000
    steps = range(100, 30_000, 100)
    found = raised(lambda step: healthy(step) | SICK["discriminator"] | {"tokens_seen": step * tokens_in_step}, steps)
    assert found == {"discriminator": GRACE_TOKENS // tokens_in_step + 100}


@pytest.mark.parametrize("name", SICK)
def test_one_good_report_in_ten_is_no_alarm_but_for_means(name: str) -> None:
    found = raised(lambda step: healthy(step) if step % 1000 == 0 else healthy(step) | SICK[name])
    assert set(found) <= ({name} if name in ("generator", "discriminator") else set())


def test_a_generator_that_never_falls_is_told_where_the_entropy_is_not_known() -> None:
    flat = raised(lambda step: healthy(step) | {"generator_loss": 10.3 + 0.01 * math.sin(step)}, unigram=None)
    assert flat == {"generator": grace(WARMUP) + 100}


def test_a_loss_that_jumps_back_and_stays_is_told() -> None:
    def broken(step: int) -> Record:
        return healthy(step) | ({"generator_loss": 7.3} if step > 15_000 else {})

    found = raised(broken, unigram=None)
    assert list(found) == ["forgetting"]
    assert 15_100 <= found["forgetting"] <= 16_000


@pytest.mark.parametrize(("reports", "told"), [(2, {}), (3, {"gradients": 3300})])
def test_gradients_that_explode_and_stay_are_told_without_grace(reports: int, told: dict[str, int]) -> None:
    def exploding(step: int) -> Record:
        return healthy(step) | ({"gradient_norm": 500.0} if 3000 < step <= 3000 + 100 * reports else {})

    assert raised(exploding) == told


def test_gradients_are_not_judged_in_the_warm_up() -> None:
    def rising(step: int) -> Record:
        return healthy(step) | {"gradient_norm": 1.0 if step < 25 else 300.0}

    assert raised(rising, range(1, 40)) == {}


def test_figures_that_are_not_defined_are_no_alarm() -> None:
    assert raised(lambda step: healthy(step) | dict.fromkeys(healthy(step).keys() - {"step", "split"})) == {}


def test_a_run_that_goes_on_says_nothing_twice_and_forgets_nothing() -> None:
    alarms = Alarms(warmup_steps=WARMUP)
    records = [healthy(step) | SICK["recall"] for step in STEPS]
    told = [alarm for record in records for alarm in alarms.check(record)]
    again = Alarms(warmup_steps=WARMUP)
    again.catch_up([*records, *(alarm.record() for alarm in told)])
    assert again.check(records[-1]) == []
    unsaid = Alarms(warmup_steps=WARMUP)
    unsaid.catch_up(records[:60])
    assert [alarm.name for alarm in unsaid.check(records[60])] == ["recall"]


def test_held_out_figures_raise_none() -> None:
    alarms = Alarms(warmup_steps=0, grace_steps=0)
    assert [a for step in STEPS for a in alarms.check(healthy(step) | SICK["recall"] | {"split": "held_out"})] == []


def test_every_alarm_says_what_to_do() -> None:
    alarms = Alarms(warmup_steps=0, grace_steps=0, unigram_entropy=UNIGRAM)
    sick = {name: value for changes in SICK.values() for name, value in changes.items()}
    told = [alarm for step in STEPS for alarm in alarms.check(healthy(step) | sick)]
    assert {alarm.name for alarm in told} == set(SICK)
    for alarm in told:
        assert str(alarm).startswith(f"alarm at step {alarm.step}, {alarm.name}: ")
        assert alarm.record()["split"] == "alarm"
    assert all(remedy and not remedy.endswith(".") for _, remedy in RULES.values())
