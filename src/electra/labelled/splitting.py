"""Splits of labelled examples: a stratified part for evaluation, folds, groups; texts that stand in both parts"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from electra.labelled.columns import LABEL_KEYS
from electra.labelled.labelled_examples import LabelledExamples
from electra.validation import require, require_count

UNSPLIT_KEYS = ("id",)
"""Parts of an example that do not make it another one."""


@dataclass(frozen=True)
class Split:
    """Examples to learn from and examples to be scored with."""

    train: LabelledExamples
    eval: LabelledExamples


def split(labelled: LabelledExamples, fraction: float = 0.1, *, seed: int = 0, group: str | None = None) -> Split:
    """Hold out a part of the examples, with every label in proportion; the same one for the same seed.

    Equal inputs (the same text, whatever its label) and examples of one group are never parted.

    Args:
        labelled: the examples.
        fraction: how many to hold out, between 0 and 1; at least one example, and at least one stays.
        seed: decides which.
        group: the column of the records that says what belongs together (a customer, a document).

    Raises:
        ValueError: a fraction out of range, a column that is not there, or fewer than two groups.
    """
    require(0 < fraction < 1, "fraction", fraction, "between 0 and 1")
    groups = _groups(labelled, group)
    total = len(labelled)
    target = min(max(1, round(fraction * total)), total - 1)
    # a part of 1 / k is a fold of k, so that both are stratified by the same rule
    parts = _assigned(labelled, groups, [target, total - target], seed)
    return Split(_some(labelled, parts[1]), _some(labelled, parts[0]))


def folds(labelled: LabelledExamples, count: int, *, seed: int = 0, group: str | None = None) -> list[Split]:
    """Divide the examples into `count` parts; each is held out once. The other arguments are those of `split`.

    Raises:
        ValueError: fewer than two folds, or fewer groups than folds.
    """
    require_count("folds", count, 2)
    groups = _groups(labelled, group)
    require(len(groups) >= count, "folds", count, f"at most {len(groups)}, as many as there are different examples")
    sizes = [len(labelled) // count + (i < len(labelled) % count) for i in range(count)]
    parts = _assigned(labelled, groups, sizes, seed)
    everything = set(range(len(labelled)))
    return [Split(_some(labelled, sorted(everything - set(part))), _some(labelled, part)) for part in parts]


def overlap(train: LabelledExamples, evaluation: LabelledExamples) -> list[int]:
    """Which examples for evaluation have the input of a training example, whatever their labels: their indices.

    White space at the ends and upper or lower case make no difference.
    """
    known = {input_of(example) for example in train.examples}
    return [i for i, example in enumerate(evaluation.examples) if input_of(example) in known]


def without_overlap(train: LabelledExamples, evaluation: LabelledExamples) -> tuple[LabelledExamples, str]:
    """The training examples whose input is not in the evaluation, and a sentence that says how many are left out.

    The evaluation stays as it is, so that scores remain comparable.

    Raises:
        ValueError: nothing would be left to learn from.
    """
    known = {input_of(example) for example in evaluation.examples}
    kept = [i for i, example in enumerate(train.examples) if input_of(example) not in known]
    if not kept:
        raise ValueError("every training example is in the evaluation too: give another file for one of them")
    dropped = len(train) - len(kept)
    return _some(train, kept), f"{dropped} of {len(train)} training examples are in the evaluation too, and left out"


def overlap_notice(train: LabelledExamples, evaluation: LabelledExamples) -> str | None:
    """A sentence about the examples for evaluation that stand in the training set too; None where there are none."""
    both = overlap(train, evaluation)
    if not both:
        return None
    first = evaluation.records[both[0]].where
    return (
        f"{len(both)} of {len(evaluation)} examples for evaluation are in the training set too (the first: {first}), "
        "so scores are higher than for new texts"
    )


def input_of(example: dict[str, Any]) -> str:
    """An example without its labels, in one spelling, by which equal inputs are recognised."""
    inputs = {key: _spelling(value) for key, value in example.items() if key not in (*LABEL_KEYS, *UNSPLIT_KEYS)}
    return json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str)


def _spelling(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    return [_spelling(one) for one in value] if isinstance(value, (list, tuple)) else value


def _groups(labelled: LabelledExamples, column: str | None) -> list[list[int]]:
    """The indices of the examples that must stay together, in the order of the first of each."""
    require(len(labelled) >= 2, "the number of examples", len(labelled), "2 or more to be split")
    if column is not None and not any(column in record.values for record in labelled.records):
        names = ", ".join(labelled.records[0].values)
        raise ValueError(f"{labelled.records[0].where}: no column {column!r} (group): the file has {names}")
    parent = list(range(len(labelled)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    keys: list[Callable[[int], Hashable]] = [lambda i: ("input", input_of(labelled.examples[i]))]
    if column is not None:
        keys.append(lambda i: ("group", str(labelled.records[i].values.get(column, f"\0{i}"))))
    first: dict[Hashable, int] = {}
    for i in range(len(labelled)):
        for key in keys:
            parent[root(i)] = root(first.setdefault(key(i), i))
    members: dict[int, list[int]] = defaultdict(list)
    for i in range(len(labelled)):
        members[root(i)].append(i)
    found = list(members.values())
    if len(found) < 2:
        what = f"all examples have one {column!r}" if column else "all examples have the same input"
        raise ValueError(f"{what}: they cannot be split")
    return found


def _assigned(
    labelled: LabelledExamples, groups: Sequence[list[int]], sizes: Sequence[int], seed: int
) -> list[list[int]]:
    """The indices of each part, so that labels are spread over the parts in proportion to their sizes.

    The groups, the largest first and otherwise in a seeded order, go each to the part that lacks most of its labels.
    """
    labels = [_label(example) for example in labelled.examples]
    totals: dict[str, int] = defaultdict(int)
    for label in labels:
        totals[label] += 1
    share = [size / len(labelled) for size in sizes]
    wanted = [{label: total * one for label, total in totals.items()} for one in share]
    room = [float(size) for size in sizes]
    parts: list[list[int]] = [[] for _ in sizes]
    ordered = sorted(groups, key=lambda group: (-len(group), totals[labels[group[0]]], _random(seed, group[0])))
    for group in ordered:
        needs = [sum(wanted[part][labels[i]] for i in group) / share[part] for part in range(len(parts))]
        # the smaller part first where both lack as much, so that it is not left empty
        order = sorted(range(len(parts)), key=lambda part: (room[part] < len(group), -needs[part], share[part], part))
        parts[order[0]] += group
        room[order[0]] -= len(group)
        for i in group:
            wanted[order[0]][labels[i]] -= 1
    for empty in (part for part in parts if not part):
        largest = max(parts, key=len)
        moved = next(group for group in reversed(ordered) if group[0] in largest)
        largest[:] = [i for i in largest if i not in moved]
        empty += moved
    return [sorted(part) for part in parts]


def _label(example: dict[str, Any]) -> str:
    """What is spread evenly: the label; of tagged words the set of types; of questions whether there is an answer."""
    if "tags" in example:
        return json.dumps(sorted({str(tag).partition("-")[2] or str(tag) for tag in example["tags"]}))
    if "answers" in example:
        return str(bool(example["answers"]))
    label = example.get("label")
    if isinstance(label, float):
        return ""  # numbers to learn have no classes
    return json.dumps(label, default=str) if not isinstance(label, list) else json.dumps(sorted(map(str, label)))


def _random(seed: int, index: int) -> bytes:
    return hashlib.sha256(f"{seed} {index}".encode()).digest()


def _some(labelled: LabelledExamples, indices: Sequence[int]) -> LabelledExamples:
    return replace(
        labelled,
        examples=[labelled.examples[i] for i in indices],
        records=[labelled.records[i] for i in indices],
    )
