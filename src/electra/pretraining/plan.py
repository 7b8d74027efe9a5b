"""What a run will take, told before it is started: a part of the text is prepared, a few steps are taken with it."""

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
from electra.data.dataset.masked_batches import MaskedBatch
from electra.files.text_files import find_text_files
from electra.hardware import devices as hardware
from electra.hardware import machine
from electra.pretraining.cost import CHECKPOINT_BYTES, STATE_BYTES
from electra.pretraining.monitoring.monitor import flops_per_token
from electra.pretraining.pretrain_config import PretrainConfig
from electra.pretraining.pretraining_examples import is_prepared
from electra.pretraining.session import Pretraining
from electra.training.loop import train
from electra.training.run.checkpoints import Checkpoints

SAMPLE_BYTES = 4_000_000  # of the files that are read, as they lie on the disk
SAMPLE_FILES = 8
LONGEST_MEASUREMENT = 5.0  # seconds in a step, from which on no larger batch is tried
SMALL_BATCH = 32
MOST_EPOCHS = 40  # as often as BERT read its text (Devlin et al. 2019, appendix A.2)


@dataclass(frozen=True)
class Plan:
    """What a run will take. Counts are of tokens, examples, numbers; memory and disk in bytes, time in hours.

    text_share: of the files, the part that was read to tell it: below 1, what is said of the text is an estimate.
    examples, text_tokens: to train on. tokens: seen in all steps. epochs: how often the text is read.
    steps_left: of the steps, those after the last checkpoint in the output folder, if a run is there.
    flops: floating-point operations of all steps. measured_examples: those of the step that was measured.
    tokens_per_second: of all processes, each as fast as the one that was measured: what they wait for one another is
        not in it.
    memory_bytes: of one device alone, at least: weights, gradients, moments, and what a part of a batch keeps for its
        gradients. What passes while they are computed comes on top (a tenth or so), on a CPU the process itself too.
    checkpoint_bytes: of one. disk_bytes: of the run folder at its fullest: prepared text and all checkpoints.
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


@contextmanager
def sampled(config: PretrainConfig) -> Iterator[tuple[PretrainConfig, float]]:
    """The same run on a part of its text in a folder that is removed at the end, and how large that part is (0 to 1).

    The part is the beginning of up to 8 files of each kind from all over the list, 4 MB of them together. Prepared
    examples are taken whole, as they cost nothing.

    Raises:
        ValueError: the text comes from stdin, which could not be read again.
        FileNotFoundError: there is no such file.
    """
    if "-" in config.files:
        raise ValueError("a dry run cannot read its text from stdin, which the run would find empty: give files")
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
            compile=False,  # for each size that is tried it would take minutes
            # of few documents, the usual hundredth may be none
            held_out_fraction=config.held_out_fraction if share == 1 else 0.5,
            tracker=None,
        )
        yield part, share


def make_plan(config: PretrainConfig, training: Pretraining, share: float, processes: int = 1) -> Plan:
    """The plan of `config`, from a session on a part of its text that is `share` of it; takes some seconds.

    processes: those that the run is shared by.

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
            "give more text, a smaller batch size, or a smaller length (more, shorter examples)"
        )
    measured, speed, saved = _measure(training, -(-recipe.batch_size // processes))
    speed *= processes
    step_tokens = recipe.batch_size * tokens / examples
    vocabulary, added = _vocabulary(config, training, share)
    parameters = sum(parameter.numel() for parameter in training.networks.parameters()) + added
    checkpoint = CHECKPOINT_BYTES * parameters
    steps = recipe.steps - training.first_step  # that are left where the run goes on from another
    plan = Plan(
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
    return replace(plan, warnings=tuple(_warnings(plan, config, training.device)))


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
    """The plan in words: name and value of each row."""
    about = "" if plan.text_share == 1 else f", estimated from {plan.text_share:.2%} of the files"
    yield "text", f"{plan.examples:,} examples, {plan.text_tokens:,} tokens{about}"
    yield "networks", f"{plan.size}: {plan.parameters:,} parameters, vocabulary of {plan.vocabulary_size:,}"
    yield "training", f"{plan.steps:,} steps of {plan.batch_size:,} examples: {plan.tokens:,} tokens"
    yield "epochs", f"{plan.epochs:,.2f} times the text"
    each, several = "", ""
    if plan.processes > 1:
        each, several = " each", f"{plan.processes} processes, each on "
    yield "device", f"{several}{plan.device}, {plan.precision}"
    yield "memory", f"at least {plan.memory_bytes / 1e9:,.2f} GB{each}"
    share = -(-plan.batch_size // plan.processes)
    full = "" if plan.measured_examples == share else f", measured with batches of {plan.measured_examples}"
    full += " in one process, waiting for the others not counted" if plan.processes > 1 else ""
    yield "speed", f"{plan.tokens_per_second:,.0f} tokens/s, {plan.flops:.3g} operations in all{full}"
    yield "time", _time(plan.hours)
    if plan.steps_left < plan.steps:
        yield "left", f"{plan.steps_left:,} of the steps, {_time(plan.hours * plan.steps_left / plan.steps)}"
    yield (
        "checkpoint",
        f"{plan.checkpoint_bytes / 1e6:,.0f} MB each; the run folder at its fullest {plan.disk_bytes / 1e9:,.2f} GB",
    )
    for warning in plan.warnings:
        yield "warning", warning


def _time(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours < 100 else f"{hours:,.0f} hours ({hours / 24:,.0f} days)"


def _write_sample(config: PretrainConfig, path: Path) -> float:
    """Write the part of the text that is looked at, a blank line after each document; how large it is.

    A compressed file holds more text than its size says, so a whole is told for each kind of file apart.
    """
    kinds: dict[str, list[Path]] = {}
    for file in find_text_files(config.files, outside=config.output):
        kinds.setdefault(file.suffix, []).append(file)
    chosen = {kind: files[:: -(-len(files) // SAMPLE_FILES)] for kind, files in kinds.items()}
    most = SAMPLE_BYTES // sum(map(len, chosen.values()))
    copied = whole = 0.0
    with path.open("w", encoding="utf-8") as sample:
        for kind, files in chosen.items():
            parts = [_copy_beginning(config, file, sample, most) for file in files]
            copied += sum(characters for characters, _ in parts)
            of_chosen = sum(characters / share for characters, share in parts)
            whole += of_chosen * _size_of(kinds[kind]) / _size_of(files)
    return copied / whole


def _copy_beginning(config: PretrainConfig, file: Path, sample: TextIO, most: int) -> tuple[int, float]:
    """Copy the first documents of a file, about `most` of its bytes: how many characters, and the file's share read."""
    before = now = characters = 0

    def count(done: int, of_all: int) -> None:
        nonlocal before, now
        before, now = now, done

    reading: dict[str, Any] = config.reading
    for document in read_documents([file], progress=count, **reading):
        # a document comes from the block just read, or ends in it: those so far were in the blocks before
        if now > most and before > 0 and characters > 0:
            return characters, before / file.stat().st_size
        print(*document.lines, sep="\n", end="\n\n", file=sample)
        characters += sum(map(len, document.lines)) + len(document.lines) + 1
    return characters, 1.0


def _size_of(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _measure(training: Pretraining, batch_size: int) -> tuple[int, float, float]:
    """Steps with more and more examples: those of the last ones, their tokens a second, the bytes kept for each token.

    No step changes a weight. The first step of all is not counted; of the last size the median of three is.
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
        train(training.losses, [[batch]], training.optimizer, rate=lambda step: 0.0, steps=1)
    _wait(training.device)
    return time.perf_counter() - began


def _saved_bytes(training: Pretraining, examples: int) -> tuple[int, int]:
    """What a forward pass keeps for the backward pass, weights not counted, in bytes; and the batch's tokens."""
    batch: MaskedBatch = training.batches(training.text, examples).batch(0)
    weights = {parameter.untyped_storage().data_ptr() for parameter in training.networks.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training.networks.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        found = training.losses(batch)
    del found
    return sum(kept.values()), len(batch[0].input_ids)


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _flops(training: Pretraining) -> float:
    batches = training.batches(training.text, min(SMALL_BATCH, len(training.text)))
    return flops_per_token(training.networks, batches, training.recipe.mask_fraction)


def _vocabulary(config: PretrainConfig, training: Pretraining, share: float) -> tuple[int, int]:
    """How many tokens the vocabulary will have, and the parameters of those that the part of the text did not give."""
    there = len(training.tokenizer)
    if config.vocab is not None or config.init_tokenizer is not None or share == 1:
        return there, 0
    whole = max(there, config.recipe.vocab_size)
    embeddings = {id(p): p for n, p in training.networks.named_parameters() if p.shape[:1] == (there,)}
    return whole, sum((whole - there) * parameter[0].numel() for parameter in embeddings.values())


def _warnings(plan: Plan, config: PretrainConfig, device: torch.device) -> Iterator[str]:
    memory, free = _memory_of(device), shutil.disk_usage(_existing(config.output)).free
    if memory is not None and plan.memory_bytes > memory:
        yield (
            f"the device has {memory / 1e9:,.1f} GB of memory, and a step needs {plan.memory_bytes / 1e9:,.1f} GB: "
            "give a larger accumulate, or a smaller batch_size or length"
        )
    if plan.disk_bytes > free:
        yield (
            f"{config.output} has {free / 1e9:,.1f} GB free, and the run needs {plan.disk_bytes / 1e9:,.1f} GB: "
            "give another output or fewer keep_checkpoints"
        )
    if plan.epochs > MOST_EPOCHS:
        yield f"the text is read {plan.epochs:,.0f} times: give more text or fewer steps, or it is learnt by heart"


def _memory_of(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "cpu" and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next((folder for folder in (path, *path.absolute().parents) if folder.is_dir()), Path("/"))
