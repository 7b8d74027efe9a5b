"""The two networks in training: what a step computes, and what is done between steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor, nn

from electra.batch import Batch
from electra.data.dataset.bucketing import Sizes, filled
from electra.data.dataset.masked_batches import MaskedBatch, PretrainingBatches
from electra.data.dataset.shards import Shards
from electra.files.atomic import write_text, writing_folder
from electra.hardware import devices as hardware
from electra.objective.masking import MaskedTokens
from electra.pretraining.compilation import compile_layers, compile_whole, fits_whole
from electra.pretraining.initial_weights import go_on, start
from electra.pretraining.monitoring.monitor import Monitor
from electra.pretraining.monitoring.pretraining_card import network_card
from electra.pretraining.monitoring.pretraining_metrics import figures, summary
from electra.pretraining.monitoring.samples import SAMPLES, sample_rows, write_samples
from electra.pretraining.networks import build_networks
from electra.pretraining.objectives import published, share_of_loss, statistics
from electra.pretraining.pretrain_config import PretrainConfig
from electra.text.tokenizer import ElectraTokenizer
from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.loop import EVERYWHERE, Every, Window, Work, added, train
from electra.training.memory import keep_freed_memory
from electra.training.optimizer import Adam, linear_schedule
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.run.checkpoints import Checkpoint, restore
from electra.training.run.run_folder import Run

# what `losses` is called with: a part of a batch and, unless it is all of it, the whole batch's counts
Part = tuple[MaskedBatch] | tuple[MaskedBatch, Tensor]


def check_shares(config: PretrainConfig, processes: int) -> None:
    """Refuse, with a ValueError, a batch that has fewer examples than parts that it is to be computed in."""
    examples, parts = config.recipe.batch_size, config.accumulate
    if processes * parts > examples:
        raise ValueError(
            f"a batch of {examples} examples cannot be shared by {processes} processes in {parts} parts each: "
            f"give a batch_size of {processes * parts} or more, fewer processes, or a smaller accumulate"
        )


class Pretraining:
    """The two networks in training: what a step computes, and what is done between steps.

    processes: those that compute every batch together, each a share of it. All of them call the same methods at the
    same steps; the first one alone talks and writes.
    interruption: asked after every step whether a signal has come; without it signals end the process as any other.
    """

    def __init__(
        self,
        config: PretrainConfig,
        run: Run,
        tokenizer: ElectraTokenizer,
        texts: tuple[Shards, Shards],
        report: Reporter,
        processes: Processes | None = None,
        interruption: Interruption | None = None,
    ) -> None:
        self.config, self.recipe, self.run, self.tokenizer, self.report = config, config.recipe, run, tokenizer, report
        self.processes = processes or Processes(device=hardware.choose(config.device))
        self.interruption = interruption or Interruption()
        self.device = self.processes.device
        self.precision = hardware.precision(self.device, config.precision)
        self.text, self.held_out = texts
        self.networks = build_networks(config, tokenizer).to(self.device)
        self.optimizer = Adam(self.networks.named_parameters())
        self.window = Window()
        self.first_step = self._resume() or self._begin()
        self._sizes: Sizes | None = None
        self._joined, self._part_of_step = self.processes.joined(self.networks)
        self._compute = self._computed
        if config.compile:
            self._compile()
        self._exit_code = 0
        self._saved_step: int | None = None
        self.monitor = self._monitor()
        self.watch = Stopwatch(self.first_step, self.recipe.steps)

    def _compile(self) -> None:
        """Compile the whole step, and fill up all batches to the same sizes; or else the layers."""
        if not fits_whole(self.device, processes=self.processes.count, parts=self.config.accumulate):
            compile_layers(self.networks)
            return
        self._compute = compile_whole(self._computed)
        self._sizes = Sizes.of(
            self.text.lengths,
            examples=self.recipe.batch_size,
            length=self.recipe.length,
            predictions=self.networks.masking.max_predictions or self.recipe.length,
        )

    def run_to_the_end(self) -> None:
        """Take all the steps that are left; leave with the exit code of a signal if one comes."""
        steps, batches = self.recipe.steps, self.batches(self.text, self.recipe.batch_size)
        self._announce(batches)
        if self.first_step < steps and self.processes.first:
            self.monitor.start(self.first_step)
        with self.report.counting("pretraining") as count:
            taken = self.take_steps(
                self.window.add,
                lambda step, values: count(step, steps),
                Every(self.recipe.report_every, self.log, last=steps),
                Every(self.recipe.evaluate_every, self.evaluate, last=steps),
                Every(self.recipe.save_every, self.save, last=steps),
                stopped=self._stopped,
            )
        if self._exit_code and taken < steps:
            if self._saved_step != taken:
                self.save(taken, {})
            self.report.say(f"stopped after step {taken} of {steps}: the same command goes on from there")
            raise SystemExit(self._exit_code)

    def take_steps(self, *periodic: Work, stopped: Callable[[], bool] = lambda: False) -> int:
        """Take the steps that are left, with this work after each, until all are taken or `stopped`; how many are."""
        if self.device.type == "cpu":
            keep_freed_memory()
        self.networks.train()
        stream = self.batches(self.text, self.recipe.batch_size).parts(
            self.first_step,
            self._places(self.recipe.batch_size),
            change=self._filled,
            pinned=hardware.copies_faster_from_pinned(self.device),
        )
        share = self.recipe.batch_size / self.processes.count / self.config.accumulate
        tokens = share * self.text.tokens / len(self.text)
        with (
            hardware.threads_for(tokens, self.config.discriminator.hidden_size),
            hardware.matrix_products(self.device, self.config.precision),
            closing(stream),  # type: ignore[type-var]
        ):
            return train(
                lambda part: self.losses(*part),
                map(self._with_counts, stream),
                self.optimizer,
                rate=self.rate,
                steps=self.recipe.steps,
                first_step=self.first_step,
                seed=self.config.seed,
                rank=self.processes.rank,
                part_of_step=self._part_of_step,
                periodic=periodic,
                stopped=stopped,
            )

    def _stopped(self) -> bool:
        """Whether a signal has come to any of the processes: they all stop after the same step."""
        self._exit_code = self.processes.highest(self.interruption.exit_code)
        return self._exit_code > 0

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        recipe = self.recipe
        return linear_schedule(step, rate=recipe.learning_rate, steps=recipe.steps, warmup_steps=recipe.warmup_steps)

    def losses(self, example: MaskedBatch, whole: Tensor | None = None) -> dict[str, Tensor]:
        """A masked batch -> the loss [] and the statistics of both networks, [] each.

        whole: where the example is a part of a batch, the tokens and masked slots of the whole batch, float32 [2]; the
        losses of all parts, over all processes, then add up to the loss of the whole.
        """
        batch, masked = example[0].to(self.device), example[1].to(self.device)
        if not self.networks.training:
            return self._computed(self.networks, batch, masked, whole)
        if self._sizes is not None:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # what the step before has left may be written over
        return self._compute(self._joined, batch, masked, whole)

    def _computed(
        self, network: nn.Module, batch: Batch, masked: MaskedTokens, whole: Tensor | None
    ) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            found = network(batch, masked=masked)
        loss = found.loss if whole is None else share_of_loss(self.networks, found, batch.layout, whole)
        return {"loss": loss, **statistics(found, batch.layout)}

    def _filled(self, example: MaskedBatch) -> MaskedBatch:
        return example if self._sizes is None else filled(example, self._sizes)

    def _places(self, size: int) -> list[range]:
        """Which examples of a batch this process computes, in parts."""
        return self.processes.share(size, self.config.accumulate)

    def _with_counts(self, parts: Sequence[MaskedBatch]) -> list[Part]:
        """The parts of this process, each with the counts of the whole batch; a batch in one part needs none."""
        if self.processes.count == self.config.accumulate == 1:
            return [(part,) for part in parts]
        counts = torch.zeros(2)
        for batch, masked in parts:
            counts += torch.stack([torch.as_tensor(batch.layout.count_real()).float(), masked.weights.sum()])
        if hardware.copies_faster_from_pinned(self.device):
            counts = counts.pin_memory()
        whole = self.processes.sum(counts.to(self.device, non_blocking=True))
        return [(part, whole) for part in parts]

    def log(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the figures of the steps since the last time."""
        self.window.totals = self.processes.totals(self.window.totals, once=EVERYWHERE)
        totals, seconds = self.window.read(), self.watch.lap()
        if not self.processes.first:
            return
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
        most = min(self.config.evaluate_examples, len(self.held_out))
        size = min(self.recipe.batch_size, most)
        batches = self.batches(self.held_out, size)
        window = Window()
        self.networks.eval()
        for number in range(most // size):
            parts = self._with_counts([batches.batch(number, places) for places in self._places(size)])
            window.add(step, added([self.losses(*part) for part in parts]))
        self.networks.train()
        window.totals = self.processes.totals(window.totals, once=EVERYWHERE)
        totals = window.read()
        if not self.processes.first:
            return
        self._show(step)
        found = {"loss": totals["loss"] / totals["steps"], **figures(totals)}
        self.run.log({"step": step, "split": "held_out", **found, "seconds": self.watch.lap()})
        self.report.say(f"step {step}/{self.recipe.steps}  held out: {summary(found)}")

    def _show(self, step: int) -> None:
        """Keep some held-out text as the networks see it now, for the report."""
        batch, masked = self.batches(self.held_out, min(SAMPLES, len(self.held_out))).batch(0)
        self.networks.eval()
        rows = sample_rows(self.networks, (batch.to(self.device), masked.to(self.device)), self.tokenizer)
        self.networks.train()
        write_samples(self.run.folder / "samples.json", step, rows)

    def save(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write a checkpoint, unless the weights are no longer numbers; the others wait until it is there."""
        self.window.totals = self.processes.totals(self.window.totals, once=EVERYWHERE)
        if self.processes.first:
            self._write_checkpoint(step)
        else:
            self.window.totals = {}  # the first one has counted it
        self.processes.wait()
        self._saved_step = step

    def _write_checkpoint(self, step: int) -> None:
        weights: dict[str, Tensor] = dict(self.networks.named_parameters())
        if not torch.nn.utils.get_total_norm(weights.values()).isfinite():
            raise self.monitor.diverged(step, "a weight")
        groups = {"networks": weights, "optimizer": self.optimizer.moments(), "window": self.window.totals}
        self.run.checkpoints.save(Checkpoint(step, groups))

    def publish(self) -> None:
        """Write the networks as model folders, each with the tokenizer and a card."""
        for name, model in published(self.networks).items():
            with writing_folder(self.run.folder / name) as folder:
                model.save_pretrained(folder)
                self.tokenizer.save_pretrained(folder)
                write_text(folder / "README.md", network_card(name, self.config, self.run))

    def _resume(self) -> int:
        """Take over the last checkpoint if there is one; the step to go on from."""
        found = self.run.checkpoints.latest() if self.processes.first else None
        step = self.processes.tell(found.step if found else 0)
        if found:
            restore(dict(self.networks.named_parameters()), found.tensors["networks"])
            self.optimizer.load_moments(found.tensors["optimizer"])
            self.window = Window({name: total.to(self.device) for name, total in found.tensors["window"].items()})
            self.report.say(f"going on after step {step} of {self.recipe.steps}")
        if step:
            self.processes.spread([*self.networks.parameters(), *self.optimizer.moments().values()])
        if self.processes.first:
            self.run.rewind(step)
        self.processes.wait()
        return step

    def _begin(self) -> int:
        """Take over what is given to start from; the step to begin after. The others get weights as they are joined."""
        step = 0
        if self.config.init is None:
            if self.processes.first:
                start(self.networks, self.config)
            return step
        if self.processes.first:
            step, found = go_on(self.networks, self.optimizer, self.config)
            self.report.say(f"starting from {found}")
        self.processes.spread(self.optimizer.moments().values())
        return self.processes.tell(step)

    def _monitor(self) -> Monitor:
        batches = self.batches(self.text, self.recipe.batch_size)
        return Monitor(
            self.run,
            self.recipe,
            self.networks,
            batches,
            self.report,
            device=self.device,
            precision=self.precision,
            coarse=self.config.precision == "tf32",
            processes=self.processes.count,
        )

    def batches(self, text: Shards, batch_size: int) -> PretrainingBatches:
        """The batches of a text, masked as the settings say."""
        mask, sep = self.tokenizer.mask_token_id, self.tokenizer.sep_token_id
        assert mask is not None and sep is not None  # noqa: PT018  `_tokenizer` has seen to both
        return PretrainingBatches(
            text,
            batch_size=batch_size,
            seed=self.config.seed,
            masking=self.networks.masking,
            special_ids=self.networks.special_token_ids,
            mask_token_id=mask,
            sep_token_id=sep,
            marked_words=self.config.whole_words and self.config.word_boundaries is not None,
        )

    def _devices(self) -> str:
        count = self.processes.count
        return str(self.device) if count == 1 else f"{count} x {self.device.type}"

    def _announce(self, batches: PretrainingBatches) -> None:
        millions = sum(parameter.numel() for parameter in self.networks.parameters()) / 1e6
        steps, text = self.recipe.steps, self.text
        self.report.say(
            f"{self.config.size}: {millions:.1f} million parameters, vocabulary of {len(self.tokenizer):,}, on "
            f"{self._devices()}; {len(text):,} examples ({text.tokens:,} tokens), {len(self.held_out):,} held out; "
            f"{steps:,} steps of {self.recipe.batch_size}: {steps / batches.steps_per_epoch:.1f} times the text"
        )
