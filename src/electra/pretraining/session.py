"""The two networks in training: what a step computes, and what is done between steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing

import torch
from torch import Tensor

from electra import hardware
from electra.data.batches import MaskedBatch, PretrainingBatches
from electra.data.shards import Shards
from electra.hub.files import write_text, writing_folder
from electra.pretraining.card import network_card
from electra.pretraining.config import PretrainConfig
from electra.pretraining.monitor import Monitor
from electra.pretraining.networks import build_networks
from electra.pretraining.samples import SAMPLES, sample_rows, write_samples
from electra.text.tokenizer import ElectraTokenizer
from electra.training.checkpoints import Checkpoint, restore
from electra.training.health import discriminator_statistics, figures, generator_statistics, summary
from electra.training.interruption import Interruption
from electra.training.loop import Every, Window, train
from electra.training.optimizer import Adam, linear_schedule
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.run import Run


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
        self.networks = build_networks(config, tokenizer).to(self.device)
        self.optimizer = Adam(self.networks.named_parameters())
        self.window = Window()
        self.first_step = self._resume()
        self.monitor = self._monitor()
        self.watch = Stopwatch(self.first_step, self.recipe.steps)

    def run_to_the_end(self) -> None:
        """Take all the steps that are left; leave with the exit code of a signal if one comes."""
        steps, batches = self.recipe.steps, self._batches(self.text, self.recipe.batch_size)
        self._announce(batches)
        if self.first_step < steps:
            self.monitor.start(self.first_step)
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
            raise self.monitor.diverged(step, "the loss")
        pace = self.monitor.figures(step, totals["tokens"], seconds)
        record = {"step": step, "split": "train", **found, **pace, "seconds": seconds}
        self.run.log(record)
        left, speed = clock(self.watch.remaining(step)), totals["tokens"] / seconds
        self.report.say(f"step {step}/{self.recipe.steps}  {summary(found)}  {speed:,.0f} tokens/s  {left} left")
        self.monitor.look(record)

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
        self._show(step)
        found = {"loss": totals["loss"] / totals["steps"], **figures(totals)}
        self.run.log({"step": step, "split": "held_out", **found, "seconds": self.watch.lap()})
        self.report.say(f"step {step}/{self.recipe.steps}  held out: {summary(found)}")

    def _show(self, step: int) -> None:
        """Keep some held-out text as the networks see it now, for the report."""
        batch, masked = self._batches(self.held_out, min(SAMPLES, len(self.held_out))).batch(0)
        self.networks.eval()
        rows = sample_rows(self.networks, (batch.to(self.device), masked.to(self.device)), self.tokenizer)
        self.networks.train()
        write_samples(self.run.folder / "samples.json", step, rows)

    def save(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write a checkpoint, unless the weights are no longer numbers."""
        weights: dict[str, Tensor] = dict(self.networks.named_parameters())
        if not torch.nn.utils.get_total_norm(weights.values()).isfinite():
            raise self.monitor.diverged(step, "a weight")
        groups = {"networks": weights, "optimizer": self.optimizer.moments(), "window": self.window.totals}
        self.run.checkpoints.save(Checkpoint(step, groups))

    def publish(self) -> None:
        """Write the two networks as model folders, each with the tokenizer and a card."""
        for name, model in (("discriminator", self.networks.discriminator), ("generator", self.networks.generator)):
            with writing_folder(self.run.folder / name) as folder:
                model.save_pretrained(folder)
                self.tokenizer.save_pretrained(folder)
                write_text(folder / "README.md", network_card(name, self.config, self.run))

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

    def _monitor(self) -> Monitor:
        batches = self._batches(self.text, self.recipe.batch_size)
        return Monitor(
            self.run,
            self.recipe,
            self.networks,
            batches,
            self.report,
            device=self.device,
            precision=self.precision,
        )

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
