"""Text files -> a run folder with a generator and a discriminator, trained together by replaced-token detection."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from electra.commands.verb import verb
from electra.data.corpus.standard_input import with_stdin
from electra.data.dataset.shards import Shards
from electra.data.preparation.prepare import open_prepared
from electra.files.text_files import find_text_files
from electra.hardware import devices as hardware
from electra.pretraining.initial_weights import check_init, check_shapes
from electra.pretraining.monitoring.pretraining_metrics import Diverged
from electra.pretraining.monitoring.pretraining_page import write_report
from electra.pretraining.networks import shape_of
from electra.pretraining.objectives import published
from electra.pretraining.plan import make_plan, sampled, show
from electra.pretraining.pretrain_config import CHANGEABLE
from electra.pretraining.pretrain_config import PretrainConfig as PretrainConfig
from electra.pretraining.pretraining_examples import examples_of, is_prepared
from electra.pretraining.run_vocabulary import tokenizer_of
from electra.pretraining.session import Pretraining, check_shares
from electra.reporting.curves import INSTALL, can_draw
from electra.text.tokenizer import ElectraTokenizer
from electra.training.distributed.coordination import following, leading
from electra.training.distributed.processes import Processes, together
from electra.training.distributed.rendezvous import place_of
from electra.training.interruption import Interruption
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run
from electra.training.run.trackers import open_tracker, require_tracker


@verb(PretrainConfig)
def pretrain(config: PretrainConfig) -> Path | None:
    """Pretrain, or go on with the run in `config.output`, and return that folder.

    In it are afterwards `discriminator` and `generator` (model folders with tokenizer and card), `metrics.jsonl`,
    `config.toml`, `checkpoints` and `report.html`. SIGTERM and SIGINT end it after the step with a checkpoint, or while
    the text is prepared with what is done, and the exit code 75 or 130; the same call goes on from there, or from the
    last checkpoint when it was killed. With `config.dry_run`, what the run would take is printed and None returned;
    nothing is written.

    In each of several processes that torchrun or srun started, it computes a share of every batch; the first one writes
    and speaks for all, and the others return None.

    Raises:
        ValueError: the text, the vocabulary or the run folder is not usable, the loss is no longer a number, or a batch
            has fewer examples than there are processes.
        ConnectionError: another process has ended; its own message says why.
        ImportError: the tracker's package is not installed.
        OSError: a file cannot be read or written.
    """
    place = place_of()
    # refused now, and not when the text is prepared
    device = hardware.choose_for_process(config.device, place.local_rank if place.count > 1 else None)
    if config.tracker is not None:
        require_tracker(config.tracker)
    report = Reporter(quiet=config.quiet)
    if config.dry_run:
        if place.rank == 0:
            check_shares(config, place.count)
            _print_plan(config, report, place.count)
        return None
    with together(place, device) as processes:
        if processes.first:
            return _lead(config, report, processes)
        with Interruption() as interruption:
            _follow(config, processes, interruption)
    return None


def _lead(config: PretrainConfig, report: Reporter, processes: Processes) -> Path:
    """What the first process does, or the only one: all that is written and said."""
    check_shares(config, processes.count)
    with (
        ExitStack() as signals,  # they are noted until the run is closed
        Run(config.output, config.settings(), changeable=CHANGEABLE, keep=config.keep_checkpoints) as run,
    ):
        files = _files(config, run, report)  # stdin may be waited for, and nothing looks for signals then
        interruption = signals.enter_context(Interruption())
        with leading(processes, report, interruption) as look:
            tokenizer, texts = _text(config, files, run, report, look)
        processes.tell((tokenizer, texts[0].path.parent))
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


def _follow(config: PretrainConfig, processes: Processes, interruption: Interruption) -> None:
    """What the others do: they wait for the text and compute their shares of every batch."""
    following(processes, interruption)
    prepared: tuple[ElectraTokenizer, Path] = processes.tell(None)
    tokenizer, folder = prepared
    run = Run(config.output, config.settings(), changeable=CHANGEABLE)  # not opened: the first one writes
    texts = open_prepared(folder, tokenizer)
    Pretraining(config, run, tokenizer, texts, Reporter(quiet=True), processes, interruption).run_to_the_end()


def _files(config: PretrainConfig, run: Run, report: Reporter) -> tuple[str, ...]:
    """The files with the text, but for those that the run itself writes; or the folder of prepared examples."""
    going_on = bool(run.checkpoints.steps())
    if not going_on:
        check_init(config)
    files = with_stdin(config.files, run.folder / "stdin.txt", going_on=going_on, tell=report.say)
    if is_prepared(files):
        return files
    return tuple(map(str, find_text_files(files, outside=run.folder, tell=report.say)))


def _text(
    config: PretrainConfig, files: tuple[str, ...], run: Run, report: Reporter, look: Callable[[], None]
) -> tuple[ElectraTokenizer, tuple[Shards, Shards]]:
    """The tokenizer and the text, to train on and held out: made now if they were not yet."""
    tokenizer = tokenizer_of(config, files, run, report, look)
    if not run.checkpoints.steps():
        check_shapes(config, shape_of(config, tokenizer))
    return tokenizer, examples_of(config, files, tokenizer, run, report, look)


def _write_report(folder: Path, report: Reporter) -> None:
    """The run's page; that it cannot be written or drawn must not be the end of a run that is done."""
    try:
        write_report([folder], folder / "report.html")
    except Exception as error:
        report.say(f"the report was not written: {error!r}. For another try: electra report {folder}")
    if not can_draw():
        report.say(f"{INSTALL}, then electra report {folder}")


def _print_plan(config: PretrainConfig, report: Reporter, processes: int) -> None:
    """Print what the run will take on so many processes, as a table or as one JSON object."""
    with sampled(config) as (part, share), Run(part.output, part.settings()) as run:
        # nothing is left to go on with: signals end it as they end any program
        tokenizer, texts = _text(part, _files(part, run, report), run, report, lambda: None)
        plan = make_plan(config, Pretraining(part, run, tokenizer, texts, report), share, processes)
    if config.json:
        print(json.dumps(asdict(plan), ensure_ascii=False))
    else:
        show(plan)
