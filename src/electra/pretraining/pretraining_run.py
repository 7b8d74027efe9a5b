"""A pretraining run from its start to its models: plan or text, steps, publication; in one process or several"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from electra.data.preparation.prepare import open_prepared
from electra.hardware import devices as hardware
from electra.pretraining.initial_weights import check_init
from electra.pretraining.monitoring.pretraining_page import write_report
from electra.pretraining.networks import published
from electra.pretraining.plan import plan, show
from electra.pretraining.pretrain_config import CHANGEABLE, RENAMED, PretrainConfig, extends, with_saved_settings
from electra.pretraining.pretraining_examples import tokenizer_and_examples
from electra.pretraining.session import Pretraining, check_shares
from electra.pretraining.text_source import source_of
from electra.reporting.curves import INSTALL, can_draw
from electra.text.tokenizer import ElectraTokenizer
from electra.training.distributed.coordination import rank_zero_work, wait_for_rank_zero
from electra.training.distributed.processes import Processes, process_group
from electra.training.distributed.rendezvous import rank_from_environment
from electra.training.interruption import Interruption
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run
from electra.training.run.trackers import open_tracker, require_tracker
from electra.training.trainer import Diverged


def run_pretraining(config: PretrainConfig) -> Path | None:
    """What `electra.commands.pretrain.pretrain` does."""
    process = rank_from_environment()
    config = with_saved_settings(config)
    # checked now, before the text is prepared for hours
    device = hardware.choose_for_process(config.device, process.local_rank if process.world_size > 1 else None)
    if config.tracker is not None:
        require_tracker(config.tracker)
    if config.dry_run:
        if process.rank == 0:
            _print_plan(config, process.world_size)
        return None
    with process_group(process, device) as processes:
        if processes.is_rank_zero:
            return _run_rank_zero(config, processes)
        with Interruption() as interruption:
            _run_other_rank(config, processes, interruption)
    return None


def _print_plan(config: PretrainConfig, processes: int) -> None:
    made = plan(config, processes)
    if config.json:
        print(json.dumps(asdict(made), ensure_ascii=False))
    else:
        show(made)


def _run_of(config: PretrainConfig) -> Run:
    # more steps are allowed: the learning rate then falls to 0 at the new last step
    changeable = CHANGEABLE | ({"steps"} if extends(config) else set())
    settings = config.settings()
    return Run(config.output, settings, changeable=changeable, renamed=RENAMED, keep=config.keep_checkpoints)


def _run_rank_zero(config: PretrainConfig, processes: Processes) -> Path:
    """Rank 0, or the only process: it prepares the text, logs and saves."""
    report = Reporter(quiet=config.quiet)
    check_shares(config, processes.world_size)
    extended = extends(config)  # asked before the run is opened, which writes the new settings
    with (
        ExitStack() as signals,  # left after the run is closed, so that nothing interrupts that
        _run_of(config) as run,
    ):
        if not run.resumes:
            check_init(config)
        if run.resumes and extended:
            report.say(f"more steps than before: the learning rate now falls to 0 at step {config.recipe.steps:,}")
        source = source_of(config, run, report)  # it may wait for stdin, where nothing checks for signals
        interruption = signals.enter_context(Interruption())
        with rank_zero_work(processes, report, interruption) as check:
            tokenizer, texts = tokenizer_and_examples(config, source, run, report, check)
        processes.broadcast((tokenizer, texts[0].path.parent))
        training = Pretraining(config, run, tokenizer, texts, report, processes, interruption)
        if config.tracker is not None:
            run.trackers.append(
                open_tracker(config.tracker, run.folder, config.settings(), first_step=training.first_step)
            )
        try:
            training.run_to_the_end()
        except Diverged:
            _write_report(run.folder, report)
            raise
        training.publish()
        _write_report(run.folder, report)
    report.say(f"done: {' and '.join(str(run.folder / name) for name in published(training.networks))}")
    return run.folder


def _run_other_rank(config: PretrainConfig, processes: Processes, interruption: Interruption) -> None:
    """The other ranks wait for the text and compute their shards of every batch."""
    wait_for_rank_zero(processes, interruption)
    prepared: tuple[ElectraTokenizer, Path] = processes.broadcast(None)
    tokenizer, folder = prepared
    texts = open_prepared(folder, tokenizer)
    # the run is not opened, because rank 0 alone writes
    Pretraining(
        config, _run_of(config), tokenizer, texts, Reporter(quiet=True), processes, interruption
    ).run_to_the_end()


def _write_report(folder: Path, report: Reporter) -> None:
    """Write the run's page. A finished run must not fail because its page cannot be written or rendered."""
    try:
        write_report([folder], folder / "report.html")
    except Exception as error:
        report.say(f"the report was not written: {error!r}. To try again: electra report {folder}")
    if not can_draw():
        report.say(f"{INSTALL}, then electra report {folder}")
