"""Splits are seeded and stratified, and keep groups and equal texts together."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from electra.evaluation.splitting import folds, overlapping, split, text_key


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [{"text": f"text {i}", "label": draw.choice(["a"] * 8 + ["b", "c"])} for i in range(count)]


def test_every_label_is_on_both_sides_in_its_proportion() -> None:
    examples = rows(500)
    train, held_out = split(examples, 0.2, 0)
    assert sorted([*train, *held_out]) == list(range(500))
    for label, count in Counter(row["label"] for row in examples).items():
        assert sum(examples[i]["label"] == label for i in held_out) == pytest.approx(0.2 * count, abs=1)
    assert split(examples, 0.2, 0) == (train, held_out)
    assert split(examples, 0.2, 1) != (train, held_out)


def test_a_rare_label_is_left_to_learn_from() -> None:
    examples = [*rows(50), {"text": "rare", "label": "d"}]
    train, _ = split(examples, 0.5, 0)
    assert 50 in train


def test_equal_texts_are_on_one_side() -> None:
    examples = [{"text": f"  Text {i % 20} ", "label": "ab"[i % 2]} for i in range(100)]
    train, held_out = split(examples, 0.3, 0)
    assert not {i % 20 for i in train} & {i % 20 for i in held_out}
    assert 20 <= len(held_out) <= 40
    assert overlapping([examples[i] for i in train], [examples[i] for i in held_out]) == ([], 0)


def test_groups_are_on_one_side_also_those_that_share_a_text() -> None:
    examples = [{"text": f"text {i // 2}" if i < 20 else f"text {i}", "label": "ab"[i % 2]} for i in range(100)]
    groups = [i % 10 for i in range(100)]
    train, held_out = split(examples, 0.2, 0, groups)
    assert held_out
    assert not {groups[i] for i in train} & {groups[i] for i in held_out}
    assert not {examples[i]["text"] for i in train} & {examples[i]["text"] for i in held_out}
    with pytest.raises(ValueError, match="nothing to split, give --eval"):
        split(examples, 0.2, 0, ["one"] * 100)


@pytest.mark.parametrize(
    "examples",
    [
        [{"text": f"t{i}", "label": i / 10} for i in range(40)],
        [{"text": f"t{i}", "label": ["a"] if i % 2 else ["a", "b"]} for i in range(40)],
        [{"tokens": [f"t{i}"], "tags": ["O" if i % 4 else "B-X"]} for i in range(40)],
        [{"question": f"q{i}", "context": "c", "answers": [{"text": "c"}] if i % 2 else []} for i in range(40)],
        [{"query": f"q{i}", "texts": ["a", "b"], "labels": [1.0, 0.0]} for i in range(40)],
    ],
)
def test_every_task_is_split(examples: list[dict[str, Any]]) -> None:
    train, held_out = split(examples, 0.25, 0)
    assert len(train) + len(held_out) == 40
    assert 8 <= len(held_out) <= 12


def test_numbers_are_split_over_their_range() -> None:
    examples = [{"text": f"t{i}", "label": i / 10} for i in range(100)]
    _, held_out = split(examples, 0.2, 0)
    assert Counter(i // 20 for i in held_out) == dict.fromkeys(range(5), 4)


def test_overlaps_differ_in_case_and_spaces_only() -> None:
    train = [{"text": "The  sea", "label": "a"}, {"text": "the road", "label": "a"}, {"text": "the sea", "id": 3}]
    held_out = [{"text": " the sea ", "label": "b"}, {"text": "THE SEA"}, {"text": "a sea", "label": "a"}]
    assert text_key(held_out[0]) == text_key(held_out[1]) != text_key(held_out[2])
    assert overlapping(train, held_out) == ([0, 2], 2)
    assert overlapping(train, held_out[2:]) == ([], 0)


def test_folds_are_stratified_and_hold_every_example_once() -> None:
    examples = rows(103)
    made = folds(examples, 5, 0)
    assert sorted(index for fold in made for index in fold) == list(range(103))
    assert made == folds(examples, 5, 0) != folds(examples, 5, 1)
    for label, count in Counter(row["label"] for row in examples).items():
        assert all(abs(sum(examples[i]["label"] == label for i in fold) - count / 5) < 1 for fold in made)
    groups = [i % 10 for i in range(103)]
    grouped = folds(examples, 5, 0, groups)
    assert sum(len({groups[i] for i in fold}) for fold in grouped) == 10
    with pytest.raises(ValueError, match="10 different texts or groups for 11 folds"):
        folds(examples, 11, 0, groups)
