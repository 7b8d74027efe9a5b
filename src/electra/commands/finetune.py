"""Fit a pretrained model to a task: labelled examples in, a model folder and its scores out."""

from __future__ import annotations

import json
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from electra.commands.verb import verb
from electra.finetuning.finetune_config import OF_ONE_CALL
from electra.finetuning.finetune_config import FinetuneConfig as FinetuneConfig
from electra.finetuning.finetuning_examples import Examples, load_examples
from electra.finetuning.fit import Objective
from electra.finetuning.loss_options import balanced_weights, distilled, load_teacher, weighted
from electra.finetuning.notices import without_notices
from electra.finetuning.output.finetuning_page import SCORES
from electra.finetuning.output.outcome import Outcome
from electra.finetuning.output.output_folder import finish_output, write_output
from electra.finetuning.seeds import run_seeds
from electra.finetuning.task_network import require_peft
from electra.finetuning.trial import run_trial
from electra.hardware import devices as hardware
from electra.labelled.task_presets import NamedTask, named_task
from electra.training.distributed.processes import Processes, together
from electra.training.distributed.rendezvous import place_of
from electra.training.interruption import Interruption
from electra.training.progress import Reporter
from electra.training.run.settings import differences


@verb(FinetuneConfig)
def finetune(config: FinetuneConfig) -> dict[str, Any] | None:
    """Fit the model, score it, write `config.output`, and return what scores.json holds.

    The model is evaluated on `config.eval` after every epoch, and the best evaluation's weights are kept; of several
    seeds, those of the best. So the scores are those of a choice, a little better than on examples that no choice was
    made by: `electra evaluate` on a third file tells how much.

    Keys: `scores` (of the model that was kept), `main` (the name of the one it was chosen by), `examples` (how many
    they were measured on), `seconds`, `seed` and `step` of the kept model, `threshold` for several labels, with several
    seeds `mean` and `deviation` (of the sample) of every score and `by_seed`, `failures` of the seeds that were begun
    again, and `intervals` (low and high of each score, of this `confidence`, by bootstrap). A score that cannot be
    computed is None.

    The folder has the answers too (predictions.jsonl), the metrics of every seed, a model card and `report.html`;
    `electra report OUTPUT` writes that page again.

    SIGTERM and SIGINT end it after the step with a checkpoint and the exit code 75 or 130; the same call goes on from
    there, or from the last checkpoint when it was killed, to the same bits.

    In each of several processes that torchrun or srun started, it computes a share of every batch; the first one
    evaluates, writes and speaks for all, and the others return None.

    Raises:
        ValueError: input that cannot be used (file and line are named), every seed diverged, or a batch has fewer
            examples than there are processes.
        ConnectionError: another process has ended; its own message says why.
        ImportError: a package for the scores or the adapters is missing.
        OSError: a file cannot be read or written.
    """
    place = place_of()
    device = hardware.choose_for_process(config.device, place.local_rank if place.count > 1 else None)
    named = None if config.task is None else named_task(config.task, config.catalogue)
    config = config.with_usual(named.settings if named else {})
    with together(place, device) as processes, without_notices(not processes.first):
        report = Reporter(quiet=config.quiet or not processes.first)
        found = _published(config, report) if processes.first else None
        if processes.tell(found is not None):
            return found
        return _fit(config, named, processes, report)


def _fit(
    config: FinetuneConfig, named: NamedTask | None, processes: Processes, report: Reporter
) -> dict[str, Any] | None:
    """Read, fit every seed and, in the first process, write what came of it."""
    if processes.first:
        _check_shares(config, processes)
        _require_packages(config)
    examples, objective = _prepared(config, named, processes)
    _announce(examples, report)

    def trial(seed: int) -> Outcome:
        return run_trial(
            config, examples, seed, objective=objective, processes=processes, report=report, interruption=interruption
        )

    try:
        with Interruption() as interruption:
            tried = run_seeds(config, trial, report, processes)
            if not processes.first:
                return None
            found = write_output(config, examples, tried, processes.device, report)
    finally:
        with suppress(OSError):  # nothing is in it when the input was refused
            config.unfinished.rmdir()
    report.say(f"done: {config.output}")
    return found


def _prepared(config: FinetuneConfig, named: NamedTask | None, processes: Processes) -> tuple[Examples, Objective]:
    """The examples, and what is made small. The first process reads and checks them before the others read them."""

    def prepare() -> tuple[Examples, Objective]:
        examples = load_examples(config, named)
        return examples, _objective(config, examples, processes.device)

    prepared = prepare() if processes.first else None
    digests = processes.tell(prepared[0].digests if prepared else None)
    examples, objective = prepared or prepare()
    if examples.digests != digests:
        what = ", ".join(str(path) for path in (config.train, config.eval, config.catalogue) if path is not None)
        raise ValueError(f"{what}: one of these is not the same file here as for the first process")
    return examples, objective


def _objective(config: FinetuneConfig, examples: Examples, device: Any) -> Objective:
    """What is made small: the task's own loss, or one with weights, or with a teacher's answers."""
    if config.class_weights == "balanced":
        return weighted(balanced_weights(examples.task, examples.items).to(device))
    if config.teacher is None:
        return examples.task.loss
    teacher, order = load_teacher(config.teacher, examples.task, examples.items, examples.tokenizer)
    share, temperature = config.teacher_share, config.temperature
    return distilled(teacher.to(device), order.to(device), share=share, temperature=temperature)


def _published(config: FinetuneConfig, report: Reporter) -> dict[str, Any] | None:
    """What a process wrote that was killed before it could clear up; None where the output is new, as it must be."""
    output = config.output
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return None
    if (output / SCORES).is_file() and config.unfinished.is_dir():
        found = json.loads((output / SCORES).read_text(encoding="utf-8"))
        if not differences(found.pop("settings", {}), config.settings(), ignoring=OF_ONE_CALL):
            finish_output(config, report)
            return {name: value for name, value in found.items() if name != "data"}
    raise ValueError(f"the output {output} is there already: give a new folder, or remove it first")


def _check_shares(config: FinetuneConfig, processes: Processes) -> None:
    """Refuse a batch that has fewer examples than processes to share it."""
    if config.batch_size is not None and processes.count > config.batch_size:
        raise ValueError(
            f"a batch of {config.batch_size} examples cannot be shared by {processes.count} processes: "
            f"give a batch_size of {processes.count} or more, or fewer processes"
        )


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
    learnt = examples.data["train"]
    for count, what in ((learnt["cut"], "cut"), (learnt["in_windows"], "read in several windows")):
        if count:
            report.say(f"{count:,} examples to learn from are longer than {task.max_length} tokens, and are {what}")
