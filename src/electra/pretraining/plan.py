"""The dry run: what a run will need, from a part of its text and a few measured steps"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import torch
from torch import Tensor

from electra.data.corpus.documents import read_documents
from electra.data.dataset.batches import MaskedBatch
from electra.files.text_files import find_text_files
from electra.hardware import devices as hardware
from electra.hardware import machine
from electra.pretraining.cost import CHECKPOINT_BYTES, STATE_BYTES
from electra.pretraining.initial_weights import check_init
from electra.pretraining.monitoring.monitor import flops_per_token
from electra.pretraining.pretrain_config import PretrainConfig
from electra.pretraining.pretraining_examples import tokenizer_and_examples
from electra.pretraining.session import Pretraining, check_shares
from electra.pretraining.text_source import is_prepared, source_of
from electra.training.progress import Reporter
from electra.training.run.checkpoints import Checkpoints
from electra.training.run.run_folder import Run
from electra.training.trainer import train

SAMPLE_BYTES = 4_000_000  # of the files that are read, in bytes on the disk
SAMPLE_FILES = 8
LONGEST_MEASUREMENT = 5.0  # seconds of a step beyond which no larger batch is measured
SMALL_BATCH = 32
MOST_EPOCHS = 40  # those of BERT (Devlin et al. 2019, appendix A.2)


@dataclass(frozen=True)
class Plan:
    """What a run will need.

    Attributes:
        text_share: the fraction of the files that was read; below 1, all figures of the text are estimates.
        examples: to train on.
        text_tokens: in these examples.
        steps_left: those after the last checkpoint in the output folder, if it holds a run.
        tokens: seen in all steps.
        epochs: how often the text is read.
        flops: floating-point operations of all steps.
        tokens_per_second: of all processes, each as fast as the one that was measured; without waiting for each other.
        measured_examples: those of the step that was measured.
        memory_bytes: of one device, at least: weights, gradients, moments, and what a part of a batch keeps for its
            gradients. Temporary tensors come on top (about a tenth), on a CPU the process itself too.
        checkpoint_bytes: of one checkpoint.
        disk_bytes: of the run folder at its largest: prepared examples and all checkpoints.
        warnings: what will not fit, in words.
    """

    size: str
    device: str
    processes: int
    precision: str
    text_share: float
    examples: int
    text_tokens: int
    vocabulary_size: int
    parameters: int
    steps: int
    steps_left: int
    batch_size: int
    tokens: int
    epochs: float
    flops: float
    tokens_per_second: float
    measured_examples: int
    hours: float
    memory_bytes: int
    checkpoint_bytes: int
    disk_bytes: int
    warnings: tuple[str, ...]


def plan(config: PretrainConfig, processes: int = 1) -> Plan:
    """What a run with these settings will need; nothing is written into its folder. It takes some seconds.

    A part of the text is prepared in a temporary folder, and a few steps are measured that change no weight.

    Args:
        processes: the number of processes that will train together.

    Raises:
        ValueError: the text comes from stdin, it cannot be used, or it gives fewer examples than a batch has.
        FileNotFoundError: there is no such file.
    """
    check_shares(config, processes)
    report = Reporter(quiet=config.quiet)
    with sampled(config) as (part, share), Run(part.output, part.settings()) as run:
        check_init(part)
        # no check for signals: there is nothing to save, so they end the process as any other
        tokenizer, texts = tokenizer_and_examples(part, source_of(part, run, report), run, report, lambda: None)
        return make_plan(config, Pretraining(part, run, tokenizer, texts, report), share, processes)


@contextmanager
def sampled(config: PretrainConfig) -> Iterator[tuple[PretrainConfig, float]]:
    """The same run on a part of its text, in a folder that is removed at the end, and the fraction that the part is.

    The part is the beginning of up to 8 files of each kind from all over the list, 4 MB in all. Prepared examples are
    used whole, because opening them costs nothing.

    Raises:
        ValueError: the text comes from stdin, which could not be read again.
        FileNotFoundError: there is no such file.
    """
    if "-" in config.files:
        raise ValueError(
            "a dry run cannot read its text from stdin, because the run could not read it again: give files"
        )
    with tempfile.TemporaryDirectory(prefix="electra-dry-run-") as folder:
        text, share = Path(folder) / "text.txt", 1.0
        if not is_prepared(config.files):
            share = _write_sample(config, text)
        part = replace(
            config,
            files=config.files if is_prepared(config.files) else (str(text),),
            output=Path(folder) / "run",
            batch_size=min(config.recipe.batch_size, SMALL_BATCH),
            accumulate=1,
            compile=False,  # it would take minutes for each batch size
            # the usual hundredth of few documents may be none
            held_out_fraction=config.held_out_fraction if share == 1 else 0.5,
            tracker=None,
        )
        yield part, share


def make_plan(config: PretrainConfig, training: Pretraining, share: float, processes: int = 1) -> Plan:
    """The plan of `config`, measured with a session on the fraction `share` of its text.

    Args:
        processes: the number of processes that will train together.

    Raises:
        ValueError: the whole text gives fewer examples than a batch has.
    """
    recipe, shards = config.recipe, (training.text, training.held_out)
    examples, tokens = sum(map(len, shards)) / share, sum(text.tokens for text in shards) / share
    if share == 1:
        examples, tokens = len(training.text), training.text.tokens
    else:
        examples, tokens = ((1 - config.held_out_fraction) * count for count in (examples, tokens))
    if examples < recipe.batch_size:
        raise ValueError(
            f"the text gives about {examples:,.0f} examples, fewer than one batch of {recipe.batch_size}: "
            "give more text, a smaller batch_size, or a smaller max_length (more, shorter examples)"
        )
    measured, speed, saved = _measure(training, -(-recipe.batch_size // processes))
    speed *= processes
    step_tokens = recipe.batch_size * tokens / examples
    vocabulary, added = _vocabulary(config, training, share)
    parameters = sum(parameter.numel() for parameter in training.networks.parameters()) + added
    checkpoint = CHECKPOINT_BYTES * parameters
    steps = recipe.steps - training.first_step  # with keep_step, those that are left
    made = Plan(
        size=config.size,
        device=machine.device_name(training.device),
        processes=processes,
        precision=str(training.precision).removeprefix("torch."),
        text_share=share,
        examples=round(examples),
        text_tokens=round(tokens),
        vocabulary_size=vocabulary,
        parameters=parameters,
        steps=steps,
        steps_left=min(steps, recipe.steps - max(Checkpoints(config.output / "checkpoints").steps(), default=0)),
        batch_size=recipe.batch_size,
        tokens=round(steps * step_tokens),
        epochs=steps * recipe.batch_size / examples,
        flops=steps * step_tokens * _flops(training),
        tokens_per_second=speed,
        measured_examples=measured,
        hours=steps * step_tokens / speed / 3600,
        memory_bytes=STATE_BYTES * parameters + round(saved * step_tokens / processes / config.accumulate),
        checkpoint_bytes=checkpoint,
        disk_bytes=(config.keep_checkpoints + 1) * checkpoint + round(tokens * (2 if vocabulary < 2**16 else 4)),
        warnings=(),
    )
    return replace(made, warnings=tuple(_warnings(made, config, training.device)))


def show(plan: Plan) -> None:
    """Print the plan as a small table on stdout."""
    from rich.console import Console
    from rich.table import Table

    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in lines(plan):
        grid.add_row(name, value)
    Console(markup=False, highlight=False).print(grid)


def lines(plan: Plan) -> Iterator[tuple[str, str]]:
    """The rows of the table: name and value."""
    about = "" if plan.text_share == 1 else f", estimated from {plan.text_share:.2%} of the files"
    yield "text", f"{plan.examples:,} examples, {plan.text_tokens:,} tokens{about}"
    yield "networks", f"{plan.size}: {plan.parameters:,} parameters, vocabulary of {plan.vocabulary_size:,}"
    yield "training", f"{plan.steps:,} steps of {plan.batch_size:,} examples: {plan.tokens:,} tokens"
    yield "epochs", f"{plan.epochs:,.2f}"
    each, several = "", ""
    if plan.processes > 1:
        each, several = " each", f"{plan.processes} processes, each on "
    yield "device", f"{several}{plan.device}, {plan.precision}"
    yield "memory", f"at least {plan.memory_bytes / 1e9:,.2f} GB{each}"
    share = -(-plan.batch_size // plan.processes)
    full = "" if plan.measured_examples == share else f", measured with batches of {plan.measured_examples}"
    full += " in one process, without waiting for the others" if plan.processes > 1 else ""
    yield "speed", f"{plan.tokens_per_second:,.0f} tokens/s, {plan.flops:.3g} operations in all{full}"
    yield "time", _time(plan.hours)
    if plan.steps_left < plan.steps:
        yield "left", f"{plan.steps_left:,} steps, {_time(plan.hours * plan.steps_left / plan.steps)}"
    yield (
        "checkpoint",
        f"{plan.checkpoint_bytes / 1e6:,.0f} MB each; the run folder at its largest {plan.disk_bytes / 1e9:,.2f} GB",
    )
    for warning in plan.warnings:
        yield "warning", warning


def _time(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours < 100 else f"{hours:,.0f} hours ({hours / 24:,.0f} days)"


def _write_sample(config: PretrainConfig, path: Path) -> float:
    """Write the part of the text to measure, a blank line after each document; returns the fraction that it is.

    Each kind of file is estimated separately, because a compressed file holds more text than its size says.
    """
    kinds: dict[str, list[Path]] = {}
    for file in find_text_files(config.files, outside=config.output):
        kinds.setdefault(file.suffix, []).append(file)
    sampled_files = {kind: files[:: -(-len(files) // SAMPLE_FILES)] for kind, files in kinds.items()}
    most = SAMPLE_BYTES // sum(map(len, sampled_files.values()))
    copied = whole = 0.0
    with path.open("w", encoding="utf-8") as sample:
        for kind, files in sampled_files.items():
            parts = [_copy_beginning(config, file, sample, most) for file in files]
            copied += sum(characters for characters, _ in parts)
            of_files = sum(characters / share for characters, share in parts)
            whole += of_files * _size_of(kinds[kind]) / _size_of(files)
    return copied / whole


def _copy_beginning(config: PretrainConfig, file: Path, sample: TextIO, most: int) -> tuple[int, float]:
    """Copy the first documents of a file, about `most` bytes; returns the characters and the fraction of the file."""
    before = now = characters = 0

    def count(done: int, of_all: int) -> None:
        nonlocal before, now
        before, now = now, done

    reading: dict[str, Any] = config.reading
    for document in read_documents([file], progress=count, **reading):
        # a document ends in the block just read, so those so far were in the blocks before
        if now > most and before > 0 and characters > 0:
            return characters, before / file.stat().st_size
        print(*document.lines, sep="\n", end="\n\n", file=sample)
        characters += sum(map(len, document.lines)) + len(document.lines) + 1
    return characters, 1.0


def _size_of(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _measure(training: Pretraining, batch_size: int) -> tuple[int, float, float]:
    """Measure steps with more and more examples, none of which changes a weight.

    The first step is a warm-up; of the last size the median of three is taken.

    Returns:
        The examples of the last size, its tokens per second, the bytes kept for each token.
    """
    available = min(batch_size, len(training.text))
    examples = min(4, available)
    _timed_step(training, examples)
    while 4 * (seconds := _timed_step(training, examples)) < LONGEST_MEASUREMENT and examples < available:
        examples = min(4 * examples, available)
    seconds = median((seconds, _timed_step(training, examples), _timed_step(training, examples)))
    saved, tokens = _saved_bytes(training, examples)
    return examples, tokens / seconds, saved / tokens


def _timed_step(training: Pretraining, examples: int) -> float:
    batch = training.batches(training.text, examples).batch(0)
    training.networks.train()
    _wait(training.device)
    began = time.perf_counter()
    with hardware.matrix_products(training.device, training.config.precision):
        train(training.losses, [[batch]], training.optimizer, learning_rate=lambda step: 0.0, steps=1)
    _wait(training.device)
    return time.perf_counter() - began


def _saved_bytes(training: Pretraining, examples: int) -> tuple[int, int]:
    """The bytes that a forward pass keeps for the backward pass, without weights; and the tokens of the batch."""
    batch: MaskedBatch = training.batches(training.text, examples).batch(0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in training.networks.parameters()}
    saved: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    training.networks.train()
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        values = training.losses(batch)
    del values
    return sum(saved.values()), len(batch[0].input_ids)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _flops(training: Pretraining) -> float:
    batches = training.batches(training.text, min(SMALL_BATCH, len(training.text)))
    return flops_per_token(training.networks, batches, training.recipe.mask_fraction)


def _vocabulary(config: PretrainConfig, training: Pretraining, share: float) -> tuple[int, int]:
    """The size of the vocabulary of the whole text, and the parameters of the tokens that the part did not give."""
    current = len(training.tokenizer)
    if config.vocab is not None or config.init_tokenizer is not None or share == 1:
        return current, 0
    whole = max(current, config.recipe.vocab_size)
    embeddings = {id(p): p for n, p in training.networks.named_parameters() if p.shape[:1] == (current,)}
    return whole, sum((whole - current) * parameter[0].numel() for parameter in embeddings.values())


def _warnings(plan: Plan, config: PretrainConfig, device: torch.device) -> Iterator[str]:
    memory, free = _memory_of(device), shutil.disk_usage(_existing(config.output)).free
    if memory is not None and plan.memory_bytes > memory:
        yield (
            f"the device has {memory / 1e9:,.1f} GB of memory, and a step needs {plan.memory_bytes / 1e9:,.1f} GB: "
            "give a larger accumulate, or a smaller batch_size or max_length"
        )
    if plan.disk_bytes > free:
        yield (
            f"{config.output} has {free / 1e9:,.1f} GB free, and the run needs {plan.disk_bytes / 1e9:,.1f} GB: "
            "give another output or fewer keep_checkpoints"
        )
    if plan.epochs > MOST_EPOCHS:
        yield f"the text is read {plan.epochs:,.0f} times: give more text or fewer steps, or the model will overfit"


def _memory_of(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "cpu" and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next((folder for folder in (path, *path.absolute().parents) if folder.is_dir()), Path("/"))
