"""How good a model was: at one evaluation, and at the end of a fit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from electra.files.atomic import write_text
from electra.metrics.task_metrics import LESS_IS_BETTER


@dataclass(frozen=True)
class Evaluation:
    """Scores after a step; `main` is the name of the one to choose by."""

    step: int
    main: str
    scores: dict[str, float]

    @property
    def value(self) -> float:
        """The more, the better."""
        return goodness(self.main, self.scores[self.main])

    def record(self) -> dict[str, Any]:
        """The line of the metrics; JSON has no NaN, it is null there."""
        return {"step": self.step, "split": "held_out", "main": self.main, **without_nan(self.scores)}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Evaluation:
        """What `record` wrote."""
        scores = {name: value for name, value in record.items() if name not in ("step", "split", "main")}
        return cls(record["step"], record["main"], _with_nan(scores))


def best_evaluation(evaluations: Sequence[Evaluation]) -> Evaluation:
    """The first of the best."""
    return max(evaluations, key=lambda evaluation: (evaluation.value, -evaluation.step))


@dataclass(frozen=True)
class Outcome:
    """How a fit with one seed ended.

    Attributes:
        failure: why it is to be begun again with another seed; None: it is not.
        main: the name of the score to choose by.
        step: after which the model was kept.
        threshold: by which the scores of several labels, or no answer, were decided, where that was done.
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
        """Whether there is a model (a failed one may be the best there is)."""
        return bool(self.scores)

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """What the best outcome has most of: there is a model, it did not fail, and how good its main score is."""
        return self.usable, self.failure is None, goodness(self.main, self.scores.get(self.main, math.nan))

    def save(self, path: Path) -> None:
        write_text(path, json.dumps(without_nan(vars(self)), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> Outcome:
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**found, "scores": _with_nan(found["scores"])})


def shown(scores: Mapping[str, float]) -> str:
    """Scores for a reader: `accuracy 0.9123, matthews 0.8246`."""
    return ", ".join(f"{name} {value:.4f}" for name, value in scores.items())


def without_nan(value: Any) -> Any:
    """The same for JSON, which has no NaN: null."""
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(scores: Mapping[str, float | None]) -> dict[str, float]:
    """Scores as they were before they were JSON."""
    return {name: math.nan if value is None else float(value) for name, value in scores.items()}


def goodness(name: str, score: float) -> float:
    """The score of that name, or minus it where less is better; no number is the worst there is."""
    if math.isnan(score):
        return -math.inf
    return -score if name in LESS_IS_BETTER else score
