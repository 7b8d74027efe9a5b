"""Splits: seeded, stratified, without a text or a group on both sides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from electra.labelled.labelled_examples import LabelledExamples, read_labelled
from electra.labelled.splitting import folds, overlap, overlap_notice, split, without_overlap


def examples(*rows: tuple[str, Any], **columns: list[Any]) -> LabelledExamples:
    rest = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    pairs = zip(rows, rest or [{}] * len(rows), strict=True)
    return read_labelled([{"text": text, "label": label, **more} for (text, label), more in pairs])


def numbered(count: int, of: int = 3) -> LabelledExamples:
    return examples(*((f"text {i}", f"class {i % of}") for i in range(count)))


def test_a_split_is_seeded_and_has_all_labels_in_proportion() -> None:
    rows = [(f"text {i}", "rare" if i % 20 == 0 else "often") for i in range(600)]
    labelled = examples(*rows)
    first, again, other = split(labelled, seed=1), split(labelled, seed=1), split(labelled, seed=2)
    assert first.eval.examples == again.eval.examples != other.eval.examples
    assert Counter(example["label"] for example in first.eval.examples) == {"often": 57, "rare": 3}
    assert len(first.train) == 540
    assert not overlap(first.train, first.eval)
    assert [record.line for record in first.eval.records] == sorted(record.line for record in first.eval.records)


@pytest.mark.parametrize(("count", "fraction", "held_out"), [(2, 0.1, 1), (10, 0.1, 1), (30, 0.2, 6), (5, 0.9, 4)])
def test_both_parts_have_examples(count: int, fraction: float, held_out: int) -> None:
    parts = split(numbered(count), fraction)
    assert (len(parts.train), len(parts.eval)) == (count - held_out, held_out)


def test_equal_texts_and_groups_stay_together() -> None:
    rows = [(f"text {i // 4}", f"class {i % 3}") for i in range(80)]
    parts = split(examples(*rows), 0.25)
    assert not overlap(parts.train, parts.eval)
    assert abs(len(parts.eval) - 20) <= 4
    customers = [f"c{i % 9}" for i in range(90)]
    labelled = examples(*((f"text {i}", f"class {i % 3}") for i in range(90)), customer=customers)
    parts = split(labelled, 0.3, group="customer")
    sides = [{record.values["customer"] for record in side.records} for side in (parts.train, parts.eval)]
    assert not sides[0] & sides[1]
    assert all(sides)


def test_folds_hold_each_example_out_once() -> None:
    labelled = numbered(50)
    parts = folds(labelled, 5, seed=3)
    held_out = [example["text"] for part in parts for example in part.eval.examples]
    assert sorted(held_out) == sorted(example["text"] for example in labelled.examples)
    for part in parts:
        assert len(part.eval) == 10
        assert len(part.train) == 40
        assert max(Counter(example["label"] for example in part.eval.examples).values()) <= 4


def test_words_questions_and_numbers_are_split_too() -> None:
    tagged = read_labelled([{"tokens": [f"w{i}"], "tags": ["B-X" if i % 2 else "O"]} for i in range(20)])
    assert {tag for example in split(tagged, 0.2).eval.examples for tag in example["tags"]} == {"B-X", "O"}
    asked = [{"question": f"q{i}", "context": "the sea", "answers": [] if i % 2 else ["sea"]} for i in range(20)]
    assert len({bool(example["answers"]) for example in split(read_labelled(asked), 0.2).eval.examples}) == 2
    assert len(split(examples(*((f"t{i}", i / 7) for i in range(20))), 0.2).eval) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.5}, "fraction is 1.5: it must be between 0 and 1"),
        ({"group": "customer"}, r"row 1: no column 'customer' \(group\): the file has text, label"),
    ],
)
def test_what_cannot_be_split(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(numbered(10), **options)
    with pytest.raises(ValueError, match="all examples have the same input"):
        split(examples(("x", "a"), ("x", "b")))
    with pytest.raises(ValueError, match="folds is 11: it must be at most 10"):
        folds(numbered(10), 11)


def test_texts_of_the_evaluation_that_are_learnt_too_are_counted_and_dropped() -> None:
    train = examples(("Good film", "pos"), ("dull", "neg"), ("bad", "neg"))
    held_out = examples(("good  film ", "neg"), ("new", "pos"))
    assert overlap(train, held_out) == [0]
    notice = overlap_notice(train, held_out)
    assert notice is not None
    assert notice.startswith("1 of 2 examples for evaluation are in the training set too (the first: list, row 1)")
    assert overlap_notice(examples(("x", "a"), ("y", "b")), held_out) is None
    left, said = without_overlap(train, held_out)
    assert [example["text"] for example in left.examples] == ["dull", "bad"]
    assert said == "1 of 3 training examples are in the evaluation too, and left out"
    with pytest.raises(ValueError, match="every training example is in the evaluation"):
        without_overlap(held_out, held_out)
