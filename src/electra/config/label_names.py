"""Labels in a configuration: `num_labels`, `id2label` and `label2id` say one thing, and are of one piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from electra.config.config_checks import require


def numbered_labels(count: int) -> dict[int, str]:
    """The names of labels that nobody named."""
    return {i: f"LABEL_{i}" for i in range(count)}


def numbers_of(names: Mapping[int, str]) -> dict[str, int]:
    """id2label -> label2id"""
    return {name: i for i, name in names.items()}


def with_all_labels(values: dict[str, Any]) -> dict[str, Any]:
    """What is given of the three, with the others that follow from it; `num_labels` is not kept."""
    values = dict(values)
    count = values.pop("num_labels", None)
    if values.get("id2label") is not None:
        values["id2label"] = {int(i): str(name) for i, name in values["id2label"].items()}
        values.setdefault("label2id", numbers_of(values["id2label"]))
        if count is not None and count != len(values["id2label"]):
            raise ValueError(
                f"num_labels is {count} and id2label names {len(values['id2label'])} labels: give one of them"
            )
    elif values.get("label2id") is not None:
        values["id2label"] = {int(i): str(name) for name, i in values["label2id"].items()}
    elif count is not None:
        require(isinstance(count, int) and count > 0, "num_labels", count, "a whole number above 0")
        values["id2label"] = numbered_labels(count)
        values["label2id"] = numbers_of(values["id2label"])
    return {name: value for name, value in values.items() if not (name in ("id2label", "label2id") and value is None)}


def without_stale_labels(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What describes the labels is of one piece: where an override has part of it, the rest follows from that."""
    about_labels = {"id2label", "label2id", "num_labels"}
    kept = {k: v for k, v in values.items() if not (k in about_labels and about_labels & overrides.keys())}
    numbered = all(name == f"LABEL_{number}" for name, number in (kept.get("label2id") or {}).items())
    if numbered and "id2label" in kept:  # transformers 4 writes its default beside an id2label that was given alone
        kept.pop("label2id", None)
    return kept
