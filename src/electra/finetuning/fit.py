"""Fit a model to labelled examples: the batches, the learning rates and the loss of every step"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from electra.data.dataset.batches import samples
from electra.finetuning.learning_rates import Rates
from electra.hardware import devices as hardware
from electra.tasks.labelled_task import LabelledTask, TrainingBatch, TrainingItem
from electra.training.distributed.processes import Processes
from electra.training.optimizer import Adam
from electra.training.trainer import Diverged, Every, Work, train

Report = Callable[[str], None]
Objective = Callable[[nn.Module, TrainingBatch], Tensor]
"""A model and a batch on its device -> the loss [], its mean over the batch's `count` labels."""

PART_TOKENS = 16_384
"""A step's items are computed in parts of about this many tokens, which bounds the memory."""


class Fitting:
    """A model in training on its device, its optimizer, and the items in their order.

    As in Google's run_finetuning.py, the loss is the sum over a step's labels, not their mean, and the gradient is
    clipped to norm 1: nearly every step is clipped, so that its length depends on the learning rate alone. Sums are
    also what the parts of a step, and the shards of several processes, add up to.

    The network computes in bfloat16 on GPUs that have it, else in float32.

    Args:
        model: with a head of the task.
        items: what `task.training_items` returns.
        rates: the learning rates, by layer and step.
        epochs: how many times the items are read.
        batch_size: items in a step.
        weight_decay: see `Adam`.
        seed: decides the order of the items and what dropout drops.
        objective: by default the task's own loss.
        processes: those that compute every batch together; by default this one alone.
    """

    def __init__(
        self,
        model: Any,
        items: Sequence[TrainingItem],
        task: LabelledTask[Any],
        rates: Rates,
        *,
        epochs: float,
        batch_size: int,
        weight_decay: float = 0.01,
        seed: int = 0,
        objective: Objective | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.model, self.items, self.task, self.rates = model, items, task, rates
        self.batch_size, self.seed = batch_size, seed
        self.processes = processes or Processes(device=model.device)
        self.steps = max(1, round(len(items) * epochs / batch_size))
        self.objective = objective or task.loss
        self.precision = hardware.precision(model.device)
        layers = model.config.num_hidden_layers
        self.optimizer = Adam(
            model.named_parameters(),
            weight_decay=weight_decay,
            multiplier=lambda name: rates.of_layer(name, layers),
        )
        self._parallel, self._part_of_step = self.processes.data_parallel(model)

    def train(
        self, *, first_step: int = 0, periodic: Sequence[Work] = (), stopped: Callable[[], bool] = lambda: False
    ) -> int:
        """Take the steps from `first_step` on, and leave the model in evaluation mode.

        Args:
            periodic, stopped: those of `training.trainer.train`. The values are `loss`, the sum over this process's
                labels of the step, and `labels`, their number.

        Returns:
            The number of steps taken since step 0.
        """
        self.model.train()
        tokens = self.batch_size / self.processes.world_size * sum(map(len, self.items)) / len(self.items)
        with hardware.threads_for(tokens, self.model.config.hidden_size):
            taken = train(
                self.losses,
                batches(
                    self.items,
                    self.task,
                    self.steps,
                    self.batch_size,
                    self.seed,
                    first_step=first_step,
                    shard=(self.processes.rank, self.processes.world_size),
                ),
                self.optimizer,
                learning_rate=self.rates.schedule(self.steps),
                steps=self.steps,
                first_step=first_step,
                seed=self.seed,
                rank=self.processes.rank,
                part_of_step=self._part_of_step,
                periodic=periodic,
                stopped=stopped,
            )
        self.model.eval()
        return taken

    def losses(self, part: TrainingBatch) -> Mapping[str, Tensor]:
        """The loss [] of a part of a step's batch, summed over its labels, and their number []."""
        device = self.processes.device
        part = part.to(device)
        with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
            loss = self.objective(self._parallel, part)
        return {"loss": loss * part.count, "labels": torch.tensor(float(part.count))}


def batches(
    items: Sequence[TrainingItem],
    task: LabelledTask[Any],
    steps: int,
    batch_size: int,
    seed: int,
    *,
    first_step: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[list[TrainingBatch]]:
    """The batches of steps `first_step` to `steps - 1`, each in parts that fit into memory.

    Every item comes once an epoch, in an order that follows from the seed. A step has a fixed number of items, as in
    Google's code, and not of tokens; its parts are filled by tokens.

    Args:
        shard: (rank, world size). Each process computes every world-size-th item of a step sorted by length, so that
            all have long and short ones.
    """
    rank, world_size = shard
    for step in range(first_step, steps):
        counters = np.arange(step * batch_size, (step + 1) * batch_size)
        of_step = [items[i] for i in samples(counters, len(items), seed=seed)]
        # longest first, because sequences of equal length share a call of attention
        of_rank = sorted(of_step, key=len, reverse=True)[rank::world_size]
        yield [task.training_batch(part) for part in _parts(of_rank)]


def _parts(items: Sequence[TrainingItem]) -> Iterator[list[TrainingItem]]:
    part: list[TrainingItem] = []
    for item in items:
        if part and sum(map(len, part)) + len(item) > PART_TOKENS:
            yield part
            part = []
        part.append(item)
    yield part


def fit(
    model: Any,
    items: Sequence[TrainingItem],
    task: LabelledTask[Any],
    *,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    layer_decay: float,
    warmup_fraction: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 0,
    report: Report = lambda line: None,
) -> None:
    """Train `model` in place, on its device, from the first step to the last; see `Fitting`.

    Args:
        rate: the highest learning rate, that of the head.
        layer_decay: factor on the learning rate from each layer to the one below.
        warmup: the fraction of the steps over which the learning rate rises.
        report: called with a line of text about ten times.

    Raises:
        Diverged: the loss is NaN or infinite.
    """
    rates = Rates(learning_rate, layer_decay, warmup=warmup_fraction)
    fitting = Fitting(
        model, items, task, rates, epochs=epochs, batch_size=batch_size, weight_decay=weight_decay, seed=seed
    )

    def log(step: int, values: Mapping[str, Tensor]) -> None:
        loss = values["loss"] / values["labels"].clamp(min=1)
        if not loss.isfinite():
            raise Diverged(step, "the loss", f"Lower the learning rate (it is {learning_rate:g}) or check the examples")
        report(f"step {step:,} of {fitting.steps:,}   loss {loss:.4f}")

    fitting.train(periodic=[Every(max(1, fitting.steps // 10), log)])
