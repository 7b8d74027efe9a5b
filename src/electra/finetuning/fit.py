"""A model fitted to labelled examples: what a step computes, from the first to the last."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from electra.finetuning.learning_rates import Rates
from electra.finetuning.step_batches import batches
from electra.hardware import devices as hardware
from electra.tasks.labelled_task import LabelledTask, TrainingBatch, TrainingItem
from electra.training.distributed.processes import Processes
from electra.training.loop import Every, Work, train
from electra.training.optimizer import Adam

Report = Callable[[str], None]
Objective = Callable[[nn.Module, TrainingBatch], Tensor]
"""A model and a batch on its device -> what is made small, the mean over `batch.count` labels: []."""


class Fitting:
    """A model in training on the device it is on, its optimizer, and the items in their order.

    As in Google's run_finetuning.py, the loss is the sum over a step's labels, not their mean, and the gradient is
    clipped to norm 1: nearly every step is clipped, so that its length is the rate's alone. A sum is also what the
    parts of a step, and the shares of several processes, add up to.

    Args:
        epochs: how many times the items are gone through.
        batch_size: items in a step.
        objective: by default the task's own loss.
        processes: those that compute every batch together; by default this one alone.

    The network computes in bfloat16 on GPUs that have it, else in float32.
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
        self._joined, self._part_of_step = self.processes.joined(model)

    def train(
        self, *, first_step: int = 0, periodic: Sequence[Work] = (), stopped: Callable[[], bool] = lambda: False
    ) -> int:
        """Take the steps from `first_step` on, and leave the model in evaluation mode; how many were taken since 0.

        `periodic` and `stopped` are those of `training.loop.train`; the values are `loss`, the sum over this process's
        labels of the step, and `labels`, how many they are.
        """
        self.model.train()
        tokens = self.batch_size / self.processes.count * sum(map(len, self.items)) / len(self.items)
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
                    share=(self.processes.rank, self.processes.count),
                ),
                self.optimizer,
                rate=lambda step: self.rates.at(step, self.steps),
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
        """A part of a step's batch -> its loss [] and the number of its labels []."""
        device = self.model.device
        part = part.to(device)
        with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
            loss = self.objective(self._joined, part)
        return {"loss": loss * part.count, "labels": torch.tensor(float(part.count))}


def fit(
    model: Any,
    items: Sequence[TrainingItem],
    task: LabelledTask[Any],
    *,
    epochs: float,
    batch_size: int,
    rate: float,
    layer_decay: float,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 0,
    report: Report = lambda line: None,
) -> None:
    """Train `model` in place, on the device it is on, from the first step to the last; see `Fitting`.

    Raises:
        ValueError: the loss is no longer a number.
    """
    rates = Rates(rate, layer_decay, warmup=warmup)
    fitting = Fitting(
        model, items, task, rates, epochs=epochs, batch_size=batch_size, weight_decay=weight_decay, seed=seed
    )

    def say(step: int, values: Mapping[str, Tensor]) -> None:
        loss = float(values["loss"]) / max(float(values["labels"]), 1.0)
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss is {loss} at step {step}: lower the rate (it is {rate:g}) or check the examples"
            )
        report(f"step {step:,} of {fitting.steps:,}   loss {loss:.4f}")

    fitting.train(periodic=[Every(max(1, fitting.steps // 10), say)])
