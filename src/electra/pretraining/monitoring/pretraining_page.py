"""The page of one pretraining run or of several side by side: `report.html`"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from electra.files.atomic import write_text
from electra.reporting.curves import INSTALL, Chart, Line, Points, can_draw, curves
from electra.reporting.html_page import notice, page, paragraph, section
from electra.reporting.html_tables import side_by_side, table
from electra.reporting.token_colours import ShownToken, coloured
from electra.training.run.run_folder import read_metrics
from electra.training.run.settings import Setting, read_settings

MOST_SAMPLES = 8
LAST_FIGURES = (
    "loss",
    "generator_loss",
    "generator_accuracy",
    "generator_sampled_accuracy",
    "discriminator_loss",
    "discriminator_auc",
    "discriminator_precision",
    "discriminator_recall",
    "replaced",
)


@dataclass(frozen=True)
class Curve:
    """A chart of a metric over the steps.

    Attributes:
        figure: the metric.
        beside: other metrics in the same chart.
        scale: what the values are divided by.
        log: whether the axis of values is logarithmic.
    """

    title: str
    figure: str
    note: str = ""
    beside: tuple[str, ...] = ()
    scale: float = 1.0
    log: bool = False


CURVES = (
    Curve(
        "Generator loss", "generator_loss", "nats per masked token; it starts at the logarithm of the vocabulary size"
    ),
    Curve(
        "Generator accuracy",
        "generator_accuracy",
        "of the likeliest token and of the sample",
        ("generator_sampled_accuracy",),
    ),
    Curve("Discriminator loss", "discriminator_loss", "nats per token; 0.69 is a coin flip, about 0.4 the base rate"),
    Curve("Discriminator AUC", "discriminator_auc", "a replaced token is scored above an original one; chance is 0.5"),
    Curve(
        "Discriminator precision and recall",
        "discriminator_precision",
        "of predicting that a token was replaced; a precision at the base rate is chance",
        ("discriminator_recall", "replaced"),
    ),
    Curve("Learning rate", "learning_rate"),
    Curve("Gradient norm", "gradient_norm", "before clipping, the mean of the steps of a report", log=True),
    Curve("Tokens per second", "tokens_per_second", "in training alone"),
    Curve("MFU (fraction of the peak)", "model_flops_utilization", "matrix products and attention, in training alone"),
    Curve("Peak memory (GB)", "peak_memory_bytes", scale=1e9),
)
NAMES = {"replaced": "base rate (replaced)"}


@dataclass(frozen=True)
class RunFiles:
    """The contents of a run's folder; `samples` is {"step": …, "rows": …} or empty."""

    folder: Path
    settings: Mapping[str, Setting]
    records: Sequence[Mapping[str, Any]]
    samples: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    def points(self, name: str, split: str = "train", scale: float = 1.0) -> Points:
        """(step, value) of every line of a split that has the metric."""
        values = ((record["step"], record.get(name)) for record in self.records if record.get("split") == split)
        return [(step, value / scale) for step, value in values if isinstance(value, (int, float))]

    def of_split(self, split: str) -> list[Mapping[str, Any]]:
        return [record for record in self.records if record.get("split") == split]


def read_run(folder: Path) -> RunFiles:
    """Read a run's files.

    Raises:
        ValueError: it is no run's folder, or a file in it is damaged; the message names file and line.
    """
    config = folder / "config.toml"
    if not config.is_file():
        raise ValueError(
            f"{folder} is not the folder of a run: it has no config.toml. Give the --output of `electra pretrain`"
        )
    metrics, samples = folder / "metrics.jsonl", folder / "samples.json"
    return RunFiles(
        folder,
        read_settings(config),
        list(read_metrics(metrics)) if metrics.is_file() else [],
        _read_samples(samples) if samples.is_file() else {},
    )


def write_report(folders: Sequence[Path], output: Path) -> Path:
    """Write the page of one run, or of several side by side; returns `output`.

    Without matplotlib it has no curves, but a line that says how to get them.

    Raises:
        ValueError: a folder is not a run's, or a file in it is damaged.
        OSError: a file cannot be read or written.
    """
    runs = [read_run(folder) for folder in folders]
    title = f"Pretraining: {runs[0].name}" if len(runs) == 1 else "Pretraining: " + ", ".join(run.name for run in runs)
    return write_text(output, page(title, (_of_one(runs[0]) if len(runs) == 1 else _of_several(runs))))


def _of_one(run: RunFiles) -> list[str]:
    return [
        paragraph(_where(run)),
        _alarms([run]),
        _last_figures([run]),
        _curves([run]),
        _samples(run),
        section("Settings", [table(("setting", "value"), run.settings.items())]),
        section("Machine", [_machines(run)], note="one column for each time that the run was started or resumed"),
    ]


def _of_several(runs: Sequence[RunFiles]) -> list[str]:
    settings = {_column(runs, run): run.settings for run in runs}
    return [
        *(paragraph(f"{_column(runs, run)}: {_where(run)}") for run in runs),
        _alarms(runs),
        _last_figures(runs),
        _curves(runs),
        section("Settings", [side_by_side(settings, name="setting")], note="those that differ come first, in bold"),
    ]


def _column(runs: Sequence[RunFiles], run: RunFiles) -> str:
    """A run's name; its whole path where two have the same."""
    return run.name if [other.name for other in runs].count(run.name) == 1 else str(run.folder)


def _where(run: RunFiles) -> str:
    """The progress of the run, in a sentence."""
    reports = run.of_split("train")
    if not reports:
        return "No metrics yet: the first come after report_every steps."
    last, steps = reports[-1], run.settings.get("steps")
    parts = [f"step {last['step']:,} of {steps:,}" if isinstance(steps, int) else f"step {last['step']:,}"]
    if "tokens_seen" in last:
        parts.append(f"{last['tokens_seen']:,} tokens seen")
    if "epoch" in last:
        parts.append(f"{last['epoch']:.2f} epochs")
    resumed = sum(record["step"] > 0 for record in run.of_split("start"))
    if resumed:
        parts.append("resumed once" if resumed == 1 else f"resumed {resumed} times")
    return ", ".join(parts) + "."


def _alarms(runs: Sequence[RunFiles]) -> str:
    notices = [
        notice(
            f"{_column(runs, run) + ', ' if len(runs) > 1 else ''}step {record['step']:,}: {record.get('alarm')}",
            f"{record.get('reason')}. {record.get('remedy')}.",
        )
        for run in runs
        for record in run.of_split("alarm")
    ]
    return section("Alarms", notices or [paragraph("None.")])


def _last_figures(runs: Sequence[RunFiles]) -> str:
    """The last evaluation, or the last report where there was none."""
    columns: dict[str, dict[str, object]] = {}
    for run in runs:
        for split in ("held_out", "train"):
            if records := run.of_split(split):
                shown = {"step": records[-1]["step"], **{name: records[-1].get(name) for name in LAST_FIGURES}}
                what = "held-out text" if split == "held_out" else "training text"
                columns[what if len(runs) == 1 else f"{_column(runs, run)}, {what}"] = shown
                break
    if not columns:
        return ""
    first = next(iter(columns.values()))
    rows = [(name, *(values.get(name) for values in columns.values())) for name in first]
    return section("Last metrics", [table(("metric", *columns), rows)])


def _curves(runs: Sequence[RunFiles]) -> str:
    if not can_draw():
        return section("Curves", [paragraph(f"{INSTALL}, then `electra report`")])
    charts = [_chart_of_one(runs[0], curve) for curve in CURVES] if len(runs) == 1 else _charts_of_several(runs)
    return section("Curves", [curves(charts)])


def _chart_of_one(run: RunFiles, curve: Curve) -> Chart:
    lines = []
    for number, name in enumerate((curve.figure, *curve.beside)):
        shown = NAMES.get(name, name.partition("_")[2].replace("_", " ") or name)
        base = name == "replaced"
        lines.append(
            Line(f"{shown}, training", run.points(name, scale=curve.scale), number, dashed=base, smooth=not base)
        )
        if held_out := [] if base else run.points(name, "held_out", curve.scale):
            lines.append(Line(f"{shown}, held out", held_out, number + 3))
    return Chart(curve.title, lines, marks=_marks(run), log_y=curve.log, note=curve.note)


def _charts_of_several(runs: Sequence[RunFiles]) -> list[Chart]:
    """A chart for each metric, a line for each run: of held-out text where there is any."""
    charts = []
    for curve in CURVES:
        for name in (curve.figure, *curve.beside):
            lines = []
            for number, run in enumerate(runs):
                held_out = run.points(name, "held_out", curve.scale)
                points = held_out if len(held_out) > 1 else run.points(name, scale=curve.scale)
                lines.append(Line(_column(runs, run), points, number, smooth=points is not held_out))
            title = curve.title if not curve.beside else NAMES.get(name, name.replace("_", " ")).capitalize()
            charts.append(Chart(title, lines, log_y=curve.log, note=curve.note if not curve.beside else ""))
    return charts


def _marks(run: RunFiles) -> list[tuple[float, str]]:
    starts = [(float(record["step"]), "resumed") for record in run.of_split("start") if record["step"] > 0]
    return starts + [(float(record["step"]), str(record.get("alarm"))) for record in run.of_split("alarm")]


def _samples(run: RunFiles) -> str:
    rows = run.samples.get("rows", [])[:MOST_SAMPLES]
    return section(
        "Held-out text",
        [coloured(map(_shown, row)) for row in rows if row],
        note=f"as the networks saw it at step {run.samples.get('step', 0):,}: the stronger the colour, the higher the "
        "discriminator's probability that the token was replaced; tokens that the generator replaced are underlined, "
        "below the original",
    )


def _shown(token: Mapping[str, Any]) -> ShownToken:
    sampled, probability = token.get("sampled"), float(token["probability"])
    note = f"P(replaced) = {probability:.2f}"
    if sampled is not None:
        note += f"; sampled {sampled} in place of {token['original']}"
    elif token.get("masked"):
        note += "; masked, and predicted correctly by the generator"
    original = None if sampled is None else str(token["original"])
    return ShownToken(str(sampled if sampled is not None else token["original"]), probability, original, note)


def _machines(run: RunFiles) -> str:
    columns = {f"from step {record['step']:,}": record.get("machine", {}) for record in run.of_split("start")}
    return side_by_side(columns, name="") if columns else ""


def _read_samples(path: Path) -> Mapping[str, Any]:
    try:
        samples = json.loads(path.read_text("utf-8"))
        for row in samples["rows"]:
            for token in row:
                _shown(token)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): delete it; the next evaluation writes a new one") from error
    return dict(samples)
