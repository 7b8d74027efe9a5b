"""Split examples into training and evaluation, and find evaluation examples that occur in the training set."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

LABELS = ("label", "labels", "tags", "answers", "scores")
"""The fields of an example that hold its label."""
NUMBER_BINS = 5
"""Numbers of a regression are stratified by their place among these parts of the sorted numbers."""


def text_key(example: Any) -> str:
    """What an example asks, without its label: equal for texts that differ in case and spaces only."""
    parts = {name: value for name, value in example.items() if name not in (*LABELS, "id")}
    return json.dumps(_normalised(parts), ensure_ascii=False, sort_keys=True, default=str)


def _normalised(value: Any) -> Any:
    """Text without differences of case and spaces; lists and dicts of text too."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    if isinstance(value, Mapping):
        return {name: _normalised(part) for name, part in value.items()}
    return [_normalised(part) for part in value] if isinstance(value, (list, tuple)) else value


def overlapping(train: Sequence[Any], held_out: Sequence[Any]) -> tuple[list[int], int]:
    """Training examples whose texts are also evaluation examples.

    Returns:
        The indices of the training examples, and how many evaluation examples occur among them.
    """
    keys = Counter(map(text_key, held_out))
    found = [index for index, example in enumerate(train) if text_key(example) in keys]
    seen = {text_key(train[index]) for index in found}
    return found, sum(keys[key] for key in seen)


def split(
    examples: Sequence[Any], fraction: float, seed: int, groups: Sequence[Hashable] | None = None
) -> tuple[list[int], list[int]]:
    """A seeded split, stratified by label; a group, and equal texts, are never on both sides.

    Args:
        examples: with their labels.
        fraction: of the examples, for evaluation.
        seed: of the split.
        groups: of each example, such as its author; None: only equal texts belong together.

    Returns:
        The indices of the training and of the evaluation examples, in order.

    Raises:
        ValueError: there are fewer than two groups.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(_joined(examples, groups)):
        members[group].append(index)
    if len(members) < 2:
        raise ValueError("all examples have the same text or the same group: there is nothing to split, give --eval")
    strata = _strata(examples)
    by_stratum: dict[Hashable, list[list[int]]] = defaultdict(list)
    for indices in members.values():
        by_stratum[Counter(strata[i] for i in indices).most_common(1)[0][0]].append(indices)
    draw = random.Random(seed)
    held_out: list[int] = []
    for each in by_stratum.values():
        draw.shuffle(each)
        wanted = fraction * sum(map(len, each))
        taken = 0
        for indices in each[:-1]:  # one group of every label is left to learn from
            if taken + len(indices) / 2 <= wanted:
                held_out += indices
                taken += len(indices)
    if not held_out:
        held_out = min(members.values(), key=len)
    evaluation = set(held_out)
    return [index for index in range(len(examples)) if index not in evaluation], sorted(evaluation)


def folds(examples: Sequence[Any], count: int, seed: int, groups: Sequence[Hashable] | None = None) -> list[list[int]]:
    """Seeded folds for cross-validation, stratified by label; a group, and equal texts, are in one fold.

    Args:
        examples: with their labels.
        count: how many folds.
        seed: of the folds.
        groups: of each example; None: only equal texts belong together.

    Returns:
        The indices of the examples in each fold, in order.

    Raises:
        ValueError: there are fewer groups than folds.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index, group in enumerate(_joined(examples, groups)):
        members[group].append(index)
    if len(members) < count:
        raise ValueError(f"there are {len(members)} different texts or groups for {count} folds: give fewer --folds")
    strata = _strata(examples)
    by_stratum: dict[Hashable, list[list[int]]] = defaultdict(list)
    for indices in members.values():
        by_stratum[Counter(strata[i] for i in indices).most_common(1)[0][0]].append(indices)
    draw = random.Random(seed)
    made: list[list[int]] = [[] for _ in range(count)]
    for each in by_stratum.values():
        draw.shuffle(each)
        in_stratum = [0] * count
        for indices in each:
            smallest = min(range(count), key=lambda fold: (in_stratum[fold], len(made[fold])))
            made[smallest] += indices
            in_stratum[smallest] += len(indices)
    return [sorted(fold) for fold in made]


def _joined(examples: Sequence[Any], groups: Sequence[Hashable] | None) -> list[Hashable]:
    """The group of each example, where groups that share a text are one."""
    keys = list(map(text_key, examples))
    if groups is None:
        return list(keys)
    parents: dict[Hashable, Hashable] = {}

    def root(one: Hashable) -> Hashable:
        while parents.setdefault(one, one) != one:
            one = parents[one]
        return one

    for group, key in zip(groups, keys, strict=True):
        parents[root(("group", group))] = root(("text", key))
    return [root(("text", key)) for key in keys]


def _strata(examples: Sequence[Any]) -> list[Hashable]:
    """What is to be as frequent on both sides: labels, parts of the range of numbers, whether there is an answer."""
    labels = [_label(example) for example in examples]
    if all(isinstance(label, float) for label in labels):
        order = sorted(range(len(labels)), key=lambda index: labels[index])
        bins = {index: place * NUMBER_BINS // len(labels) for place, index in enumerate(order)}
        return [bins[index] for index in range(len(labels))]
    return labels


def _label(example: Mapping[str, Any]) -> Any:
    if "answers" in example:
        return bool(example["answers"])
    if "tags" in example:
        return frozenset(map(str, example["tags"]))
    label = example.get("label", example.get("labels"))
    if isinstance(label, (list, tuple)):
        return tuple(map(str, label))
    return label if isinstance(label, float) else str(label)
