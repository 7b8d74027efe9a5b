"""What is to be seen of a model's answers to labelled examples, as sections of a page."""

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
from electra.tasks.task import LabelledTask

MOST_CASES = 20
MOST_NAMES = 30  # of a matrix that one can still read
MOST_PAIRS = 12
MARKS = "; underlined: what is right, coloured: what was said"
CLASS_COLUMNS = ("precision", "recall", "f1", "support")

DATA_ROWS = {
    "examples": "examples",
    "rows": "rows that the network reads",
    "tokens": "tokens of all rows",
    "median_tokens": "tokens of a row, median",
    "longest_tokens": "tokens of the longest row",
    "cut": "examples that are cut",
    "cut_tokens": "tokens cut off",
    "in_windows": "examples read in several windows",
}


@dataclass(frozen=True)
class Answered:
    """The answers of a model to labelled examples, and where each example stands: `file:line`."""

    task: LabelledTask[Any]
    examples: Sequence[Any]
    answers: Sequence[Any]
    outcomes: Outcomes
    places: Sequence[str]


def scores_section(
    scores: Mapping[str, float | None],
    intervals: Mapping[str, Sequence[float]],
    more: Mapping[str, Mapping[str, float]] | None = None,
    *,
    confidence: float,
    note: str = "",
) -> str:
    """Scores with their intervals, and further columns by their heading."""
    columns = more or {}
    share = f"{100 * confidence:g} %"
    rows = [
        (name, value, *intervals.get(name, (None, None)), *(column.get(name) for column in columns.values()))
        for name, value in scores.items()
    ]
    return section("Scores", [table(("score", "value", f"{share} from", "to", *columns), rows)], note=note)


def evaluation_page(result: Mapping[str, Any], answered: Answered, data: Mapping[str, Any], confidence: float) -> str:
    """The page of an evaluation: `result` is what `evaluate` returns, `data` what its examples are like."""
    parts = [
        paragraph(f"{result['model']}, {result['task']}: {result['examples']:,} examples of {result['data']}."),
        scores_section(result["scores"], result["intervals"], confidence=confidence),
        _comparison(result.get("comparison"), confidence),
        *sections(answered),
        data_section({"examples": data}, answered.task.max_length),
    ]
    return page(f"Evaluation: {Path(result['model']).name}", parts)


def sections(answered: Answered) -> list[str]:
    """What was taken for what, the scores of each label, calibration, the worst answers."""
    return [
        _confusion(answered.outcomes),
        _classes(answered.outcomes),
        _calibration(answered),
        _numbers(answered),
        _worst(answered),
    ]


def data_section(parts: Mapping[str, Mapping[str, Any]], length: int) -> str:
    """What the examples are like: statistics by the name of the part. length: the most tokens of a row."""
    figures = [(said, *(part.get(name) for part in parts.values())) for name, said in DATA_ROWS.items()]
    names = dict.fromkeys(name for part in parts.values() for name in part.get("labels", {}))
    counts = [(name, *(part.get("labels", {}).get(name) for part in parts.values())) for name in names]
    told = [row for row in figures if any(row[1:]) or row[0] == DATA_ROWS["cut"]]
    shown = [table(("", *parts), told)] + ([table(("label", *parts), counts)] if counts else [])
    return section("Examples", shown, note=f"a row has up to {length:,} tokens")


def _comparison(found: Mapping[str, Any] | None, confidence: float) -> str:
    """Another model's scores, and how much better the first one is."""
    if found is None:
        return ""
    names = ("value", "low", "high")
    rows = [
        (name, found["scores"][name], *(values.get(part) for part in names))
        for name, values in found["difference"].items()
    ]
    share = f"{100 * confidence:g} %"
    told = (
        f"The answers are better than the other model's {found['better']:,} times and worse {found['worse']:,} times; "
        f"{found['test']}: p = {found['p']:.3g}."
    )
    header = ("score", str(found["model"]), "difference", f"{share} from", "to")
    return section("Beside another model", [table(header, rows), paragraph(told)])


def _confusion(outcomes: Outcomes) -> str:
    found = outcomes.confusion()
    if found is None:
        return ""
    names, counts = found
    drawn = matrix(names, counts.tolist(), rows="right", columns="answer") if len(names) <= MOST_NAMES else ""
    pairs = _most_confused(names, counts) if len(names) > 2 else []
    often = table(("right", "answer", "times"), pairs, caption="the most frequent confusions") if pairs else ""
    return section(
        "What was taken for what", [drawn, often], note="a row for what is right, a column for what was said"
    )


def _most_confused(names: Sequence[str], counts: np.ndarray) -> list[tuple[str, str, int]]:
    """Pairs of names, how often the first was taken for the second; the most frequent first."""
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
    found = calibration(answered.task, answered.examples, answered.answers)
    if found is None:
        return ""
    error = (
        f"The expected calibration error is {found.error:.3f}: how far probabilities are from the share that is right."
    )
    drawn = curves([_reliability(found)]) if can_draw() else paragraph(INSTALL)
    rows = [(f"{mean:.2f}", share, count) for count, mean, share in found.bins()]
    counts = table(("mean probability", "share that is right", "answers"), rows)
    return section("Calibration", [paragraph(error), drawn, counts])


def _reliability(found: Calibration) -> Chart:
    points = [(mean, share) for _, mean, share in found.bins()]
    lines = [Line("this model", points), Line("calibrated", [(0.0, 0.0), (1.0, 1.0)], 1, dashed=True)]
    return Chart("Share that is right", lines, x="probability", y_range=(-0.03, 1.03), note="below the line: too sure")


def _numbers(answered: Answered) -> str:
    """Of a regression: what was said, over what is right."""
    outcomes = answered.outcomes
    if not isinstance(outcomes, NumberOutcomes) or not can_draw():
        return ""
    pairs = sorted(zip(outcomes.expected.ravel().tolist(), outcomes.predicted.ravel().tolist(), strict=True))
    ends = [pairs[0][0], pairs[-1][0]]
    lines = [Line("examples", pairs, dots=True), Line("right", [(end, end) for end in ends], 1, dashed=True)]
    return section("Numbers", [curves([Chart("Answer", lines, x="right")])])


def _worst(answered: Answered) -> str:
    cases = worst(
        answered.task, answered.examples, answered.answers, answered.outcomes.rightness().tolist(), MOST_CASES
    )
    marked = any(part.marks for one in cases for part in one.parts)
    note = "the surest or largest errors first" + MARKS * marked
    return section(
        "Worst answers",
        [passage(" · ".join(filter(None, (answered.places[one.index], one.told))), one.parts) for one in cases],
        note=note,
    )
