"""Sections of a page about a model's answers: scores, confusion matrix, calibration, worst answers, examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from electra.evaluation.calibration import Calibration, calibration
from electra.evaluation.error_analysis import worst
from electra.metrics.task_metrics import NumberOutcomes, Outcomes
from electra.reporting.confusion_matrix import matrix
from electra.reporting.curves import INSTALL, Chart, Line, can_draw, curves
from electra.reporting.html_page import page, paragraph, section
from electra.reporting.html_tables import table
from electra.reporting.marked_text import passage
from electra.tasks.labelled_task import LabelledTask

MOST_CASES = 20
MOST_LABELS = 30  # of a confusion matrix that is still readable
MOST_PAIRS = 12
MARKS = "; underlined: expected, coloured: predicted"
CLASS_COLUMNS = ("precision", "recall", "f1", "support")

DATA_ROWS = {
    "examples": "examples",
    "rows": "sequences that the network reads",
    "tokens": "tokens of all sequences",
    "median_tokens": "tokens per sequence, median",
    "longest_tokens": "tokens of the longest sequence",
    "cut": "examples that are truncated",
    "cut_tokens": "tokens that are truncated",
    "in_windows": "examples read in several windows",
}


@dataclass(frozen=True)
class Answered:
    """The answers of a model to labelled examples.

    Attributes:
        places: the file and line of each example, as `file:line`, and its id if it has one.
        skipped: the error of each example that was left out.
    """

    task: LabelledTask[Any]
    examples: Sequence[Any]
    answers: Sequence[Any]
    outcomes: Outcomes
    places: Sequence[str]
    skipped: Sequence[str] = ()


def scores_section(
    scores: Mapping[str, float | None],
    intervals: Mapping[str, Sequence[float]],
    more: Mapping[str, Mapping[str, float | None]] | None = None,
    *,
    confidence: float,
    note: str = "",
) -> str:
    """The section of the scores.

    Args:
        scores: by name.
        intervals: (low, high) of a score, where it has one.
        more: further columns, by their heading.
        confidence: of the intervals, such as 0.95.
        note: a sentence below the heading.
    """
    columns = more or {}
    percent = f"{100 * confidence:g} %"
    rows = [
        (name, value, *intervals.get(name, (None, None)), *(column.get(name) for column in columns.values()))
        for name, value in scores.items()
    ]
    return section("Scores", [table(("score", "value", f"{percent} from", "to", *columns), rows)], note=note)


def evaluation_page(
    result: Mapping[str, Any], answered: Answered, data: Mapping[str, Any], confidence: float, seconds: float
) -> str:
    """The page of an evaluation.

    Args:
        result: what `evaluate` returns.
        answered: the answers.
        data: the summary of the examples, see `summary`.
        confidence: of the intervals.
        seconds: that the answers took.
    """
    speed = f"{result['examples'] / max(seconds, 1e-9):,.0f} examples per second"
    parts = [
        paragraph(
            f"{result['model']}, {result['task']}: {result['examples']:,} examples of {result['data']}, {speed}."
        ),
        scores_section(result["scores"], result["intervals"], result.get("baselines"), confidence=confidence),
        _comparison(result.get("comparison"), confidence),
        *sections(answered),
        skipped_section(answered.skipped),
        data_section({"examples": data}, answered.task.max_length),
    ]
    return page(f"Evaluation: {Path(result['model']).name}", parts)


def sections(answered: Answered) -> list[str]:
    """Confusion matrix, scores of each label, calibration, numbers, worst answers; only those that the task has."""
    return [
        _confusion(answered.outcomes),
        _classes(answered.outcomes),
        _calibration(answered),
        _numbers(answered),
        _worst(answered),
    ]


def skipped_section(skipped: Sequence[str]) -> str:
    """The examples that were left out, with their errors."""
    rows = [(number, error) for number, error in enumerate(skipped[:MOST_CASES], start=1)]
    note = f"{len(skipped):,} invalid examples" + (f", the first {MOST_CASES}" if len(skipped) > MOST_CASES else "")
    return section("Left out", [table(("", "error"), rows)] if rows else [], note=note)


def data_section(parts: Mapping[str, Mapping[str, Any]], length: int) -> str:
    """The summary of the examples.

    Args:
        parts: see `summary`, by the name of the part, such as train.
        length: the most tokens of a sequence.
    """
    figures = [(heading, *(part.get(name) for part in parts.values())) for name, heading in DATA_ROWS.items()]
    names = dict.fromkeys(name for part in parts.values() for name in part.get("labels", {}))
    counts = [(name, *(part.get("labels", {}).get(name) for part in parts.values())) for name in names]
    rows = [row for row in figures if any(row[1:]) or row[0] == DATA_ROWS["cut"]]
    tables = [table(("", *parts), rows)] + ([table(("label", *parts), counts)] if counts else [])
    return section("Examples", tables, note=f"a sequence has up to {length:,} tokens")


def _comparison(comparison: Mapping[str, Any] | None, confidence: float) -> str:
    """Another model's scores, and how much better the first one is."""
    if comparison is None:
        return ""
    names = ("value", "low", "high")
    rows = [
        (name, comparison["scores"][name], *(values.get(part) for part in names))
        for name, values in comparison["difference"].items()
    ]
    percent = f"{100 * confidence:g} %"
    test = (
        f"The answers are better than the other model's {comparison['better']:,} times and worse "
        f"{comparison['worse']:,} times; {comparison['test']}: p = {comparison['p']:.3g}."
    )
    header = ("score", str(comparison["model"]), "difference", f"{percent} from", "to")
    return section("Comparison with another model", [table(header, rows), paragraph(test)])


def _confusion(outcomes: Outcomes) -> str:
    confusion = outcomes.confusion_matrix()
    if confusion is None:
        return ""
    names, counts = confusion
    graphic = matrix(names, counts.tolist(), rows="expected", columns="predicted") if len(names) <= MOST_LABELS else ""
    pairs = _most_confused(names, counts) if len(names) > 2 else []
    frequent = table(("expected", "predicted", "count"), pairs, caption="the most frequent confusions") if pairs else ""
    return section("Confusion matrix", [graphic, frequent], note=outcomes.confusion_note)


def _most_confused(names: Sequence[str], counts: np.ndarray) -> list[tuple[str, str, int]]:
    """(expected, predicted, count) of the most frequent errors."""
    wrong = counts * ~np.eye(len(names), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_PAIRS]
    pairs = (divmod(int(place), len(names)) for place in order)
    return [(names[i], names[j], int(wrong[i, j])) for i, j in pairs if wrong[i, j]]


def _classes(outcomes: Outcomes) -> str:
    rows = [
        (name, *(row[column] for column in CLASS_COLUMNS[:-1]), round(row["support"]))
        for name, row in outcomes.by_class().items()
    ]
    return section("By label", [table(("label", *CLASS_COLUMNS), rows)] if rows else [])


def _calibration(answered: Answered) -> str:
    measured = calibration(answered.task, answered.examples, answered.answers)
    if measured is None:
        return ""
    error = f"The expected calibration error is {measured.error:.3f}: the mean distance of probability and accuracy."
    graphic = curves([_reliability(measured)]) if can_draw() else paragraph(INSTALL)
    rows = [(f"{mean:.2f}", accuracy, count) for count, mean, accuracy in measured.bins()]
    counts = table(("mean probability", "accuracy", "answers"), rows)
    return section("Calibration", [paragraph(error), graphic, counts])


def _reliability(measured: Calibration) -> Chart:
    """The reliability diagram."""
    points = [(mean, accuracy) for _, mean, accuracy in measured.bins()]
    weights = [float(count) for count, _, _ in measured.bins()]
    lines = [Line("this model", points, weights=weights), Line("calibrated", [(0.0, 0.0), (1.0, 1.0)], 1, dashed=True)]
    return Chart(
        "Accuracy",
        lines,
        x="probability",
        y_range=(-0.03, 1.03),
        note="below the line: overconfident; the area of a point is the number of answers",
    )


def _numbers(answered: Answered) -> str:
    """Of a regression: predicted over expected numbers."""
    outcomes = answered.outcomes
    if not isinstance(outcomes, NumberOutcomes) or not can_draw():
        return ""
    pairs = sorted(zip(outcomes.expected.ravel().tolist(), outcomes.predicted.ravel().tolist(), strict=True))
    ends = [pairs[0][0], pairs[-1][0]]
    lines = [Line("examples", pairs, dots=True), Line("perfect", [(end, end) for end in ends], 1, dashed=True)]
    return section("Numbers", [curves([Chart("Predicted", lines, x="expected")])])


def _worst(answered: Answered) -> str:
    cases = worst(
        answered.task, answered.examples, answered.answers, answered.outcomes.correctness().tolist(), MOST_CASES
    )
    marked = any(part.marks for one in cases for part in one.parts)
    note = "the most confident or largest errors first" + MARKS * marked
    return section(
        "Worst answers",
        [passage(" · ".join(filter(None, (answered.places[one.index], one.message))), one.parts) for one in cases],
        note=note,
    )
