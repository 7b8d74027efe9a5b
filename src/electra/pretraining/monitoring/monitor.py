"""Metrics of a run beyond its losses: progress, speed, memory; and its alarms"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from electra.data.dataset.batches import PretrainingBatches
from electra.data.dataset.shards import Shards
from electra.hardware import machine
from electra.objective.masked_language_modeling import MaskedLanguageModeling
from electra.pretraining.cost import effective_length, step_flops
from electra.pretraining.monitoring.alarms import Alarm, Alarms
from electra.pretraining.networks import Networks
from electra.pretraining.recipe import Recipe
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run
from electra.training.trainer import Diverged

ENTROPY_EXAMPLES = 8192
"""Examples of the training text whose tokens are counted for their entropy: about a million tokens."""


class Monitor:
    """Adds metrics to the reports of a run, and raises alarms.

    Args:
        batches: of the training text; the first one shows how long its sequences are.
        tf32: whether float32 matrix products are computed in TF32.
        processes: how many compute a batch together, each on a device of this kind.
    """

    def __init__(
        self,
        run: Run,
        recipe: Recipe,
        networks: Networks,
        batches: PretrainingBatches,
        report: Reporter,
        *,
        device: torch.device,
        precision: torch.dtype,
        tf32: bool = False,
        processes: int = 1,
    ) -> None:
        self._run, self._recipe, self._report, self._device = run, recipe, report, device
        self._steps_per_epoch = batches.steps_per_epoch
        self._flops = flops_per_token(networks, batches, recipe.mask_fraction)
        peak = machine.peak_flops(device, precision, tf32=tf32)
        self._peak_flops = None if peak is None else peak * processes
        entropy = unigram_entropy(batches.shards, networks.special_token_ids)
        self.alarms = Alarms(warmup_steps=recipe.warmup_steps, unigram_entropy=entropy)
        records = list(run.read_metrics())
        self.alarms.catch_up(records)
        self._tokens_seen = max((int(str(record.get("tokens_seen", 0))) for record in records), default=0)

    def start(self, first_step: int) -> None:
        """Write into the metrics that a process starts or resumes the run, and on which machine."""
        self._run.log({"step": first_step, "split": "start", "machine": machine.describe(self._device)})

    def figures(self, step: int, tokens: float, tokens_per_second: float) -> dict[str, float | int | None]:
        """Progress and speed at a report.

        Args:
            tokens: seen since the last report.
            tokens_per_second: in training alone; evaluations and checkpoints are not part of that time.

        Returns:
            `tokens_seen` since step 0; `epoch`, how often the text was read; `tokens_per_second`;
            `model_flops_utilization` (MFU), the fraction of the device's peak that the networks' matrix products and
            attention reach (None: the peak is not known); `peak_memory_bytes` of this process or of the GPU.
        """
        self._tokens_seen += int(tokens)
        return {
            "tokens_seen": self._tokens_seen,
            "epoch": step / self._steps_per_epoch,
            "tokens_per_second": tokens_per_second,
            "model_flops_utilization": self._utilization(tokens_per_second * self._flops),
            "peak_memory_bytes": machine.peak_memory(self._device),
        }

    def _utilization(self, flops_per_second: float) -> float | None:
        if self._peak_flops is None:
            return None
        # A processor's peak is measured, perhaps while other work slowed it down. What training reaches is no more
        # than the peak, so the peak is at least that.
        self._peak_flops = max(self._peak_flops, flops_per_second)
        return flops_per_second / self._peak_flops

    def check(self, record: Mapping[str, object]) -> None:
        """Raise the alarms that this line of the metrics gives reason for."""
        for alarm in self.alarms.check(record):
            self._run.log(alarm.record())
            self._report.alarm(str(alarm))

    def diverged(self, step: int, what: str) -> Diverged:
        """The error that ends the run because `what` ("the loss", "a weight") is NaN or infinite; logs an alarm."""
        checkpoint = self._run.checkpoints.last_path()
        last = f"The last good checkpoint is {checkpoint}" if checkpoint else "There was no checkpoint yet"
        remedy = (
            f"{last}. Start a new run with a lower learning_rate (it was {self._recipe.learning_rate:g}), more "
            "warmup_steps, or precision float32"
        )
        self._run.log(Alarm(step, "numbers", f"{what} is NaN or infinite, so the run was stopped", remedy).record())
        return Diverged(step, what, f"The run was stopped. {remedy}")


def flops_per_token(networks: Networks, batches: PretrainingBatches, mask_fraction: float) -> float:
    """Operations of a training step for each of its tokens, for sequences as long as those of the first batch."""
    return step_flops(
        generator=networks.generator.config,
        discriminator=None if isinstance(networks, MaskedLanguageModeling) else networks.discriminator.config,
        length=effective_length(batches.batch(0)[0].layout.lengths),
        mask_fraction=mask_fraction,
    )


def unigram_entropy(shards: Shards, special_ids: tuple[int, ...]) -> float:
    """The entropy of the tokens' frequencies in nats, without special tokens: the loss of knowing no context.

    Counted on about a million tokens from all over the text, which gives it some hundredths too low.
    """
    sample = range(0, len(shards), -(-len(shards) // ENTROPY_EXAMPLES))
    counts = np.bincount(np.concatenate([shards[number] for number in sample]))
    counts[[number for number in special_ids if number < len(counts)]] = 0
    frequencies = counts[counts > 0] / max(1, counts.sum())
    return float(-(frequencies * np.log(frequencies)).sum())
