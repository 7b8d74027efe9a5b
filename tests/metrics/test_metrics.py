"""Figures of merit, of all examples and of some, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from electra.metrics import confidence_intervals as certainty
from electra.metrics.confidence_intervals import difference, intervals, paired_test
from electra.metrics.entity_metrics import EntityOutcomes
from electra.metrics.ranking_metrics import RankingOutcomes
from electra.metrics.squad_metrics import AnswerOutcomes
from electra.metrics.task_metrics import (
    ChoiceOutcomes,
    LabelOutcomes,
    NumberOutcomes,
    Outcomes,
    SetOutcomes,
    word_outcomes,
)

Draw = np.random.Generator
TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


@pytest.fixture
def draw() -> Draw:
    return np.random.default_rng(0)


def entities(count: int, draw: Draw, wrong: float = 0.3) -> EntityOutcomes:
    """Random tags (many of them no IOB2), of which some were said otherwise."""
    right = [draw.choice(TAGS, size=draw.integers(1, 9)).tolist() for _ in range(count)]
    said = [[tag if draw.random() > wrong else str(draw.choice(TAGS)) for tag in tags] for tags in right]
    return EntityOutcomes(said, right)


def test_entities_are_counted_strictly_and_as_conlleval_does() -> None:
    outcomes = EntityOutcomes([["O", "I-X", "O", "B-Y"]], [["O", "B-X", "O", "B-Y"]])
    assert outcomes.scores() == {"f1": 2 / 3, "precision": 1, "recall": 0.5, "conlleval_f1": 1, "accuracy": 0.75}
    assert outcomes.by_class()["Y"] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}
    assert list(outcomes.by_class()) == ["X", "Y"]
    other_scheme = EntityOutcomes([["S-X", "O"]], [["S-X", "O"]])
    assert other_scheme.scores()["f1"] == 1


KINDS: dict[str, Any] = {
    "labels": lambda n, draw: LabelOutcomes(draw.integers(0, 3, n), draw.integers(0, 3, n), ("a", "b", "c")),
    "two labels": lambda n, draw: LabelOutcomes(draw.integers(0, 2, n), draw.integers(0, 2, n), ("a", "b")),
    "rare labels": lambda n, draw: LabelOutcomes(np.arange(n) // 18, np.arange(n) // 22, ("a", "b", "c", "none")),
    "sets": lambda n, draw: SetOutcomes(draw.random((n, 3)) > 0.5, draw.random((n, 3)) > 0.5, ("a", "b", "c")),
    "sets of one label": lambda n, draw: SetOutcomes(draw.random((n, 1)) > 0.5, draw.random((n, 1)) > 0.5, ("a",)),
    "numbers": lambda n, draw: NumberOutcomes(draw.random(n), draw.random(n)),
    "many equal numbers": lambda n, draw: NumberOutcomes(draw.random((n, 2)).round(1), draw.random((n, 2)).round(1)),
    "words": lambda n, draw: word_outcomes(
        [[i % 3] * (i % 4) for i in range(n)], [[i % 2] * (i % 4) for i in range(n)], ("a", "b", "c")
    ),
    "entities": entities,
    "choices": lambda n, draw: ChoiceOutcomes(draw.integers(0, 3, n), draw.integers(0, 3, n)),
    "rankings": lambda n, draw: RankingOutcomes.of(
        draw.random((n, 5)).tolist(), np.eye(5)[draw.integers(0, 5, n)].tolist()
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_some_examples(kind: str, draw: Draw) -> None:
    outcomes: Outcomes = KINDS[kind](40, draw)
    assert len(outcomes) == len(outcomes.correctness()) == 40
    assert outcomes.main in outcomes.scores()
    assert outcomes.scores(np.arange(40)) == pytest.approx(outcomes.scores())
    half = np.arange(20)
    assert outcomes.scores(np.concatenate([half, half])) == pytest.approx(outcomes.scores(half))
    assert outcomes.scores(half) != outcomes.scores()


@pytest.mark.parametrize("kind", KINDS)
def test_many_draws_at_once_have_the_scores_of_each(kind: str, draw: Draw) -> None:
    """The fast path of the bootstrap and its plain twin, also of draws without some label, or with one alone."""
    outcomes: Outcomes = KINDS[kind](40, draw)
    draws = [draw.integers(0, 40, size=40), draw.integers(0, 40, size=40), draw.integers(0, 15, size=40)]
    draws.append(np.full(40, 6))
    found = outcomes.resampled(iter(draws))
    for i, chosen in enumerate(draws):
        expected = outcomes.scores(chosen)
        assert {name: values[i] for name, values in found.items()} == pytest.approx(expected, nan_ok=True)


def test_scores_of_rankings() -> None:
    """Of a query each: the right text first, second, eleventh, absent."""
    first = [1.0] + [0.0] * 11
    predicted = [range(12, 0, -1), [1, 2, *range(-10, 0)], [0, *range(1, 11), -1], [0] * 12]
    found = RankingOutcomes.of(predicted, [first, first, first, [0.0] * 12])
    assert found.measured["mrr@10"].tolist() == [1, 0.5, 0, 0]
    assert found.measured["ndcg@10"].tolist() == pytest.approx([1, 1 / math.log2(3), 0, 0])
    assert found.measured["map"].tolist() == pytest.approx([1, 1 / 2, 1 / 11, 0])
    assert found.scores()["mrr@10"] == 1.5 / 4


def test_a_single_text_that_is_right_is_ranked_well() -> None:
    assert RankingOutcomes.of([[0.2]], [[1.0]]).scores() == {"mrr@10": 1, "ndcg@10": 1, "map": 1}


def test_of_equal_scores_no_text_is_first() -> None:
    """Two of four texts are relevant: the first one of them is at place 1, 2 or 3, in 3, 2 and 1 of six orders."""
    mean = (3 + 2 / 2 + 1 / 3) / 6
    for relevant in ([1.0, 1, 0, 0], [0.0, 0, 1, 1], [0.0, 1, 0, 1]):
        tied = RankingOutcomes.of([[0.5] * 4, [0.5] * 4 + [0.6] * 8], [relevant, [*relevant, *[0.0] * 8]])
        assert tied.measured["mrr@10"].tolist() == pytest.approx([mean, (3 / 9 + 2 / 10) / 6])


def test_a_teacher_s_negative_scores_are_gains_above_the_lowest() -> None:
    """Of two queries; no text of the second is relevant, but one is the better."""
    found = RankingOutcomes.of([[3.0, 2.0, 1.0], [1.0, 2.0]], [[1.5, -2.5, -4.0], [-1.0, -3.0]])
    assert found.measured["ndcg@10"].tolist() == pytest.approx([1, 1 / math.log2(3)])
    assert found.measured["mrr@10"].tolist() == [1, 0]
    assert RankingOutcomes.of([[0.2]], [[-1.0]]).scores() == {"mrr@10": 0, "ndcg@10": 0, "map": 0}


def test_a_single_label_of_sets_is_counted_where_it_is_and_not_where_it_is_missing() -> None:
    found = SetOutcomes(np.array([[1], [1], [0], [0]], bool), np.array([[1], [0], [0], [0]], bool), ("toxic",))
    assert found.scores() == {"micro_f1": pytest.approx(2 / 3), "macro_f1": pytest.approx(2 / 3), "accuracy": 0.75}
    assert found.by_class() == {"toxic": {"precision": 0.5, "recall": 1, "f1": pytest.approx(2 / 3), "support": 1}}
    never = SetOutcomes(np.zeros((3, 1), bool), np.zeros((3, 1), bool), ("toxic",))
    assert never.scores() == {"micro_f1": 0, "macro_f1": 0, "accuracy": 1}


@pytest.mark.parametrize(("said", "right", "error"), [(np.ones(4), np.arange(4.0), 1.5), (np.ones(1), np.zeros(1), 1)])
def test_constant_numbers_have_no_correlation_and_no_warning(said: np.ndarray, right: np.ndarray, error: float) -> None:
    found = NumberOutcomes(said, right).scores()
    assert math.isnan(found["pearson"])
    assert math.isnan(found["spearman"])
    assert found["mean_squared_error"] == error


# -- certainty ------------------------------------------------------------------------


@dataclass(frozen=True)
class Means(Outcomes):
    """The simplest score."""

    values: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def scores(self, chosen: np.ndarray | None = None) -> dict[str, float]:
        return {"mean": float((self.values if chosen is None else self.values[chosen]).mean())}

    def correctness(self) -> np.ndarray:
        return self.values


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of the means of 100 answers that are right with p = 0.7, at a confidence of 80 percent."""
    held = 0
    for seed in range(100):
        right = np.random.default_rng(seed).random(100) < 0.7
        low, high = intervals(Means(right), resamples=100, confidence=0.8, seed=seed)["mean"]
        held += low <= 0.7 <= high
    assert 68 <= held <= 92


def test_a_score_that_some_draws_do_not_have_has_no_part_in_them() -> None:
    found = intervals(Means(np.array([np.nan] + [1.0] * 3)), resamples=50)
    assert found == {"mean": (1.0, 1.0)}
    assert intervals(Means(np.full(3, np.nan)), resamples=5) == {}


def test_intervals_follow_from_the_seed(draw: Draw) -> None:
    outcomes = KINDS["labels"](30, draw)
    assert intervals(outcomes, resamples=20, seed=1) == intervals(outcomes, resamples=20, seed=1)
    assert intervals(outcomes, resamples=20, seed=1) != intervals(outcomes, resamples=20, seed=2)


def choices(right: int, count: int) -> ChoiceOutcomes:
    return ChoiceOutcomes(np.array([1] * right + [0] * (count - right)), np.ones(count, dtype=int))


def test_a_difference_is_told_from_chance() -> None:
    one, other = choices(50, 60), choices(30, 60)
    low, high = difference(one, other, resamples=200)["accuracy"]
    assert 0.15 < low < 20 / 60 < high < 0.5
    found = paired_test(one, other)
    assert (found["test"], found["better"], found["worse"]) == ("McNemar's, exact", 20, 0)
    assert found["p"] == pytest.approx(2 * 0.5**20)
    assert paired_test(one, one)["p"] == 1


def test_permutations_of_many_examples_are_counted_in_parts(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10,000 examples they were 7 GB. The parts are the same permutations."""
    one, other = (NumberOutcomes(draw.random(50), np.zeros(50)) for _ in range(2))
    whole = paired_test(one, other)
    shapes, mean = set(), np.mean
    monkeypatch.setattr(certainty, "AT_ONCE", 50 * 7)
    monkeypatch.setattr(np, "mean", lambda values, axis: shapes.add(values.size) or mean(values, axis=axis))
    assert paired_test(one, other) == whole
    assert max(shapes) == 50 * 7


def test_numbers_are_compared_by_permutation(draw: Draw) -> None:
    truth = np.arange(40.0)
    good, bad = NumberOutcomes(truth + 0.1, truth), NumberOutcomes(truth + draw.normal(0, 2, 40), truth)
    found = paired_test(good, bad)
    assert found["test"] == "paired permutation"
    assert found["p"] < 0.01
    same = NumberOutcomes(truth + draw.permutation([0.1, 0.2] * 20), truth)
    assert paired_test(same, NumberOutcomes(truth + draw.permutation([0.1, 0.2] * 20), truth))["p"] > 0.01


@pytest.mark.parametrize(
    ("right", "count", "low", "high"), [(30, 30, 0.884, 1), (0, 30, 0, 0.116), (29, 30, 0.828, 0.999), (1, 1, 0.025, 1)]
)
def test_an_interval_of_a_fraction_is_exact(right: int, count: int, low: float, high: float) -> None:
    """A bootstrap of 30 right answers of 30 has no wrong one in any resample."""
    assert intervals(choices(right, count), resamples=50)["accuracy"] == pytest.approx((low, high), abs=5e-4)


def test_perfect_scores_of_every_kind_have_room_below() -> None:
    labels = np.array([0, 1] * 15)
    tags = [["B-X", "I-X", "O"]] * 30
    every = {
        "labels": LabelOutcomes(labels, labels, ("a", "b")),
        "words": word_outcomes([[0, 1]] * 30, [[0, 1]] * 30, ("a", "b")),
        "sets": SetOutcomes(np.ones((30, 2), bool), np.ones((30, 2), bool), ("a", "b")),
        "entities": EntityOutcomes(tags, tags),
        "rankings": RankingOutcomes.of([[2.0, 1.0]] * 30, [[1.0, 0.0]] * 30),
        "answers": AnswerOutcomes.of(["sea"] * 30, [-1.0] * 30, [["sea"]] * 30, 0.0),
    }
    for outcomes in every.values():
        found = intervals(outcomes, resamples=20)
        assert found.keys() == outcomes.scores().keys()
        for name, (low, high) in found.items():
            best = outcomes.scores()[name]
            expected = 2 * 0.884 - 1 if name == "matthews" else 0.884 * best
            assert (low, high) == pytest.approx((expected, best), rel=2e-3)


def test_the_worst_scores_have_room_above() -> None:
    wrong = LabelOutcomes(np.array([1, 0] * 15), np.array([0, 1] * 15), ("a", "b"))
    found = intervals(wrong, resamples=20)
    assert found["accuracy"] == found["f1"] == pytest.approx((0, 0.116), abs=1e-3)
    assert found["matthews"] == pytest.approx((-1, 2 * 0.116 - 1), abs=1e-3)


def test_numbers_have_no_best_score() -> None:
    assert intervals(NumberOutcomes(np.arange(9.0), np.arange(9.0)), resamples=20)["pearson"] == pytest.approx((1, 1))


def test_the_matrix_of_entities_counts_what_the_table_counts() -> None:
    expected = [["B-X", "I-X", "O", "B-Y"], ["B-Y", "O", "O"]]
    predicted = [["B-X", "I-X", "O", "B-X"], ["O", "B-Y", "I-Y"]]
    outcomes = EntityOutcomes(predicted, expected)
    names, counts = outcomes.confusion_matrix()
    assert names == ("O", "X", "Y")
    assert counts.tolist() == [[0, 0, 1], [0, 1, 0], [1, 1, 0]]
    support = {name: int(row["support"]) for name, row in outcomes.by_class().items()}
    assert dict(zip(names, counts.sum(1).tolist(), strict=True)) == {"O": 1, **support}
