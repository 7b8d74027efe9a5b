"""The scores of one evaluation, and the outcome of a fit with one seed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from electra.files.atomic import write_text
from electra.metrics.task_metrics import goodness


@dataclass(frozen=True)
class Evaluation:
    """The scores after a step; main: the name of the score that selects the best evaluation."""

    step: int
    main: str
    scores: dict[str, float]

    @property
    def value(self) -> float:
        """The main score, so that higher is better."""
        return goodness(self.main, self.scores[self.main])

    def record(self) -> dict[str, Any]:
        """Its line in metrics.jsonl; NaN is null, which JSON has."""
        return {"step": self.step, "split": "held_out", "main": self.main, **without_nan(self.scores)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Evaluation:
        """The evaluation that `record` wrote."""
        scores = {name: value for name, value in record.items() if name not in ("step", "split", "main")}
        return cls(record["step"], record["main"], _with_nan(scores))


def best_evaluation(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The best evaluation, the earliest of equal ones."""
    return max(evaluations, key=lambda evaluation: (evaluation.value, -evaluation.step))


@dataclass(frozen=True)
class Outcome:
    """How a fit with one seed ended.

    Attributes:
        scores: of the best evaluation; empty if the fit failed before its first one.
        main: the name of the score that selects the model.
        step: the step of the best evaluation.
        seconds: of training.
        threshold: the tuned threshold of several labels or of no answer, for tasks that have one.
        failure: why the fit is restarted with another seed; None: it succeeded.
    """

    seed: int
    scores: dict[str, float] = field(default_factory=dict)
    main: str = ""
    step: int = 0
    seconds: float = 0.0
    threshold: float | None = None
    failure: str | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a model; a failed fit may have one."""
        return bool(self.scores)

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """The sort key of outcomes: has a model, did not fail, main score."""
        return self.usable, self.failure is None, goodness(self.main, self.scores.get(self.main, math.nan))

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_text(path, json.dumps(without_nan(vars(self)), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Outcome:
        """What `save` wrote."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**fields, "scores": _with_nan(fields["scores"])})


def shown(scores: Mapping[str, float]) -> str:
    """Scores as text: `accuracy 0.9123, matthews 0.8246`."""
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def without_nan(value: Any) -> Any:
    """The value with NaN replaced by None (null), as JSON has no NaN."""
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(scores: Mapping[str, float | None]) -> dict[str, float]:
    """The scores that `without_nan` made JSON of."""
    return {name: math.nan if value is None else float(value) for name, value in scores.items()}
