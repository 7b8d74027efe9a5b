"""Recipes: the hyperparameters of pretraining for each size"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from electra.validation import is_count, require, require_count, require_positive


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters that a size is trained with.

    `warmup_steps` and the three intervals are those of a long run; `with_values` adapts them to a short one.

    Raises:
        ValueError: a value that is not allowed; the message names it.
    """

    learning_rate: float
    batch_size: int
    max_length: int
    steps: int
    mask_fraction: float = 0.15
    vocab_size: int = 30522
    warmup_steps: int = 10_000
    report_every: int = 100
    evaluate_every: int = 1000
    save_every: int = 1000

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "vocab_size", "report_every", "evaluate_every", "save_every"):
            require_count(name, getattr(self, name))
        require_positive("learning_rate", self.learning_rate)
        require(0 < self.mask_fraction <= 1, "mask_fraction", self.mask_fraction, "above 0 and at most 1")
        require(
            0 <= self.warmup_steps <= self.steps,
            "warmup_steps",
            self.warmup_steps,
            f"0 to {self.steps}, the number of steps",
        )

    def with_values(self, values: Mapping[str, Any]) -> Recipe:
        """This recipe with other values by name; None is ignored. Warm-up and intervals follow from the steps."""
        given = {name: value for name, value in values.items() if value is not None}
        steps = given.get("steps", self.steps)
        if not is_count(steps):
            return replace(self, **given)  # refuses it
        derived = {
            "warmup_steps": max(0, min(self.warmup_steps, steps // 10)),
            "report_every": max(1, min(self.report_every, steps // 100)),
            "evaluate_every": max(1, min(self.evaluate_every, steps // 10)),
            "save_every": max(1, min(self.save_every, steps // 10)),
        }
        return replace(self, **{**derived, **given})


# Table 6 of the paper and google-research/electra configure_pretraining.py; `tiny` is ours, for a laptop's two cores.
# `small++` is the small model that Google published: README of google-research/electra and its issues 39 and 44.
RECIPES = {
    "tiny": Recipe(3e-4, 32, 128, 10_000, vocab_size=8192),
    "small": Recipe(5e-4, 128, 128, 1_000_000),
    "small++": Recipe(5e-4, 128, 512, 4_000_000),
    "base": Recipe(2e-4, 256, 512, 766_000),
    "large": Recipe(2e-4, 2048, 512, 400_000, mask_fraction=0.25),
}
