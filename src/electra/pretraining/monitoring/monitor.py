"""What is said of a run beyond its losses: how far and how fast it is, what it uses, whether it is well."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from electra.data.dataset.masked_batches import PretrainingBatches
from electra.data.dataset.shards import Shards
from electra.hardware import machine
from electra.objective.masked_language_modeling import MaskedLanguageModeling
from electra.pretraining.cost import effective_length, step_flops
from electra.pretraining.monitoring.alarms import Alarm, Alarms
from electra.pretraining.monitoring.pretraining_metrics import Diverged
from electra.pretraining.objectives import Networks
from electra.pretraining.recipe import Recipe
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run

MOST_EXAMPLES = 8192  # of the training text, whose tokens are counted for their entropy: about a million


class Monitor:
    """Adds figures to the reports of a run, and raises alarms.

    Args:
        batches: of the training text; the first one tells how long rows are.
        coarse: whether products of float32 are computed in TF32.
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
        coarse: bool = False,
        processes: int = 1,
    ) -> None:
        self._run, self._recipe, self._report, self._device = run, recipe, report, device
        self._steps_per_epoch = batches.steps_per_epoch
        self._flops = flops_per_token(networks, batches, recipe.mask_fraction)
        peak = machine.peak_flops(device, precision, coarse=coarse)
        self._peak_flops = None if peak is None else peak * processes
        entropy = unigram_entropy(batches.shards, networks.special_token_ids)
        self.alarms = Alarms(warmup_steps=recipe.warmup_steps, unigram_entropy=entropy)
        records = list(run.read_metrics())
        self.alarms.catch_up(records)
        self._tokens_seen = max((int(str(record.get("tokens_seen", 0))) for record in records), default=0)

    def start(self, first_step: int) -> None:
        """Write into the metrics that a process begins or goes on with the run, and on which machine."""
        self._run.log({"step": first_step, "split": "start", "machine": machine.describe(self._device)})

    def figures(self, step: int, tokens: float, seconds: float) -> dict[str, float | int | None]:
        """How far and how fast: `tokens` were seen in `seconds` since the last report.

        `tokens_seen` since step 0; `epoch`, how often the text was read; `model_flops_utilization`, the share of the
        device's peak that the networks' matrix products and attention reach (None: the peak is not known), with what is
        spent on checkpoints and reading counted as lost; `peak_memory_bytes` of this process or of the GPU.
        """
        self._tokens_seen += int(tokens)
        speed = tokens / seconds
        return {
            "tokens_seen": self._tokens_seen,
            "epoch": step / self._steps_per_epoch,
            "tokens_per_second": speed,
            "model_flops_utilization": None if self._peak_flops is None else speed * self._flops / self._peak_flops,
            "peak_memory_bytes": machine.peak_memory(self._device),
        }

    def look(self, record: Mapping[str, object]) -> None:
        """Raise the alarms that this line of the metrics gives reason for."""
        for alarm in self.alarms.look(record):
            self._tell(alarm)

    def diverged(self, step: int, what: str) -> Diverged:
        """The error that ends the run as `what` ("the loss", "a weight") is no number; it is in the metrics too."""
        error = Diverged(step, what, self._run.checkpoints.last_path(), self._recipe.learning_rate)
        self._run.log(Alarm(step, "numbers", f"{what} is no longer a finite number", str(error)).record())
        return error

    def _tell(self, alarm: Alarm) -> None:
        self._run.log(alarm.record())
        self._report.alarm(str(alarm))


def flops_per_token(networks: Networks, batches: PretrainingBatches, mask_fraction: float) -> float:
    """Operations of a training step for each of its tokens, for rows as long as those of the first batch."""
    return step_flops(
        generator=networks.generator.config,
        discriminator=None if isinstance(networks, MaskedLanguageModeling) else networks.discriminator.config,
        length=effective_length(batches.batch(0)[0].layout.lengths),
        mask_fraction=mask_fraction,
    )


def unigram_entropy(shards: Shards, special_ids: tuple[int, ...]) -> float:
    """The entropy of the tokens' frequencies in nats, special ones left out: the loss of who knows these alone.

    Counted on about a million tokens from all over the text, which tells it up to some hundredths too low.
    """
    chosen = range(0, len(shards), -(-len(shards) // MOST_EXAMPLES))
    counts = np.bincount(np.concatenate([shards[number] for number in chosen]))
    counts[[number for number in special_ids if number < len(counts)]] = 0
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log(shares)).sum())
