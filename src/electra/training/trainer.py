"""The training loop, and what pretraining and fine-tuning do between its steps: log, evaluate, save, resume, stop."""

from __future__ import annotations

import hashlib
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from electra.training.distributed.processes import Processes
from electra.training.interruption import Interruption
from electra.training.memory import keep_freed_memory
from electra.training.optimizer import Adam
from electra.training.progress import Reporter, Stopwatch
from electra.training.run.checkpoints import Checkpoint, restore
from electra.training.run.run_folder import Run

Part = TypeVar("Part")
Work = Callable[[int, Mapping[str, Tensor]], None]
Record = dict[str, Any]

NOT_SUMMED = ("gradient_norm", "steps")
"""The values of a `Window` that are equal in every process. All others are summed over the processes."""

SAVE = 1
"""What rank 0 sends to the other ranks when a checkpoint is due; no signal has this exit code."""


class Diverged(ValueError):
    """The loss or a weight is NaN or infinite: further steps cannot repair it.

    Args:
        step: the number of steps after which it was noticed.
        what: what is not finite: "the loss", "a weight".
        remedy: what to do, as one or more sentences without the last full stop.
    """

    def __init__(self, step: int, what: str, remedy: str = "") -> None:
        super().__init__(f"{what} is NaN or infinite after step {step}" + (f". {remedy}" if remedy else ""))
        self.step, self.what = step, what


def train(
    losses: Callable[[Part], Mapping[str, Tensor]],
    batches: Iterable[Sequence[Part]],
    optimizer: Adam,
    *,
    learning_rate: Callable[[int], float],
    steps: int,
    first_step: int = 0,
    seed: int = 0,
    rank: int = 0,
    part_of_step: Callable[[bool], AbstractContextManager[Any]] = nullcontext,
    clip_norm: float = 1.0,
    periodic: Sequence[Work] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Take steps `first_step` to `steps - 1`.

    Args:
        losses: computes a part of a batch and returns tensors by name. `"loss"` [] is minimised; the others are
            reported. All of them add up over the parts of a batch: the caller divides by counts of the whole batch, so
            that a batch in two parts gives the same gradient.
        batches: one for every step from `first_step` on, each in one or more parts.
        learning_rate: of a step, counted from 0.
        seed, rank: dropout follows from (seed, step, rank) alone, so that a resumed run drops what the uninterrupted
            one drops.
        part_of_step: the context in which a part is computed; called with whether it is the last part of the step
            (see `Processes.data_parallel`).
        clip_norm: the largest global norm of the gradients.
        periodic: called after every step with the number of steps taken and the step's values (those of `losses`, and
            `gradient_norm` before clipping), all still on their device. See `Every`.
        stopped: called after every step; True ends the loop.

    Returns:
        The number of steps taken since step 0.
    """
    step = first_step
    for step, batch in zip(range(first_step + 1, steps + 1), batches, strict=False):
        seed_dropout(seed, step - 1, rank)
        values: dict[str, Tensor] = {}
        for number, part in enumerate(batch, start=1):
            with part_of_step(number == len(batch)):
                of_part = losses(part)
                of_part["loss"].backward()  # type: ignore[no-untyped-call]
            values = added([values, of_part])
        values["gradient_norm"] = optimizer.clip(clip_norm)
        optimizer.step(learning_rate(step - 1))
        optimizer.zero_grad()
        for work in periodic:
            work(step, values)
        if stopped():
            break
    return step


def added(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The sum of the parts' values by name, without their graphs."""
    total: dict[str, Tensor] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value.detach() if name in total else value.detach()
    return total


def seed_dropout(seed: int, step: int, rank: int = 0) -> None:
    """Seed torch's generators from the three numbers alone."""
    # hashed, because the CPU's generator reads only 32 bits of a seed: sums or shifts of the three would collide
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "little") >> 1)


class Every:
    """Work that is done after every `steps`-th step, and after step `last` (if given) as well."""

    def __init__(self, steps: int, work: Work, *, last: int | None = None) -> None:
        self.steps, self.work, self.last = steps, work, last

    def __call__(self, step: int, values: Mapping[str, Tensor]) -> None:
        if step % self.steps == 0 or step == self.last:
            self.work(step, values)


class AtSteps:
    """Work that is done after the given steps."""

    def __init__(self, steps: Collection[int], work: Work) -> None:
        self.steps, self.work = steps, work

    def __call__(self, step: int, values: Mapping[str, Tensor]) -> None:
        if step in self.steps:
            self.work(step, values)


class Window:
    """The sums of the values of every step since the last `read`, kept on the device so that no step waits for it."""

    def __init__(self, totals: Mapping[str, Tensor] | None = None) -> None:
        self.totals: dict[str, Tensor] = dict(totals or {})

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add the values of one step; `steps` counts them."""
        for name, value in values.items():
            # cloned, because a compiled step reuses its outputs' memory
            self.totals[name] = self.totals[name] + value if name in self.totals else value.clone()
        one = torch.ones((), dtype=torch.int64)
        self.totals["steps"] = self.totals["steps"] + one if "steps" in self.totals else one

    def read(self) -> dict[str, float]:
        """The sums as Python numbers; a new window starts."""
        numbers = {name: value.item() for name, value in self.totals.items()}
        self.totals = {}
        return numbers


class Trainer(ABC):
    """The common half of pretraining and fine-tuning. A subclass says what a step computes and what is evaluated.

    All processes call the same methods at the same steps and take the same decisions; rank 0 logs and saves.
    A checkpoint resumes to the same bits, whatever step it was written at.

    Args:
        network: what is trained, on its device; all of its parameters are in a checkpoint.
        optimizer: of its parameters.
        steps: how many are taken in all.
        run: the folder, open in rank 0.
        report: where a person reads what happens.
        processes: those that compute every batch together, each a shard of it.
        interruption: notes the signals that end a run after the current step.
        save_seconds: the time from one checkpoint to the next, besides those that `schedule` plans.
    """

    what: str = "training"
    """What the progress bar calls it."""
    WEIGHTS: ClassVar[str]
    """The group of a checkpoint that holds the network's parameters."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: Adam,
        *,
        steps: int,
        run: Run,
        report: Reporter,
        processes: Processes,
        interruption: Interruption,
        save_seconds: float | None = None,
    ) -> None:
        self.network, self.optimizer, self.steps = network, optimizer, steps
        self.run, self.report, self.processes, self.interruption = run, report, processes, interruption
        self.window = Window()
        self.first_step = 0
        self.finished = False
        """Whether training ends before its last step; the same in every process."""
        self.save_seconds = save_seconds
        self.watch = Stopwatch(0, steps)
        self._exit_code = 0
        self._saved_step: int | None = None
        self._saved_at = time.monotonic()

    @abstractmethod
    def take_steps(self, *periodic: Work, stopped: Callable[[], bool] = lambda: False) -> int:
        """Take the steps from `first_step` on, with this work after each; the number of steps taken since step 0."""

    @abstractmethod
    def schedule(self) -> Sequence[Work]:
        """What is done after a step besides counting it: `log`, evaluations, checkpoints."""

    @abstractmethod
    def figures(self, step: int, totals: Mapping[str, float]) -> tuple[Record, str]:
        """The line of the metrics for the steps since the last one, and the same for a person; called in rank 0."""

    @abstractmethod
    def loss_of(self, totals: Mapping[str, float]) -> float:
        """The mean loss of the steps whose values were summed to these totals."""

    def state(self) -> dict[str, Mapping[str, Tensor]]:
        """The groups of tensors of a checkpoint, in rank 0."""
        return {
            self.WEIGHTS: dict(self.network.named_parameters()),
            "optimizer": self.optimizer.moments(),
            "window": self.window.totals,
        }

    def load_state(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take over what `state` returned, in rank 0."""
        restore(dict(self.network.named_parameters()), groups[self.WEIGHTS])
        self.optimizer.load_moments(groups["optimizer"])
        self.window = Window(self.on_device(groups.get("window", {})))

    def save_is_due(self) -> bool:
        """Whether the last checkpoint is older than `save_seconds` by rank 0's clock; True once for each."""
        if (
            self.save_seconds is None
            or self.processes.rank != 0
            or time.monotonic() < self._saved_at + self.save_seconds
        ):
            return False
        self._saved_at = time.monotonic()
        return True

    def after_log(self, record: Record) -> None:  # noqa: B027  optional for subclasses
        """What is done in rank 0 with a line of the metrics besides writing it: nothing by default."""

    def run_to_the_end(self) -> None:
        """Take all steps that are left.

        Raises:
            SystemExit: a signal came. The current step was finished and saved; the code is that of the signal.
            Diverged: the loss or a weight is NaN or infinite.
        """
        if self.processes.device.type == "cpu":
            keep_freed_memory()
        with self.report.counting(self.what) as count:
            bar: list[Work] = [lambda step, values: count(step, self.steps)] if self.report.has_bars else []
            taken = self.take_steps(
                self.window.add,
                *bar,
                *self.schedule(),
                self._listen,
                stopped=lambda: self._exit_code > 0 or self.finished,
            )
        if self._exit_code and taken < self.steps and not self.finished:
            if self._saved_step != taken:
                self.save(taken)
            self.report.say(f"stopped after step {taken} of {self.steps}: the same command resumes from there")
            raise SystemExit(self._exit_code)

    def _listen(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Note whether any process got a signal or a checkpoint is due: all learn it after the same step."""
        code = self.highest(self.interruption.exit_code or SAVE * self.save_is_due())
        if code == SAVE:
            self.save(step)
        else:
            self._exit_code = code

    def highest(self, number: int) -> int:
        """The highest number of any process, with several of them that of the step before."""
        return number if self.processes.world_size == 1 else self.processes.highest(number)

    def log(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Write and show the figures of the steps since the last call."""
        self.window.totals = self.processes.sum_by_name(self.window.totals, not_summed=NOT_SUMMED)
        totals = self.window.read()
        if not math.isfinite(self.loss_of(totals)) or not math.isfinite(totals["gradient_norm"]):
            self.diverge(step, "the loss" if not math.isfinite(self.loss_of(totals)) else "a gradient")
        if self.processes.is_rank_zero:
            record, line = self.figures(step, totals)
            self.run.log(record)
            self.report.say(line)
            self.after_log(record)

    def diverge(self, step: int, what: str) -> None:
        """End the training, because `what` is NaN or infinite."""
        raise Diverged(step, what)

    def check_weights(self, step: int) -> None:
        """End the training if a weight is NaN or infinite."""
        if not torch.nn.utils.get_total_norm(self.optimizer.parameters.values()).isfinite():
            self.diverge(step, "a weight")

    def save(self, step: int, values: Mapping[str, Tensor] | None = None) -> None:
        """Write a checkpoint in rank 0; the other ranks wait until it is there."""
        with self.pause("save"):
            self.window.totals = self.processes.sum_by_name(self.window.totals, not_summed=NOT_SUMMED)
            if self.processes.is_rank_zero:
                self.run.checkpoints.save(Checkpoint(step, self.state()))
            else:
                self.window.totals = {}  # they are in rank 0's sums now, and would be counted twice
            self.processes.barrier()
        self._saved_step = step

    def resume(self) -> int:
        """Take over the last checkpoint, if there is one; the number of steps that it has taken, else 0."""
        checkpoint = self.run.checkpoints.latest() if self.processes.is_rank_zero else None
        step = self.processes.broadcast(checkpoint.step if checkpoint else 0)
        if checkpoint:
            self.load_state(checkpoint.tensors)
            self.report.say(f"resuming after step {step:,} of {self.steps:,}")
        if step:
            self.processes.broadcast_tensors([*self.network.parameters(), *self.optimizer.moments().values()])
        if self.processes.is_rank_zero:
            self.run.rewind(step)
        self.processes.barrier()
        return step

    @contextmanager
    def pause(self, what: str) -> Iterator[None]:
        """Work that is no training, whose time counts neither for the speed nor for the time of a step."""
        if self.processes.device.type != "cpu":
            torch.accelerator.synchronize(self.processes.device)  # steps under way are training still
        with self.watch.paused(what):
            yield

    def on_device(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """These tensors on the device that is trained on."""
        return {name: tensor.to(self.processes.device) for name, tensor in tensors.items()}
