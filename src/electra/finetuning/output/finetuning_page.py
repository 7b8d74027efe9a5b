"""The folder of a fitted model -> a page to judge it by: `report.html`."""

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
    """What the folder of a fitted model says.

    Attributes:
        found: what `finetune` returned, with `settings` and `data`.
        records: the metrics of all seeds.
        answered: the kept model's answers to the examples that it was scored with.
    """

    folder: Path
    found: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]]
    answered: Answered

    @property
    def seeds(self) -> list[int]:
        return list(dict.fromkeys(record["seed"] for record in self.records))

    def points(self, name: str, seed: int, split: str) -> Points:
        """(step, figure) of every line of a seed and a split that has the figure."""
        of_seed = (record for record in self.records if record["seed"] == seed and record["split"] == split)
        found = ((record["step"], record.get(name)) for record in of_seed)
        return [(step, value) for step, value in found if isinstance(value, (int, float))]


def is_fitted(folder: Path) -> bool:
    """Whether `electra finetune` wrote this folder."""
    return (folder / SCORES).is_file()


def read_fit(folder: Path) -> FitFiles:
    """Read the files of a fitted model, but not its weights.

    Raises:
        ValueError: a file is damaged; the message names it.
        OSError: a file is missing.
    """
    found = _read_scores(folder / SCORES)
    records = list(read_metrics(folder / METRICS))
    task = fitted_task(ElectraConfig.from_pretrained(folder), str(folder)).for_scoring()
    lines = _read_lines(folder / PREDICTIONS)
    examples, answers = ([line[name] for line in lines] for name in ("example", "answer"))
    source = Path(found["settings"]["eval"]).name
    places = [f"{source}:{line['line']}" for line in lines]
    return FitFiles(folder, found, records, Answered(task, examples, answers, task.outcomes(answers, examples), places))


def write_fit_report(folder: Path, output: Path) -> Path:
    """Write the page of a fitted model; returns `output`.

    Without matplotlib there are no curves in it, but a line that says how to get them.

    Raises:
        ValueError: a file in the folder is damaged.
        OSError: a file cannot be read or written.
    """
    fit = read_fit(folder)
    return write_text(output, page(f"Fine-tuning: {folder.resolve().name}", _parts(fit)))


def _parts(fit: FitFiles) -> list[str]:
    found, settings = fit.found, fit.found["settings"]
    return [
        paragraph(_what(fit)),
        _failures(found),
        _scores(found),
        _seeds(fit),
        _curves(fit),
        *sections(fit.answered),
        data_section(found["data"], fit.answered.task.max_length),
        section("Settings", [table(("setting", "value"), (each for each in settings.items() if each[1] is not None))]),
    ]


def _what(fit: FitFiles) -> str:
    """What was fitted to what, in a sentence or two."""
    found, settings = fit.found, fit.found["settings"]
    several = f", the best of {len(fit.seeds)} seeds" if len(fit.seeds) > 1 else ""
    threshold = f" Its threshold is {found['threshold']:.4g}." if "threshold" in found else ""
    return (
        f"{fit.answered.task.name}: {settings['model']}, fitted to {found['data']['train']['examples']:,} examples of "
        f"{Path(settings['train']).name} and scored with {found['examples']:,} of {Path(settings['eval']).name}. "
        f"Kept is seed {found['seed']} as it was after step {found['step']:,}{several}.{threshold}"
    )


def _failures(found: Mapping[str, Any]) -> str:
    told = [notice(f"Seed {seed} failed", f"{why}.") for seed, why in found.get("failures", {}).items()]
    return section("Failed fits", told)


def _scores(found: Mapping[str, Any]) -> str:
    more = {"mean of the seeds": found["mean"], "± deviation": found["deviation"]} if "mean" in found else {}
    note = (
        f"chosen by {found['main']}, on the examples that are scored here: other examples give a little less. The "
        "interval is what other examples of the same kind would give, by bootstrap"
    )
    return scores_section(found["scores"], found["intervals"], more, confidence=found["confidence"], note=note)


def _seeds(fit: FitFiles) -> str:
    by_seed = fit.found.get("by_seed", {})
    names = list(fit.found["scores"])
    kept = str(fit.found["seed"])
    rows = [
        (f"{seed} (kept)" if seed == kept else seed, *(scores.get(name) for name in names))
        for seed, scores in by_seed.items()
    ]
    return section("Seeds", [table(("seed", *names), rows)] if rows else [])


def _curves(fit: FitFiles) -> str:
    if not can_draw():
        return section("Curves", [paragraph(f"{INSTALL}, then `electra report`")])
    return section("Curves", [curves(_charts(fit))])


def _charts(fit: FitFiles) -> list[Chart]:
    """The loss, every score (the one that was chosen by first), the rate and the gradient."""
    main, kept = fit.found["main"], fit.found["seed"]
    names = sorted(fit.found["scores"], key=lambda name: name != main)
    mark = [(float(fit.found["step"]), "kept")]
    return [
        Chart("Loss", _lines(fit, "loss", "train"), note="of the examples that are learnt, for each label"),
        *(Chart(name, _lines(fit, name, "held_out"), marks=mark, note=_note(name, main)) for name in names),
        Chart("Learning rate", [Line("rate", fit.points("learning_rate", kept, "train"))]),
        Chart("Gradient norm", _lines(fit, "gradient_norm", "train"), log_y=True, note="before clipping"),
    ]


def _note(name: str, main: str) -> str:
    return "of the examples that are scored; by this the kept model was chosen" if name == main else ""


def _lines(fit: FitFiles, name: str, split: str) -> list[Line]:
    """A line for each seed."""
    return [Line(f"seed {seed}", fit.points(name, seed, split), number) for number, seed in enumerate(fit.seeds)]


def _read_scores(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        missing = [name for name in ("scores", "intervals", "data", "settings") if name not in found]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): fit the model again") from error
    if missing:
        raise ValueError(f"{path} has no {missing[0]}: it was written by an earlier version. Fit the model again")
    return found


def _read_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                found = json.loads(line)
                lines.append({name: found[name] for name in ("line", "example", "answer")})
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number} is damaged ({error!r}): fit the model again") from error
    return lines
