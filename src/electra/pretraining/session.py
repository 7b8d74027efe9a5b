"""Both networks in training: what a step of pretraining computes, and what is evaluated, logged and published"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing

import torch
from torch import Tensor, nn

from electra.batch import Batch
from electra.data.dataset.batches import MaskedBatch, PretrainingBatches
from electra.data.dataset.bucketing import Sizes, pad_to_sizes
from electra.data.dataset.shards import Shards
from electra.files.atomic import write_text, writing_folder
from electra.hardware import devices as hardware
from electra.objective.masking import MaskedTokens
from electra.pretraining.compilation import compile_layers, compile_whole, compiles_whole_step
from electra.pretraining.initial_weights import start_from_networks, start_from_run
from electra.pretraining.monitoring.monitor import Monitor
from electra.pretraining.monitoring.pretraining_card import network_card
from electra.pretraining.monitoring.pretraining_metrics import loss_of_part, metrics_of, statistics, summary
from electra.pretraining.monitoring.samples import SAMPLES, sample_rows, write_samples
from electra.pretraining.networks import build_networks, published
from electra.pretraining.pretrain_config import PretrainConfig
from electra.text.tokenizer import ElectraTokenizer
from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.optimizer import Adam, linear_schedule
from electra.training.progress import Reporter, Stopwatch, clock
from electra.training.run.run_folder import Run
from electra.training.trainer import NOT_SUMMED, Every, Record, Trainer, Window, Work, added, train

Part = tuple[MaskedBatch] | tuple[MaskedBatch, Tensor]
"""The arguments of `Pretraining.losses`: a batch; or a part of one, and the counts of the whole batch."""


def check_shares(config: PretrainConfig, processes: int) -> None:
    """Refuse a batch that has fewer examples than processes and parts to share it.

    Raises:
        ValueError: it has; the message says what fits.
    """
    examples, parts = config.recipe.batch_size, config.accumulate
    if processes * parts > examples:
        raise ValueError(
            f"a batch of {examples} examples cannot be shared by {processes} processes in {parts} parts each: "
            f"give a batch_size of {processes * parts} or more, fewer processes, or a smaller accumulate"
        )


class Pretraining(Trainer):
    """Both networks in training: what a step computes, and what is evaluated, logged and published.

    Args:
        config: what to pretrain.
        run: the folder, open in rank 0.
        tokenizer: of the networks.
        texts: the examples to train on, and those held out.
        report: where a person reads what happens.
        processes: those that compute every batch together, each a shard of it; by default this one alone.
        interruption: asked after every step whether a signal has come; by default signals act as in any process.
    """

    what = "pretraining"
    WEIGHTS = "networks"

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
        self.config, self.recipe, self.tokenizer = config, config.recipe, tokenizer
        processes = processes or Processes(device=hardware.choose(config.device))
        self.device = processes.device
        self.precision = hardware.precision(self.device, config.precision)
        self.text, self.held_out = texts
        self.networks = build_networks(config, tokenizer).to(self.device)
        super().__init__(
            self.networks,
            Adam(self.networks.named_parameters()),
            steps=config.recipe.steps,
            run=run,
            report=report,
            processes=processes,
            interruption=interruption or Interruption(),
        )
        self.first_step = self.resume() or self._start()
        self._tokens_before = float(self.window.totals.get("tokens", 0))
        """Of the open window, the tokens of steps that another process took: its seconds are not known here."""
        self._sizes: Sizes | None = None
        self._parallel, self._part_of_step = self.processes.data_parallel(self.networks)
        self._compute = self._forward
        if config.compile:
            self._compile()
        self.monitor = self._monitor()
        every = {"evaluation": self.recipe.evaluate_every, "save": self.recipe.save_every}
        self.watch = Stopwatch(self.first_step, self.steps, every)

    def _compile(self) -> None:
        """Compile the whole step, with all batches padded to the same sizes; or else the layers."""
        if not compiles_whole_step(self.device, processes=self.processes.world_size, parts=self.config.accumulate):
            compile_layers(self.networks)
            return
        self._compute = compile_whole(self._forward)
        self._sizes = Sizes.of(
            self.text.lengths,
            examples=self.recipe.batch_size,
            length=self.recipe.max_length,
            predictions=self.networks.masking.max_predictions or self.recipe.max_length,
        )

    def run_to_the_end(self) -> None:
        """Take all steps that are left; see `Trainer.run_to_the_end`."""
        self._announce()
        if self.first_step < self.steps and self.processes.is_rank_zero:
            self.monitor.start(self.first_step)
        super().run_to_the_end()

    def schedule(self) -> Sequence[Work]:
        """Reports, evaluations and checkpoints, each in its own interval and after the last step."""
        recipe = self.recipe
        return (
            Every(recipe.report_every, self.log, last=self.steps),
            Every(recipe.evaluate_every, self.evaluate, last=self.steps),
            Every(recipe.save_every, self.save, last=self.steps),
        )

    def take_steps(self, *periodic: Work, stopped: Callable[[], bool] = lambda: False) -> int:
        """Take the steps from `first_step` on, with this work after each; the number of steps taken since step 0."""
        self.networks.train()
        stream = self.batches(self.text, self.recipe.batch_size).parts(
            self.first_step,
            self._shard(self.recipe.batch_size),
            change=self._padded if self._sizes is not None else lambda example: example,
            pinned=hardware.copies_faster_from_pinned(self.device),
        )
        examples = self.recipe.batch_size / self.processes.world_size / self.config.accumulate
        tokens = examples * self.text.tokens / len(self.text)
        with (
            hardware.threads_for(tokens, self.config.discriminator.hidden_size),
            hardware.matrix_products(self.device, self.config.precision),
            closing(stream),  # type: ignore[type-var]
        ):
            return train(
                lambda part: self.losses(*part),
                map(self._with_counts, stream),
                self.optimizer,
                learning_rate=self.learning_rate,
                steps=self.steps,
                first_step=self.first_step,
                seed=self.config.seed,
                rank=self.processes.rank,
                part_of_step=self._part_of_step,
                periodic=periodic,
                stopped=stopped,
            )

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        recipe = self.recipe
        return linear_schedule(step, rate=recipe.learning_rate, steps=recipe.steps, warmup_steps=recipe.warmup_steps)

    def losses(self, example: MaskedBatch, whole: Tensor | None = None) -> dict[str, Tensor]:
        """A masked batch -> the loss [] and the statistics of both networks, [] each.

        Args:
            example: a batch or a part of one.
            whole: for a part, the tokens and masked slots of the whole batch, float32 [2]; the losses of all parts,
                over all processes, then add up to the loss of the whole.
        """
        batch, masked = example[0].to(self.device), example[1].to(self.device)
        if not self.networks.training:
            return self._forward(self.networks, batch, masked, whole)
        if self._sizes is not None:
            # what the step before has left in the recorded graph's memory may be overwritten
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return self._compute(self._parallel, batch, masked, whole)

    def _forward(
        self, network: nn.Module, batch: Batch, masked: MaskedTokens, whole: Tensor | None
    ) -> dict[str, Tensor]:
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            output = network(batch, masked=masked)
        loss = output.loss if whole is None else loss_of_part(self.networks, output, batch.layout, whole)
        return {"loss": loss, **statistics(output, batch.layout)}

    def _padded(self, example: MaskedBatch) -> MaskedBatch:
        assert self._sizes is not None
        return pad_to_sizes(example, self._sizes)

    def _shard(self, size: int) -> list[range]:
        """Which examples of a batch this process computes, in parts."""
        return self.processes.shard(size, self.config.accumulate)

    def _with_counts(self, parts: Sequence[MaskedBatch]) -> list[Part]:
        """The parts of this process, each with the counts of the whole batch; a batch in one part needs none."""
        if self.processes.world_size == self.config.accumulate == 1:
            return [(part,) for part in parts]
        counts = torch.zeros(2)
        for batch, masked in parts:
            counts += torch.stack([torch.as_tensor(batch.layout.count_real()).float(), masked.weights.sum()])
        if hardware.copies_faster_from_pinned(self.device):
            counts = counts.pin_memory()
        whole = self.processes.sum(counts.to(self.device, non_blocking=True))
        return [(part, whole) for part in parts]

    def loss_of(self, totals: Mapping[str, float]) -> float:
        """The mean loss of a step."""
        return totals["loss"] / totals["steps"]

    def figures(self, step: int, totals: Mapping[str, float]) -> tuple[Record, str]:
        """The line of the metrics for the steps since the last one, and the same for a person."""
        seconds, tokens = self.watch.lap(), totals["tokens"] - self._tokens_before
        self._tokens_before = 0.0
        metrics = {
            "loss": self.loss_of(totals),
            **metrics_of(totals),
            "gradient_norm": totals["gradient_norm"] / totals["steps"],
            "learning_rate": self.learning_rate(step - 1),
        }
        pace = self.monitor.figures(step, totals["tokens"], tokens_per_second=tokens / seconds)
        left = clock(self.watch.remaining(step))
        line = f"step {step}/{self.steps}  {summary(metrics)}  {tokens / seconds:,.0f} tokens/s  {left} left"
        return {"step": step, "split": "train", **metrics, **pace, "seconds": seconds}, line

    def after_log(self, record: Record) -> None:
        """Raise the alarms that this line of the metrics gives reason for."""
        self.monitor.check(record)

    @torch.no_grad()
    def evaluate(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the metrics on held-out text: always the same examples, masks and samples."""
        with self.pause("evaluation"):
            totals = self._evaluated(step)
            if self.processes.is_rank_zero:
                self._save_samples(step)
        if not self.processes.is_rank_zero:
            return
        metrics = {"loss": self.loss_of(totals), **metrics_of(totals)}
        seconds = self.watch.last_pause("evaluation")
        self.run.log({"step": step, "split": "held_out", **metrics, "seconds": seconds})
        self.report.say(f"step {step}/{self.steps}  held out: {summary(metrics)}")

    def _evaluated(self, step: int) -> dict[str, float]:
        most = min(self.config.evaluate_examples, len(self.held_out))
        size = min(self.recipe.batch_size, most)
        batches = self.batches(self.held_out, size)
        window = Window()
        self.networks.eval()
        for number in range(most // size):
            parts = self._with_counts([batches.batch(number, places) for places in self._shard(size)])
            window.add(step, added([self.losses(*part) for part in parts]))
        self.networks.train()
        window.totals = self.processes.sum_by_name(window.totals, not_summed=NOT_SUMMED)
        return window.read()

    def _save_samples(self, step: int) -> None:
        """Keep some held-out text as the networks see it now, for the report."""
        batch, masked = self.batches(self.held_out, min(SAMPLES, len(self.held_out))).batch(0)
        self.networks.eval()
        rows = sample_rows(self.networks, (batch.to(self.device), masked.to(self.device)), self.tokenizer)
        self.networks.train()
        write_samples(self.run.folder / "samples.json", step, rows)

    def diverge(self, step: int, what: str) -> None:
        """End the run, because `what` is NaN or infinite; an alarm in the metrics says so."""
        # rank 0 alone: the other ranks end when they lose it, so that there is one message
        if self.processes.is_rank_zero:
            raise self.monitor.diverged(step, what)

    def save(self, step: int, values: Mapping[str, Tensor] | None = None) -> None:
        """Write a checkpoint in rank 0, unless a weight is NaN or infinite; the other ranks wait until it is there."""
        self.check_weights(step)
        super().save(step, values)

    def publish(self) -> None:
        """Write the networks as model folders, each with the tokenizer and a card."""
        for name, model in published(self.networks).items():
            with writing_folder(self.run.folder / name) as folder:
                model.save_pretrained(folder)
                self.tokenizer.save_pretrained(folder)
                write_text(folder / "README.md", network_card(name, self.config, self.run))

    def _start(self) -> int:
        """Take over the networks or the run to start from; the step to start after.

        Rank 0 does it: the others get its weights when the networks are wrapped for several processes.
        """
        step = 0
        if self.config.init is None:
            if self.processes.is_rank_zero:
                start_from_networks(self.networks, self.config)
            return step
        if self.processes.is_rank_zero:
            step, source = start_from_run(self.networks, self.optimizer, self.config)
            self.report.say(f"starting from {source}")
        self.processes.broadcast_tensors(self.optimizer.moments().values())
        return self.processes.broadcast(step)

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
            tf32=self.config.precision == "tf32",
            processes=self.processes.world_size,
        )

    def batches(self, text: Shards, batch_size: int) -> PretrainingBatches:
        """The batches of a text, masked as configured."""
        mask, sep = self.tokenizer.mask_token_id, self.tokenizer.sep_token_id
        assert mask is not None and sep is not None  # noqa: PT018  checked when the tokenizer was opened
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

    def _announce(self) -> None:
        millions = sum(parameter.numel() for parameter in self.networks.parameters()) / 1e6
        count, text = self.processes.world_size, self.text
        devices = str(self.device) if count == 1 else f"{count} x {self.device.type}"
        epochs = self.steps * self.recipe.batch_size / len(text)
        self.report.say(
            f"{self.config.size}: {millions:.1f} million parameters, vocabulary of {len(self.tokenizer):,}, on "
            f"{devices}; {len(text):,} examples ({text.tokens:,} tokens), {len(self.held_out):,} held out; "
            f"{self.steps:,} steps of {self.recipe.batch_size}: {epochs:.1f} epochs"
        )
