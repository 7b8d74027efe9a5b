"""A fine-tuning run from its start to its output: examples, every seed, the best model and its scores"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from typing import Any

from electra.files.output_places import OutputFolder, holding_folder
from electra.finetuning.finetune_config import BATCH_SIZE, OF_ONE_CALL, FinetuneConfig, with_new_names
from electra.finetuning.finetuning_examples import Examples, load_examples
from electra.finetuning.fit import Objective
from electra.finetuning.loss_options import balanced_weights, distilled, load_teacher, weighted
from electra.finetuning.notices import without_notices
from electra.finetuning.output.finetuning_page import SCORES
from electra.finetuning.output.outcome import Outcome
from electra.finetuning.output.output_folder import finish_output, is_replaceable, rehearse_output, write_output
from electra.finetuning.seeds import best, run_seeds
from electra.finetuning.task_network import require_peft
from electra.finetuning.trial import run_trial
from electra.hardware import devices as hardware
from electra.labelled.task_presets import NamedTask, named_task
from electra.training.distributed.processes import Processes, process_group
from electra.training.distributed.rendezvous import rank_from_environment
from electra.training.interruption import Interruption
from electra.training.progress import Reporter
from electra.training.run.settings import differences
from electra.validation import import_extra


def run_finetuning(config: FinetuneConfig) -> dict[str, Any] | None:
    """What `electra.commands.finetune.finetune` does."""
    process = rank_from_environment()
    device = hardware.choose_for_process(config.device, process.local_rank if process.world_size > 1 else None)
    named = None if config.task is None else named_task(config.task, config.catalogue)
    config = config.with_usual(named.settings if named else {})
    if config.folds is not None:  # a fold is a fit with a seed of its own; a failed one is no other fold's business
        config = replace(config, seeds=config.folds, restarts=0)
    with process_group(process, device) as processes, without_notices(not processes.is_rank_zero):
        report = Reporter(quiet=config.quiet or not processes.is_rank_zero)
        with _holding_output(config) if processes.is_rank_zero else nullcontext() as output:
            result = _completed(config, report) if processes.is_rank_zero else None
            if processes.broadcast(result is not None):
                return result
            return _fit(config, named, processes, report, output)


def _holding_output(config: FinetuneConfig) -> AbstractContextManager[OutputFolder]:
    """The output's place is this process's from start to end: no other fit may work on it or replace it."""
    inputs = {name: getattr(config, name) for name in ("model", "train", "eval", "catalogue", "teacher")}
    return holding_folder(
        config.output,
        inputs,
        replaceable=lambda folder: _is_complete(config) or (config.overwrite and is_replaceable(folder)),
    )


def _fit(
    config: FinetuneConfig,
    named: NamedTask | None,
    processes: Processes,
    report: Reporter,
    output: OutputFolder | None,
) -> dict[str, Any] | None:
    """Read the examples, fit every seed and, on rank 0, write the output (None in the other processes)."""
    if processes.is_rank_zero:
        _check_batch_size(config, processes)
        _require_packages(config)
    examples, objective = _prepared(config, named, processes)
    _check_batch_fits(config, len(examples.items))
    _announce(examples, report)
    if processes.is_rank_zero:
        rehearse_output(config, examples)

    def trial(seed: int) -> Outcome:
        fold = 0 if config.folds is None else seed - config.seed
        own, loss = (examples, objective) if fold == 0 else _prepared(config, named, processes, fold)
        return run_trial(
            config, own, seed, objective=loss, processes=processes, report=report, interruption=interruption
        )

    try:
        with Interruption() as interruption:
            tried = run_seeds(config, trial, report, processes)
            if output is None:
                return None
            if config.folds is not None:
                examples = load_examples(config, named, best(tried).seed - config.seed)
            result = write_output(config, examples, tried, processes.device, report, output)
    finally:
        with suppress(OSError):  # it is empty when the input was refused
            config.unfinished.rmdir()
    report.say(f"done: {config.output}")
    return result


def _prepared(
    config: FinetuneConfig, named: NamedTask | None, processes: Processes, fold: int = 0
) -> tuple[Examples, Objective]:
    """The examples and the loss. Rank 0 reads and checks the files before the others read them."""

    def prepare() -> tuple[Examples, Objective]:
        examples = load_examples(config, named, fold)
        return examples, _objective(config, examples, processes.device)

    prepared = prepare() if processes.is_rank_zero else None
    digests = processes.broadcast(prepared[0].digests if prepared else None)
    examples, objective = prepared or prepare()
    if examples.digests != digests:
        files = ", ".join(str(path) for path in (config.train, config.eval, config.catalogue) if path is not None)
        raise ValueError(f"{files}: one of these differs between the machines; give every process the same files")
    return examples, objective


def _objective(config: FinetuneConfig, examples: Examples, device: Any) -> Objective:
    """The loss: the task's own, or one with class weights, or distillation."""
    if config.class_weights == "balanced":
        return weighted(balanced_weights(examples.task, examples.items).to(device))
    if config.teacher is None:
        return examples.task.loss
    teacher, order = load_teacher(config.teacher, examples.task, examples.items, examples.tokenizer)
    weight, temperature = config.teacher_weight, config.temperature
    return distilled(teacher.to(device), order.to(device), weight=weight, temperature=temperature)


def _completed(config: FinetuneConfig, report: Reporter) -> dict[str, Any] | None:
    """The result of an output that an earlier process completed before it was killed; None where there is none.

    Only its report and the removal of the unfinished work are missing then.
    """
    if not _is_complete(config):
        return None
    finish_output(config, report)
    result = json.loads((config.output / SCORES).read_text(encoding="utf-8"))
    return {name: value for name, value in result.items() if name not in ("data", "settings")}


def _is_complete(config: FinetuneConfig) -> bool:
    """Whether the output is that of this fit, of which a killed process left the unfinished work."""
    scores = config.output / SCORES
    if not (scores.is_file() and config.unfinished.is_dir()):
        return False
    try:
        before = with_new_names(json.loads(scores.read_text(encoding="utf-8"))["settings"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return not differences(before, config.settings(), ignoring=OF_ONE_CALL)


def _check_batch_size(config: FinetuneConfig, processes: Processes) -> None:
    """Refuse a batch with fewer examples than processes."""
    if config.batch_size is not None and processes.world_size > config.batch_size:
        raise ValueError(
            f"a batch of {config.batch_size} examples cannot be shared by {processes.world_size} processes: "
            f"give a batch_size of {processes.world_size} or more, or start fewer processes"
        )


def _check_batch_fits(config: FinetuneConfig, items: int) -> None:
    """Refuse a batch of more items than there are: it would hold some of them again and again.

    The default is not refused, so that a first try with a handful of examples runs.
    """
    if config.batch_size is not None and config.batch_size > max(items, BATCH_SIZE):
        raise ValueError(
            f"batch_size is {config.batch_size}: it must be at most {items}, the training examples (or their windows); "
            "give a smaller batch_size or more examples"
        )


def _require_packages(config: FinetuneConfig) -> None:
    """Fail before training, not after it, where a package is missing that the scores or the adapters need."""
    for package in ("sklearn", "seqeval"):
        import_extra(package, "train", "scoring")
    if config.lora is not None:
        require_peft()


def _announce(examples: Examples, report: Reporter) -> None:
    """Log the task, the number of examples and what was left out or truncated."""
    task = examples.task
    labels = getattr(task, "labels", ())
    listed = "; labels: " + ", ".join(labels[:8]) + (", …" if len(labels) > 8 else "") if labels else ""
    report.say(
        f"{task.name}: {examples.learnt:,} training examples, {len(examples.held_out):,} evaluation examples{listed}"
    )
    for notice in examples.notices:
        report.alarm(notice)
    if examples.skipped:
        report.alarm(f"{len(examples.skipped):,} invalid examples are left out; {examples.skipped[0]}")
    summary = examples.data["train"]
    for count, what in ((summary["cut"], "truncated"), (summary["in_windows"], "read in several windows")):
        if count:
            report.say(f"{count:,} training examples are longer than {task.max_length} tokens, and are {what}")
