"""Write the output of a fit: the best model, its scores, predictions, card and report."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from electra.config import ElectraConfig
from electra.evaluation.answers import answer_all
from electra.evaluation.baselines import simple_baselines, trained_baselines
from electra.files.atomic import remove, write_text, writing
from electra.files.output_places import OutputFolder
from electra.finetuning.diagnosis import better_baseline, never_predicted, stayed_at_chance, unknown_pieces
from electra.finetuning.finetune_config import FinetuneConfig
from electra.finetuning.finetuning_examples import Examples
from electra.finetuning.output.finetuning_card import fitted_card
from electra.finetuning.output.finetuning_page import METRICS, PREDICTIONS, SCORES, write_fit_report
from electra.finetuning.output.outcome import Outcome, without_nan
from electra.finetuning.seeds import best, result
from electra.inference.predictor import load
from electra.labelled.fitted_task import fitted_task, remember
from electra.metrics.confidence_intervals import intervals
from electra.metrics.task_metrics import Outcomes
from electra.reporting.curves import INSTALL, can_draw
from electra.training.progress import Reporter
from electra.training.run.run_folder import read_metrics

CONFIDENCE = 0.95
OURS = re.compile(
    r"(config|scores|tokenizer|tokenizer_config|special_tokens_map|added_tokens|generation_config)\.json|vocab\.txt|adapter"
    r"|model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|README\.md|report\.html|(metrics|predictions)\.jsonl"
)
"""The names of all files that a fit leaves."""


def write_output(
    config: FinetuneConfig,
    examples: Examples,
    tried: Sequence[Outcome],
    device: torch.device,
    report: Reporter,
    output: OutputFolder,
) -> dict[str, Any]:
    """Write the output folder, whole or not at all, and its report; then remove the unfinished work.

    The best model is read back from its files and answers the held-out examples once more, so the scores are those of
    what was written.

    Returns:
        The content of scores.json without `settings` and `data`.
    """
    chosen = best(tried)
    with output.writing() as folder:
        shutil.copytree(config.unfinished / f"seed-{chosen.seed}" / "fitted", folder, dirs_exist_ok=True)
        _write_metrics(folder / METRICS, config, tried)
        answered = _answer(folder, config, examples, device)
        scores = result(tried, len(examples.held_out))
        scores |= {"intervals": intervals(answered, confidence=CONFIDENCE), "confidence": CONFIDENCE}
        scores["baselines"] = _baselines(examples)
        warnings = _warnings(examples, chosen, answered, scores, folder)
        if warnings:
            scores["warnings"] = warnings
        _write_scores(folder, config, examples, scores)
    for warning in warnings[len(examples.notices) :]:  # the others were logged before training
        report.alarm(warning)
    finish_output(config, report)
    return dict(without_nan(scores))


def _baselines(examples: Examples) -> dict[str, dict[str, float]]:
    """The scores that the model must beat, on the same examples."""
    arguments = (examples.task, examples.train, examples.held_out)
    return {**simple_baselines(*arguments), **trained_baselines(*arguments)}


def _warnings(
    examples: Examples, chosen: Outcome, answered: Outcomes, scores: dict[str, Any], folder: Path
) -> list[str]:
    """What a user should know of the fit beside its scores."""
    lines = [record for record in read_metrics(folder / METRICS) if record["seed"] == chosen.seed]
    losses = [float(str(record["loss"])) for record in lines if record["split"] == "train"]
    steps = max((int(str(record["step"])) for record in lines), default=0)
    found = [
        better_baseline(scores["main"], scores["scores"], scores["baselines"]),
        never_predicted(answered),
        stayed_at_chance(examples.items, losses, steps),
        unknown_pieces(examples.items, examples.tokenizer.unk_token_id),
    ]
    return [*examples.notices, *(warning for warning in found if warning is not None)]


def rehearse_output(config: FinetuneConfig, examples: Examples) -> None:
    """Write an empty result beside the output by the same code as at the end, and remove it.

    What cannot be written (labels that are no JSON or no Unicode, a config whose fields hide methods, a full or
    read-only disk) fails here, before any training.

    Raises:
        ValueError: something cannot be written; the message says what.
        OSError: the place of the output cannot be written.
    """
    folder = config.output.with_name(f".{config.output.name}.{secrets.token_hex(4)}.partial")
    try:
        folder.mkdir()
        try:
            _write_config(folder, config, examples)
        except (AttributeError, TypeError, UnicodeError) as error:
            raise ValueError(
                f"a model fitted to these labels cannot be written ({error}): look at the labels of {config.train} "
                f"and at the fields of config.json of {config.model}"
            ) from error
        count = len(examples.held_out)
        _write_predictions(folder, config, examples, [None] * count, [0.0] * count)
        scores = {"scores": {}, "main": "", "examples": count, "intervals": {}, "confidence": CONFIDENCE}
        _write_scores(folder, config, examples, scores)
    finally:
        remove(folder)


def is_replaceable(folder: Path) -> bool:
    """Whether a folder holds what `electra finetune` writes and nothing else, so that --overwrite may replace it."""
    return (folder / SCORES).is_file() and all(OURS.fullmatch(path.name) for path in folder.iterdir())


def _write_config(folder: Path, config: FinetuneConfig, examples: Examples) -> None:
    """The config and the tokenizer of the fitted model, read back."""
    settings = ElectraConfig.from_pretrained(config.model, **examples.task.config_fields())
    remember(settings, examples.task, examples.files)
    settings.save_pretrained(folder)
    examples.tokenizer.save_pretrained(folder)
    fitted_task(ElectraConfig.from_pretrained(folder), str(folder))


def _write_scores(folder: Path, config: FinetuneConfig, examples: Examples, scores: dict[str, Any]) -> None:
    """scores.json and the model card."""
    values = {**scores, "data": examples.data, "settings": config.settings()}
    write_text(folder / SCORES, json.dumps(without_nan(values), indent=2) + "\n")
    write_text(folder / "README.md", fitted_card(config, examples, scores))


def _write_predictions(
    folder: Path, config: FinetuneConfig, examples: Examples, answers: Sequence[Any], correctness: Sequence[float]
) -> None:
    """predictions.jsonl, one example per line."""
    each = zip(examples.lines, examples.held_out, answers, correctness, strict=True)
    with writing(folder / PREDICTIONS, "w") as file:
        for line, example, answer, correct in each:
            record = {"line": line, "example": example, "answer": answer, "right": correct}
            try:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
            except (TypeError, UnicodeError) as error:
                raise ValueError(
                    f"{config.eval or config.train}:{line}: the example cannot be written as JSON ({error})"
                ) from error


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


def _answer(folder: Path, config: FinetuneConfig, examples: Examples, device: torch.device) -> Outcomes:
    """Let the model of a folder answer the held-out examples, and write predictions.jsonl."""
    task = fitted_task(ElectraConfig.from_pretrained(folder), str(folder)).for_scoring()
    model = load(type(task), str(folder)).to(device)
    answers = answer_all(model, examples.tokenizer, task, examples.held_out)
    outcomes = task.outcomes(answers, examples.held_out)
    _write_predictions(folder, config, examples, answers, outcomes.correctness().tolist())
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
