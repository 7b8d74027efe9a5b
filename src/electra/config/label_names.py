"""Labels in a configuration: `num_labels`, `id2label` and `label2id` are read, checked and made consistent."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from electra.validation import is_whole, require, require_count, shown

log = logging.getLogger("electra")

ABOUT_LABELS = frozenset({"id2label", "label2id", "num_labels"})
MOST_LABELS = 2**20


def numbered_labels(count: int) -> dict[int, str]:
    """The names of labels that nobody named: LABEL_0, LABEL_1, …"""
    return {i: f"LABEL_{i}" for i in range(count)}


def numbers_of(names: Mapping[int, str]) -> dict[str, int]:
    """id2label -> label2id."""
    return {name: i for i, name in names.items()}


def with_all_labels(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with `id2label` and `label2id`, each following from what is given of the three; without `num_labels`.

    Raises:
        ValueError: one of them has the wrong type, or they contradict one another.
    """
    completed = {name: value for name, value in values.items() if name not in ABOUT_LABELS}
    names, numbers, count = (values.get(name) for name in ("id2label", "label2id", "num_labels"))
    if count is not None:
        require_count("num_labels", count)
        require(count <= MOST_LABELS, "num_labels", count, f"at most {MOST_LABELS}")
    if names is not None:
        completed["id2label"] = _id2label(names)
        if count is not None and count != len(completed["id2label"]):
            raise ValueError(
                f"num_labels is {count} and id2label names {len(completed['id2label'])} labels: give one of them"
            )
        if numbers is not None and _label2id(numbers) != numbers_of(completed["id2label"]):
            raise ValueError(f"label2id {shown(numbers)} is not the inverse of id2label {shown(names)}")
    elif numbers is not None:
        read = _label2id(numbers)
        if len(set(read.values())) < len(read):
            raise ValueError(f"label2id is {shown(numbers)}: two labels have the same number")
        completed["id2label"] = _id2label({i: name for name, i in read.items()}, "label2id")
        if count is not None and count != len(completed["id2label"]):
            raise ValueError(f"num_labels is {count} and label2id names {len(numbers)} labels: give one of them")
    elif count is not None:
        completed["id2label"] = numbered_labels(int(count))
    if "id2label" in completed:
        completed["label2id"] = numbers_of(completed["id2label"])
    return completed


def of_file(values: Mapping[str, Any], overrides: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The values of a file, without what it says of the labels where that is overridden or out of date.

    transformers writes `label2id` and `num_labels` that do not fit `id2label` any more (version 4 writes its default
    beside an `id2label` that was given alone). `id2label` decides, as the networks' outputs are named by it.

    Args:
        values: the content of the file.
        overrides: what the caller gives; where that has part of the three, nothing of the file's counts.
        source: the file's name, for the warning.
    """
    overridden = bool(ABOUT_LABELS & overrides.keys())
    current = {name: value for name, value in values.items() if not (overridden and name in ABOUT_LABELS)}
    names = current.get("id2label")
    if names is None:
        return current
    names = _id2label(names)
    stale = []
    if current.get("label2id") is not None and current["label2id"] != numbers_of(names):
        default = current["label2id"] == numbers_of(numbered_labels(2))
        stale += [] if default else ["label2id"]
        del current["label2id"]
    if current.get("num_labels") is not None and current["num_labels"] != len(names):
        stale.append("num_labels")
        del current["num_labels"]
    for name in stale:
        log.warning(
            "%s: %s %s does not fit id2label %s: id2label decides", source, name, shown(values[name]), shown(names)
        )
    return current


def _id2label(names: Any, field: str = "id2label") -> dict[int, str]:
    """`id2label` of a file or a caller, with whole numbers as keys: 0 to K - 1, each with a label of its own.

    field: what it was given as.
    """
    require(isinstance(names, Mapping) and len(names) > 0, field, names, "a label for each number, from 0 on")
    read = {_number(i, field): _label(name, i, field) for i, name in names.items()}
    if sorted(read) != list(range(len(names))):
        raise ValueError(f"{field} is {shown(names)}: it must name a label for each number from 0 to {len(names) - 1}")
    seen: set[str] = set()
    for label in read.values():
        if label in seen:
            raise ValueError(f"{field} is {shown(names)}: it has the label {label!r} twice; each needs its own")
        seen.add(label)
    return dict(sorted(read.items()))


def _label2id(numbers: Any) -> dict[str, int]:
    """`label2id` of a file or a caller, with whole numbers as values."""
    require(isinstance(numbers, Mapping) and len(numbers) > 0, "label2id", numbers, "a number for each label")
    return {_label(name, i, "label2id"): _number(i, "label2id") for name, i in numbers.items()}


def _number(value: Any, field: str) -> int:
    """A class's number; JSON objects have it as text."""
    # at most 7 digits: no file has more labels, and Python refuses to read thousands of digits
    digits = isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,6}", value, re.ASCII) is not None
    if not is_whole(value) and not digits:
        raise ValueError(f"{field} has the number {shown(value)}: it must be a whole number, 0 or above")
    return int(value)


def _label(value: Any, number: Any, field: str) -> str:
    """A label; numbers and truth values are labels too, by their text."""
    if not isinstance(value, (str, int, float)):
        raise ValueError(f"{field} has the label {shown(value)} for {shown(number)}: it must be text")
    label = str(value)
    try:
        label.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{field} has the label {shown(label)} for {shown(number)}: half a character (a lone surrogate), which no "
            "file can hold"
        ) from error
    return label
