"""The report of a fitted model: its folder -> `report.html`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra.config import ElectraConfig
from electra.evaluation.answer_sections import Answered, data_section, scores_section, sections
from electra.files.atomic import write_text
from electra.labelled.fitted_task import fitted_task
from electra.reporting.curves import INSTALL, Chart, Line, Points, can_draw, curves
from electra.reporting.html_page import notice, page, paragraph, section
from electra.reporting.html_tables import table
from electra.training.run.run_folder import read_metrics

SCORES, METRICS, PREDICTIONS = "scores.json", "metrics.jsonl", "predictions.jsonl"
NOT_SCORES = ("step", "seed", "split", "main")


@dataclass(frozen=True)
class FitFiles:
    """What the folder of a fitted model holds.

    Attributes:
        result: scores.json: what `finetune` returned, with `settings` and `data`.
        records: metrics.jsonl: the metrics of all seeds.
        answered: the model's answers to the examples that it was scored with.
    """

    folder: Path
    result: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    answered: Answered

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(record["seed"] for record in self.records))

    def points(self, name: str, seed: int, split: str) -> Points:
        """(step, value) of a metric, from the lines of a seed and a split that have it."""
        of_seed = (record for record in self.records if record["seed"] == seed and record["split"] == split)
        values = ((record["step"], record.get(name)) for record in of_seed)
        return [(step, value) for step, value in values if isinstance(value, (int, float))]


def is_fitted(folder: Path) -> bool:
    """Whether `electra finetune` wrote this folder."""
    return (folder / SCORES).is_file()


def read_fit(folder: Path) -> FitFiles:
    """Read the files of a fitted model, but not its weights.

    Raises:
        ValueError: a file is damaged; the message names it.
        OSError: a file is missing.
    """
    result = _read_scores(folder / SCORES)
    records = list(read_metrics(folder / METRICS))
    task = fitted_task(ElectraConfig.from_pretrained(folder), str(folder)).for_scoring()
    lines = _read_lines(folder / PREDICTIONS)
    examples, answers = ([line[name] for line in lines] for name in ("example", "answer"))
    source = Path(result["settings"]["eval"] or result["settings"]["train"]).name
    places = [f"{source}:{line['line']}" for line in lines]
    return FitFiles(
        folder, result, records, Answered(task, examples, answers, task.outcomes(answers, examples), places)
    )


def write_fit_report(folder: Path, output: Path) -> Path:
    """Write the page of a fitted model; returns `output`.

    Without matplotlib it has no curves, but a sentence that says how to get them.

    Raises:
        ValueError: a file in the folder is damaged.
        OSError: a file cannot be read or written.
    """
    fit = read_fit(folder)
    return write_text(output, page(f"Fine-tuning: {folder.resolve().name}", _parts(fit)))


def _parts(fit: FitFiles) -> list[str]:
    result, settings = fit.result, fit.result["settings"]
    return [
        paragraph(_summary(fit)),
        _failures(result),
        _scores(result),
        _seeds(fit),
        _curves(fit),
        *sections(fit.answered),
        data_section(result["data"], fit.answered.task.max_length),
        section(
            "Settings",
            [table(("setting", "value"), ((name, value) for name, value in settings.items() if value is not None))],
        ),
    ]


def _summary(fit: FitFiles) -> str:
    """Model, task, examples and the chosen step, in two sentences."""
    result, settings = fit.result, fit.result["settings"]
    several = f", the best of {len(fit.seeds)} seeds" if len(fit.seeds) > 1 else ""
    threshold = f" Its threshold is {result['threshold']:.4g}." if "threshold" in result else ""
    return (
        f"{fit.answered.task.name}: {settings['model']}, fine-tuned on "
        f"{result['data']['train']['examples']:,} examples of {Path(settings['train']).name} and "
        f"evaluated on {result['examples']:,} of {Path(settings['eval'] or settings['train']).name}. "
        f"The model is seed {result['seed']} after step {result['step']:,}{several}.{threshold}"
    )


def _failures(result: Mapping[str, Any]) -> str:
    notices = [notice(f"Seed {seed} failed", f"{reason}.") for seed, reason in result.get("failures", {}).items()]
    notices += [notice("Warning", f"{warning}.") for warning in result.get("warnings", ())]
    return section("Warnings", notices)


def _scores(result: Mapping[str, Any]) -> str:
    more: dict[str, Mapping[str, float | None]] = {}
    if "mean" in result:
        more |= {"mean of the seeds": result["mean"], "± standard deviation": result["deviation"]}
    more |= result.get("baselines", {})
    note = (
        f"the model was selected by {result['main']} on these examples, so expect a little less on others. "
        "The interval is what other examples of the same kind would give; beside it are the baselines to beat"
    )
    return scores_section(result["scores"], result["intervals"], more, confidence=result["confidence"], note=note)


def _seeds(fit: FitFiles) -> str:
    by_seed = fit.result.get("by_seed", {})
    names = list(fit.result["scores"])
    best = str(fit.result["seed"])
    rows = [
        (f"{seed} (best)" if seed == best else seed, *(scores.get(name) for name in names))
        for seed, scores in by_seed.items()
    ]
    return section("Seeds", [table(("seed", *names), rows)] if rows else [])


def _curves(fit: FitFiles) -> str:
    if not can_draw():
        return section("Curves", [paragraph(f"{INSTALL}, then `electra report`")])
    # a single evaluation is a number in the table above, and no curve
    charts = [chart for chart in _charts(fit) if any(len(line.points) > 1 for line in chart.lines)]
    return section("Curves", [curves(charts)])


def _charts(fit: FitFiles) -> list[Chart]:
    """The loss, every score (first the one that selects the model), the learning rate and the gradient norm."""
    main, best = fit.result["main"], fit.result["seed"]
    names = sorted(fit.result["scores"], key=lambda name: name != main)
    mark = [(float(fit.result["step"]), "best")]
    return [
        Chart("Loss", _lines(fit, "loss", "train"), note="of the training examples, per label"),
        *(Chart(name, _lines(fit, name, "held_out"), marks=mark, note=_note(name, main)) for name in names),
        Chart("Learning rate", [Line("learning rate", fit.points("learning_rate", best, "train"))]),
        Chart("Gradient norm", _lines(fit, "gradient_norm", "train"), log_y=True, note="before clipping"),
    ]


def _note(name: str, main: str) -> str:
    return "of the evaluation examples; selects the model" if name == main else ""


def _lines(fit: FitFiles, name: str, split: str) -> list[Line]:
    """A line for each seed."""
    return [Line(f"seed {seed}", fit.points(name, seed, split), number) for number, seed in enumerate(fit.seeds)]


def _read_scores(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text("utf-8"))
        missing = [name for name in ("scores", "intervals", "data", "settings") if name not in result]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): fit the model again") from error
    if missing:
        raise ValueError(f"{path} has no {missing[0]}: it was written by an earlier version. Fit the model again")
    return result


def _read_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = json.loads(line)
                lines.append({name: record[name] for name in ("line", "example", "answer")})
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number} is damaged ({error!r}): fit the model again") from error
    return lines
