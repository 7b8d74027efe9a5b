"""The output of a fit: the model that was kept, its scores, its answers, its card and its page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from electra.config import ElectraConfig
from electra.files.atomic import remove_partial_of, write_text, writing, writing_folder
from electra.finetuning.finetune_config import FinetuneConfig
from electra.finetuning.finetuning_examples import Examples
from electra.finetuning.output.finetuning_card import fitted_card
from electra.finetuning.output.finetuning_page import METRICS, PREDICTIONS, SCORES, write_fit_report
from electra.finetuning.output.outcome import Outcome, without_nan
from electra.finetuning.seeds import best, result
from electra.inference.predictor import load, predict
from electra.labelled.fitted_task import fitted_task
from electra.metrics.confidence_intervals import intervals
from electra.metrics.task_metrics import Outcomes
from electra.reporting.curves import INSTALL, can_draw
from electra.training.progress import Reporter
from electra.training.run.run_folder import read_metrics

CONFIDENCE = 0.95


def write_output(
    config: FinetuneConfig, examples: Examples, tried: Sequence[Outcome], device: torch.device, report: Reporter
) -> dict[str, Any]:
    """Write the output folder, whole or not at all, and its page; then what was unfinished is gone.

    So is what a process left that was killed while it did the same.

    The kept model is read back and answers the held-out examples once more, so what is written is what it does.
    Returns what scores.json holds but for `settings` and `data`.
    """
    kept = best(tried)
    remove_partial_of(config.output)
    with writing_folder(config.output) as folder:
        shutil.copytree(config.unfinished / f"seed-{kept.seed}" / "fitted", folder, dirs_exist_ok=True)
        _write_metrics(folder / METRICS, config, tried)
        answered = _answer(folder, examples, device)
        found = result(tried, len(examples.held_out))
        found |= {"intervals": intervals(answered, confidence=CONFIDENCE), "confidence": CONFIDENCE}
        values = {**found, "data": examples.data, "settings": config.settings()}
        write_text(folder / SCORES, json.dumps(without_nan(values), indent=2) + "\n")
        write_text(folder / "README.md", fitted_card(config, examples, found))
    finish_output(config, report)
    return dict(without_nan(found))


def finish_output(config: FinetuneConfig, report: Reporter) -> None:
    """Once the output is whole: its page, and what was unfinished is gone. What a killed process left is done again."""
    _write_page(config.output, report)
    shutil.rmtree(config.unfinished, ignore_errors=True)


def _write_metrics(path: Path, config: FinetuneConfig, tried: Sequence[Outcome]) -> None:
    """The lines of all seeds, each with its seed; one that diverged at once has none."""
    with writing(path, "w") as file:
        for one in tried:
            lines = config.unfinished / f"seed-{one.seed}" / METRICS
            for record in read_metrics(lines) if lines.exists() else ():
                file.write(json.dumps({"seed": one.seed, **record}) + "\n")


def _answer(folder: Path, examples: Examples, device: torch.device) -> Outcomes:
    """Let the model of a folder answer the held-out examples, and write that into it, an example to a line."""
    task = fitted_task(ElectraConfig.from_pretrained(folder), str(folder)).for_scoring()
    model = load(type(task), str(folder)).to(device)
    answers = list(predict(model, examples.tokenizer, task, examples.held_out))
    outcomes = task.outcomes(answers, examples.held_out)
    each = zip(examples.lines, examples.held_out, answers, outcomes.rightness().tolist(), strict=True)
    with writing(folder / PREDICTIONS, "w") as file:
        for line, example, answer, right in each:
            record = {"line": line, "example": example, "answer": answer, "right": right}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return outcomes


def _write_page(folder: Path, report: Reporter) -> None:
    """That the page cannot be written or drawn must not be the end of a fit that is done."""
    try:
        write_fit_report(folder, folder / "report.html")
    except Exception as error:
        report.say(f"the report was not written: {error!r}. For another try: electra report {folder}")
    if not can_draw():
        report.say(f"{INSTALL}, then electra report {folder}")
