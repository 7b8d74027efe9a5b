"""Text files -> a run folder with a generator and a discriminator, trained together by replaced-token detection."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from electra import hardware
from electra.config import ElectraConfig
from electra.data.batches import MaskedBatch, PretrainingBatches
from electra.data.documents import read_documents
from electra.data.prepare import prepare
from electra.data.shards import Shards
from electra.data.sources import describe_sources
from electra.data.text_files import find_text_files
from electra.hub.card import model_card
from electra.hub.files import write_text, writing_folder
from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.nn.initialize import initialize_like_google
from electra.nn.masking import Masking
from electra.nn.pretraining import ReplacedTokenDetection
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocabulary import read_vocabulary, train_vocabulary
from electra.training.checkpoints import Checkpoint, restore
from electra.training.health import Diverged, discriminator_statistics, figures, generator_statistics, summary
from electra.training.interruption import Interruption
from electra.training.loop import Every, Window, train
from electra.training.optimizer import Adam, linear_schedule
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.recipe import RECIPES, Recipe, require
from electra.training.run import Run
from electra.training.settings import Setting

ABOUT = {
    "discriminator": ("ElectraForPreTraining", "tells which tokens were replaced, and is the network to fine-tune"),
    "generator": ("ElectraForMaskedLM", "fills in masked tokens, as it did for the discriminator to find them"),
}

PRECISIONS = ("auto", "float32", "bfloat16")

# These decide nothing about the result. (Whether the files hold the text they held is asked of the text itself.)
CHANGEABLE = frozenset({"files", "device", "save_every", "keep_checkpoints", "quiet"})


@dataclass(frozen=True)
class PretrainConfig:
    """What to pretrain, on what, for how long. What is left out follows from `size`, as in the paper.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    files: tuple[str, ...]
    """Text files (plain, .gz, .xz, .zst), folders or patterns; blank lines separate documents."""
    _: KW_ONLY
    output: Path
    """The run folder: a new one, or that of a run to go on with."""
    size: str = "small"
    """tiny, small, base or large: the networks, and all that is not given here."""
    steps: int | None = None
    """Updates of the weights (by size: 10,000, 1,000,000, 766,000, 400,000)."""
    batch_size: int | None = None
    """Examples in a step (by size: 32, 128, 256, 2048)."""
    length: int | None = None
    """Tokens in an example, at most (by size: 128, 128, 512, 512)."""
    learning_rate: float | None = None
    """The rate that the warm-up leads to (by size: 3e-4, 5e-4, 2e-4, 2e-4)."""
    warmup_steps: int | None = None
    """Steps in which the rate grows from 0 (a tenth of the steps, at most 10,000)."""
    mask_fraction: float | None = None
    """The share of tokens that the generator replaces (0.15; large: 0.25)."""
    generator_fraction: float | None = None
    """The generator's width as a share of the discriminator's (by size: 1/4, 1/4, 1/3, 1/4)."""
    dropout: float = 0.1
    """The probability of dropping a value, in hidden layers and in attention."""
    seed: int = 0
    """All that is random follows from it: the same seed gives the same weights, on a CPU bit for bit."""
    vocab: Path | None = None
    """A vocab.txt or a tokenizer's folder. Left out, a vocabulary is trained on the files."""
    vocab_size: int | None = None
    """Entries of the vocabulary that is trained (tiny: 8192, else 30,522); little text gives fewer."""
    cased: bool = False
    """Train a vocabulary that keeps upper case and accents."""
    held_out_fraction: float = 0.01
    """The share of documents that is kept apart for evaluation."""
    report_every: int | None = None
    """Steps from one line of metrics to the next (a hundredth of the steps, at most 100)."""
    evaluate_every: int | None = None
    """Steps from one evaluation on held-out text to the next (a tenth of the steps, at most 1000)."""
    evaluate_examples: int = 1024
    """Held-out examples in an evaluation, at most."""
    save_every: int | None = None
    """Steps from one checkpoint to the next (a tenth of the steps, at most 1000)."""
    keep_checkpoints: int = 5
    """How many checkpoints are kept."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: str = "auto"
    """float32, bfloat16, or auto: bfloat16 on GPUs that have it."""
    quiet: bool = False
    """Say nothing while at work."""

    def __post_init__(self) -> None:
        files = (self.files,) if isinstance(self.files, (str, os.PathLike)) else self.files
        object.__setattr__(self, "files", tuple(os.fspath(file) for file in files))
        object.__setattr__(self, "output", Path(self.output))
        object.__setattr__(self, "vocab", None if self.vocab is None else Path(self.vocab))
        _check(self)

    @property
    def recipe(self) -> Recipe:
        """The hyperparameters of the size with those given here in their place, and what follows from them."""
        given = {name: getattr(self, name) for name in (field.name for field in fields(Recipe))}
        return RECIPES[self.size].with_given(given)

    @property
    def discriminator(self) -> ElectraConfig:
        """The discriminator's configuration but for its vocabulary."""
        return ElectraConfig.preset(
            self.size, hidden_dropout_prob=self.dropout, attention_probs_dropout_prob=self.dropout
        )

    @property
    def masking(self) -> Masking:
        """The law of masking, its maximum of predictions derived from fraction and length (Google's formula)."""
        fraction, length = self.recipe.mask_fraction, self.recipe.length
        return Masking(fraction=fraction, max_predictions=max(1, int((fraction + 0.005) * length)))

    def settings(self) -> dict[str, Setting]:
        """All there is to say about the run, with every hyperparameter, as simple values."""
        values: dict[str, Any] = {**asdict(self), **asdict(self.recipe)}
        if self.vocab is not None:
            values["vocab_size"] = None
        del values["output"]
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _check(config: PretrainConfig) -> None:
    """Refuse what cannot be run, before anything is read or written."""
    require(0 <= config.dropout < 1, "dropout", config.dropout, "0 or more and below 1")
    require(config.precision in PRECISIONS, "precision", config.precision, f"one of {', '.join(PRECISIONS)}")
    positions = config.discriminator.max_position_embeddings  # names the sizes where `size` is none
    length = config.recipe.length
    require(5 <= length <= positions, "length", length, f"5 to {positions}, the positions that the networks have")
    config.discriminator.generator(config.generator_fraction)
    require(bool(config.files), "files", "empty", "at least one text file, folder or pattern")
    require(config.keep_checkpoints >= 1, "keep_checkpoints", config.keep_checkpoints, "1 or more")
    require(config.evaluate_examples >= 1, "evaluate_examples", config.evaluate_examples, "1 or more")
    require(0 <= config.seed < 2**63, "seed", config.seed, "0 to 2**63 - 1")
    if config.vocab is not None and config.vocab_size is not None:
        raise ValueError(
            f"vocab ({config.vocab}) and vocab_size ({config.vocab_size}) are both given: "
            "give vocab to use a vocabulary, or vocab_size to train one"
        )
    if config.vocab is not None and config.cased:
        raise ValueError(f"vocab ({config.vocab}) and cased are both given: cased is for a vocabulary that is trained")


def pretrain(config: PretrainConfig) -> Path:
    """Pretrain, or go on with the run in `config.output`, and return that folder.

    In it are afterwards `discriminator` and `generator` (model folders with tokenizer and card), `metrics.jsonl`,
    `config.toml` and `checkpoints`. SIGTERM and SIGINT end it after the step with a checkpoint and the exit code 75 or
    130; the same call goes on from there, or from the last checkpoint when it was killed.

    Raises:
        ValueError: the text, the vocabulary or the run folder is not usable, or the loss is no longer a number.
        OSError: a file cannot be read or written.
    """
    hardware.choose(config.device)  # refused now, and not when the text is prepared
    report = Reporter(quiet=config.quiet)
    with Run(config.output, config.settings(), changeable=CHANGEABLE, keep=config.keep_checkpoints) as run:
        tokenizer = _tokenizer(config, run, report)
        with report.counting("tokenizing the text") as count:
            texts = prepare(
                config.files,
                tokenizer,
                run.folder / "examples",
                length=config.recipe.length,
                seed=config.seed,
                held_out_fraction=config.held_out_fraction,
                progress=count,
                reuse_only=bool(run.checkpoints.steps()),
            )
        training = Pretraining(config, run, tokenizer, texts, report)
        training.run_to_the_end()
        training.publish()
    report.say(f"done: {run.folder / 'discriminator'} and {run.folder / 'generator'}")
    return run.folder


def _tokenizer(config: PretrainConfig, run: Run, report: Reporter) -> ElectraTokenizer:
    """The given tokenizer, or one trained on the files and kept in the run folder."""
    if config.vocab is not None:
        given = config.vocab
        tokenizer = ElectraTokenizer.from_pretrained(given) if given.is_dir() else read_vocabulary(given)
        if None in (tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id):
            raise ValueError(f"{given} needs [MASK], [CLS] and [SEP] for pretraining: add those that it does not have")
        return tokenizer
    folder = run.folder / "tokenizer"
    sources, size = describe_sources(find_text_files(config.files)), config.recipe.vocab_size
    made_from = {"files": sources, "size": size, "cased": config.cased}
    origin = folder / "made_from.json"
    if origin.is_file() and (run.checkpoints.steps() or json.loads(origin.read_text("utf-8")) == made_from):
        return ElectraTokenizer.from_pretrained(folder)
    with report.counting("training the vocabulary") as count, writing_folder(folder) as partial:
        lines = (text for document in read_documents(config.files, progress=count) for text in document.lines)
        train_vocabulary(lines, size=size, lowercase=not config.cased).save_pretrained(partial)
        write_text(partial / origin.name, json.dumps(made_from, indent=1) + "\n")
    return ElectraTokenizer.from_pretrained(folder)


class Pretraining:
    """The two networks in training: what a step computes, and what is done between steps."""

    def __init__(
        self,
        config: PretrainConfig,
        run: Run,
        tokenizer: ElectraTokenizer,
        texts: tuple[Shards, Shards],
        report: Reporter,
    ) -> None:
        self.config, self.recipe, self.run, self.tokenizer, self.report = config, config.recipe, run, tokenizer, report
        self.device = hardware.choose(config.device)
        self.precision = hardware.precision(self.device, config.precision)
        self.text, self.held_out = texts
        self.networks = _networks(config, tokenizer).to(self.device)
        self.optimizer = Adam(self.networks.named_parameters())
        self.window = Window()
        self.first_step = self._resume()
        self.watch = Stopwatch(self.first_step, self.recipe.steps)

    def run_to_the_end(self) -> None:
        """Take all the steps that are left; leave with the exit code of a signal if one comes."""
        steps, batches = self.recipe.steps, self._batches(self.text, self.recipe.batch_size)
        self._announce(batches)
        self.networks.train()
        with (
            Interruption() as interruption,
            closing(batches.batches(self.first_step)) as stream,  # type: ignore[type-var]
            self.report.counting("pretraining") as count,
        ):
            taken = train(
                self.losses,
                ([batch] for batch in stream),
                self.optimizer,
                rate=self.rate,
                steps=steps,
                first_step=self.first_step,
                seed=self.config.seed,
                periodic=(
                    self.window.add,
                    lambda step, values: count(step, steps),
                    Every(self.recipe.report_every, self.log, last=steps),
                    Every(self.recipe.evaluate_every, self.evaluate, last=steps),
                    Every(self.recipe.save_every, self.save, last=steps),
                ),
                stopped=interruption,
            )
        if interruption() and taken < steps:
            self.save(taken, {})
            self.report.say(f"stopped after step {taken} of {steps}: the same command goes on from there")
            raise SystemExit(interruption.exit_code)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        recipe = self.recipe
        return linear_schedule(step, rate=recipe.learning_rate, steps=recipe.steps, warmup_steps=recipe.warmup_steps)

    def losses(self, example: MaskedBatch) -> dict[str, Tensor]:
        """A masked batch -> the loss [] and the statistics of both networks, [] each."""
        batch, masked = example[0].to(self.device), example[1].to(self.device)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            found = self.networks(batch, masked=masked)
        return {
            "loss": found.loss,
            **generator_statistics(
                found.generator_loss, found.generator_logits, masked.original_ids, found.sampled_ids, masked.weights
            ),
            **discriminator_statistics(found.discriminator_loss, found.discriminator_logits, found.labels),
        }

    def log(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the figures of the steps since the last time."""
        totals, seconds = self.window.read(), self.watch.lap()
        found = {
            "loss": totals["loss"] / totals["steps"],
            **figures(totals),
            "gradient_norm": totals["gradient_norm"] / totals["steps"],
            "learning_rate": self.rate(step - 1),
        }
        if not math.isfinite(totals["loss"]):
            raise Diverged(step, "the loss", self.run.checkpoints.last_path(), self.recipe.learning_rate)
        speed = totals["tokens"] / seconds
        self.run.log({"step": step, "split": "train", **found, "tokens_per_second": speed, "seconds": seconds})
        left = clock(self.watch.remaining(step))
        self.report.say(f"step {step}/{self.recipe.steps}  {summary(found)}  {speed:,.0f} tokens/s  {left} left")

    @torch.no_grad()
    def evaluate(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the figures on held-out text: always the same examples, masks and samples' uniforms."""
        size = min(self.recipe.batch_size, len(self.held_out))
        batches = self._batches(self.held_out, size)
        window = Window()
        self.networks.eval()
        for number in range(max(1, min(self.config.evaluate_examples, len(self.held_out)) // size)):
            window.add(step, self.losses(batches.batch(number)))
        self.networks.train()
        totals = window.read()
        found = {"loss": totals["loss"] / totals["steps"], **figures(totals)}
        self.run.log({"step": step, "split": "held_out", **found, "seconds": self.watch.lap()})
        self.report.say(f"step {step}/{self.recipe.steps}  held out: {summary(found)}")

    def save(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write a checkpoint, unless the weights are no longer numbers."""
        weights: dict[str, Tensor] = dict(self.networks.named_parameters())
        if not torch.nn.utils.get_total_norm(weights.values()).isfinite():
            raise Diverged(step, "a weight", self.run.checkpoints.last_path(), self.recipe.learning_rate)
        groups = {"networks": weights, "optimizer": self.optimizer.moments(), "window": self.window.totals}
        self.run.checkpoints.save(Checkpoint(step, groups))

    def publish(self) -> None:
        """Write the two networks as model folders, each with the tokenizer and a card."""
        for name, model in (("discriminator", self.networks.discriminator), ("generator", self.networks.generator)):
            with writing_folder(self.run.folder / name) as folder:
                model.save_pretrained(folder)
                self.tokenizer.save_pretrained(folder)
                write_text(folder / "README.md", _card(name, self.config, self.run))

    def _resume(self) -> int:
        """Take over the last checkpoint if there is one; the step to go on from."""
        found = self.run.checkpoints.latest()
        step = found.step if found else 0
        if found:
            restore(dict(self.networks.named_parameters()), found.tensors["networks"])
            self.optimizer.load_moments(found.tensors["optimizer"])
            self.window = Window({name: total.to(self.device) for name, total in found.tensors["window"].items()})
            self.report.say(f"going on after step {step} of {self.recipe.steps}")
        self.run.rewind(step)
        return step

    def _batches(self, text: Shards, batch_size: int) -> PretrainingBatches:
        mask, sep = self.tokenizer.mask_token_id, self.tokenizer.sep_token_id
        assert mask is not None and sep is not None  # noqa: PT018  `_tokenizer` has seen to both
        return PretrainingBatches(
            text,
            batch_size=batch_size,
            seed=self.config.seed,
            masking=self.config.masking,
            special_ids=self.networks.special_token_ids,
            mask_token_id=mask,
            sep_token_id=sep,
        )

    def _announce(self, batches: PretrainingBatches) -> None:
        millions = sum(parameter.numel() for parameter in self.networks.parameters()) / 1e6
        steps, text = self.recipe.steps, self.text
        self.report.say(
            f"{self.config.size}: {millions:.1f} million parameters, vocabulary of {len(self.tokenizer):,}, on "
            f"{self.device}; {len(text):,} examples ({text.tokens:,} tokens), {len(self.held_out):,} held out; "
            f"{steps:,} steps of {self.recipe.batch_size}: {steps / batches.steps_per_epoch:.1f} times the text"
        )


def _networks(config: PretrainConfig, tokenizer: ElectraTokenizer) -> ReplacedTokenDetection:
    """Both networks with fresh weights that follow from the seed."""
    shape = config.discriminator
    shape.update({"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id})
    networks = ReplacedTokenDetection(
        ElectraForMaskedLM(shape.generator(config.generator_fraction)),
        ElectraForPreTraining(shape),
        masking=config.masking,
        tokenizer=tokenizer,
    )
    initialize_like_google(networks, shape.initializer_range, torch.Generator().manual_seed(config.seed))
    return networks


def _card(name: str, config: PretrainConfig, run: Run) -> str:
    """The README.md of one of the two model folders, with the last figures on held-out text."""
    recipe, (network, does) = config.recipe, ABOUT[name]
    held_out = [line for line in run.read_metrics() if line["split"] == "held_out"]
    measured = held_out[-1] if held_out else {}
    return model_card(
        f"ELECTRA {name}, size {config.size}",
        f"It {does}. Pretrained from scratch by replaced-token detection: {recipe.steps:,} steps of "
        f"{recipe.batch_size} examples of up to {recipe.length} tokens. The figures were measured on held-out text.",
        network=network,
        figures={key: value for key, value in measured.items() if isinstance(value, float) and key != "seconds"},
    )
