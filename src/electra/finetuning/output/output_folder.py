"""Write the output of a fit: the best model, its scores, predictions, card and report."""

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
    """Write the output folder, whole or not at all, and its report; then remove the unfinished work.

    The best model is read back from its files and answers the held-out examples once more, so the scores are those of
    what was written.

    Returns:
        The content of scores.json without `settings` and `data`.
    """
    chosen = best(tried)
    remove_partial_of(config.output)
    with writing_folder(config.output) as folder:
        shutil.copytree(config.unfinished / f"seed-{chosen.seed}" / "fitted", folder, dirs_exist_ok=True)
        _write_metrics(folder / METRICS, config, tried)
        answered = _answer(folder, examples, device)
        scores = result(tried, len(examples.held_out))
        scores |= {"intervals": intervals(answered, confidence=CONFIDENCE), "confidence": CONFIDENCE}
        values = {**scores, "data": examples.data, "settings": config.settings()}
        write_text(folder / SCORES, json.dumps(without_nan(values), indent=2) + "\n")
        write_text(folder / "README.md", fitted_card(config, examples, scores))
    finish_output(config, report)
    return dict(without_nan(scores))


def finish_output(config: FinetuneConfig, report: Reporter) -> None:
    """After the output is whole: write its report, remove the unfinished work. Safe to repeat after a kill."""
    _write_page(config.output, report)
    shutil.rmtree(config.unfinished, ignore_errors=True)


def _write_metrics(path: Path, config: FinetuneConfig, tried: Sequence[Outcome]) -> None:
    """The lines of all seeds, each with its seed; a seed that diverged before its first line has none."""
    with writing(path, "w") as file:
        for one in tried:
            lines = config.unfinished / f"seed-{one.seed}" / METRICS
            for record in read_metrics(lines) if lines.exists() else ():
                file.write(json.dumps({"seed": one.seed, **record}) + "\n")


def _answer(folder: Path, examples: Examples, device: torch.device) -> Outcomes:
    """Let the model of a folder answer the held-out examples; write predictions.jsonl, one example per line."""
    task = fitted_task(ElectraConfig.from_pretrained(folder), str(folder)).for_scoring()
    model = load(type(task), str(folder)).to(device)
    answers = list(predict(model, examples.tokenizer, task, examples.held_out))
    outcomes = task.outcomes(answers, examples.held_out)
    each = zip(examples.lines, examples.held_out, answers, outcomes.correctness().tolist(), strict=True)
    with writing(folder / PREDICTIONS, "w") as file:
        for line, example, answer, correct in each:
            record = {"line": line, "example": example, "answer": answer, "right": correct}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return outcomes


def _write_page(folder: Path, report: Reporter) -> None:
    """Write the report; an error is a message, because the fit itself is complete."""
    try:
        write_fit_report(folder, folder / "report.html")
    except Exception as error:
        report.say(f"the report was not written: {error!r}. To try again: electra report {folder}")
        return
    if not can_draw():
        report.say(f"{INSTALL}, then electra report {folder}")
