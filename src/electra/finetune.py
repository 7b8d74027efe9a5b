"""Fit a pretrained model to a task: labelled examples in, a model folder and its scores out."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from electra import hardware
from electra.finetuning.config import FinetuneConfig as FinetuneConfig
from electra.finetuning.examples import Examples, load_examples
from electra.finetuning.fit import Objective
from electra.finetuning.network import require_peft
from electra.finetuning.objectives import balanced_weights, distilled, load_teacher, weighted
from electra.finetuning.seeds import best, result, run_seeds
from electra.finetuning.trial import Outcome, run_trial
from electra.hub.files import write_text, writing_folder
from electra.tasks.named import named_task
from electra.training.interruption import Interruption
from electra.training.progress import Reporter


def finetune(config: FinetuneConfig) -> dict[str, Any]:
    """Fit the model, score it, write `config.output`, and return what scores.json holds.

    The model is evaluated on `config.eval` after every epoch, and the best evaluation's weights are kept; of several
    seeds, those of the best. So the scores are those of a choice, a little better than on examples that no choice was
    made by: `electra evaluate` on a third file tells how much.

    Keys: `scores` (of the model that was kept), `main` (the name of the one it was chosen by), `examples` (how many
    they were measured on), `seconds`, `seed` and `step` of the kept model, `threshold` for several labels, with several
    seeds `mean` and `deviation` (of the sample) of every score and `by_seed`, and `failures` of the seeds that were
    begun again.

    SIGTERM and SIGINT end it after the step with a checkpoint and the exit code 75 or 130; the same call goes on from
    there, or from the last checkpoint when it was killed, to the same bits.

    Raises:
        ValueError: input that cannot be used (file and line are named), or every seed diverged.
        ImportError: a package for the scores or the adapters is missing.
        OSError: a file cannot be read or written.
    """
    _refuse_used(config.output)
    _require_packages(config)
    device = hardware.choose(config.device)
    report = Reporter(quiet=config.quiet)
    named = None if config.task is None else named_task(config.task, config.catalogue)
    config = config.with_usual(named.settings if named else {})
    examples = load_examples(config, named)
    objective = _objective(config, examples, device)
    _announce(examples, report)

    def trial(seed: int) -> Outcome:
        return run_trial(
            config, examples, seed, objective=objective, device=device, report=report, interruption=interruption
        )

    try:
        with Interruption() as interruption:
            tried = run_seeds(config, trial, report)
    finally:
        with suppress(OSError):  # nothing is in it when the input was refused
            config.unfinished.rmdir()
    found = result(tried, len(examples.held_out))
    _write(config, best(tried), found)
    report.say(f"done: {config.output}")
    return found


def _objective(config: FinetuneConfig, examples: Examples, device: Any) -> Objective:
    """What is made small: the task's own loss, or one with weights, or with a teacher's answers."""
    if config.class_weights == "balanced":
        return weighted(balanced_weights(examples.task, examples.items).to(device))
    if config.teacher is None:
        return examples.task.loss
    teacher, order = load_teacher(config.teacher, examples.task, examples.items, examples.tokenizer)
    share, temperature = config.teacher_share, config.temperature
    return distilled(teacher.to(device), order.to(device), share=share, temperature=temperature)


def _write(config: FinetuneConfig, kept: Outcome, found: Mapping[str, Any]) -> None:
    """The output folder, whole or not at all; then what was unfinished is gone."""
    made = config.unfinished / f"seed-{kept.seed}"
    with writing_folder(config.output) as folder:
        shutil.copytree(made / "fitted", folder, dirs_exist_ok=True)
        shutil.copyfile(made / "metrics.jsonl", folder / "metrics.jsonl")
        values = {**found, "settings": config.settings()}
        write_text(folder / "scores.json", json.dumps(_without_nan(values), indent=2) + "\n")
    shutil.rmtree(config.unfinished, ignore_errors=True)


def _without_nan(value: Any) -> Any:
    """The same for JSON, which has no NaN: null."""
    if isinstance(value, Mapping):
        return {name: _without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _refuse_used(output: Path) -> None:
    """Before any work: the output must be new."""
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ValueError(f"the output {output} is there already: give a new folder, or remove it first")


def _require_packages(config: FinetuneConfig) -> None:
    """Before any work: what the scores at the end will need, and adapters."""
    missing = [package for package in ("sklearn", "seqeval") if find_spec(package) is None]
    if missing:
        raise ImportError(f"scoring needs {' and '.join(missing)}: pip install 'electra[train]'")
    if config.lora is not None:
        require_peft()


def _announce(examples: Examples, report: Reporter) -> None:
    task = examples.task
    labels = getattr(task, "labels", ())
    shown = "; labels: " + ", ".join(labels[:8]) + (", …" if len(labels) > 8 else "") if labels else ""
    report.say(
        f"{task.name}: {examples.learnt:,} examples to learn from, {len(examples.held_out):,} to score with{shown}"
    )
    if examples.skipped:
        report.alarm(f"{len(examples.skipped):,} examples cannot be used and are left out; {examples.skipped[0]}")
    rows = [row for item in examples.items for row in item.rows]
    full = sum(len(row) >= task.max_length for row in rows)
    if full:
        what = "read in several windows" if task.name in ("token-classification", "question-answering") else "cut"
        report.say(
            f"{full:,} rows are {task.max_length} tokens long, the most that max_length allows: longer texts are {what}"
        )
