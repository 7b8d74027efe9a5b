"""The training loop: one function for pretraining and fine-tuning, which knows no model and no task."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor

from electra.training.optimizer import Adam

Part = TypeVar("Part")
Work = Callable[[int, Mapping[str, Tensor]], None]

EVERYWHERE = ("gradient_norm", "steps")
"""Of what a `Window` sums, that which is the same in every process; the rest is a process's share."""


def train(
    losses: Callable[[Part], Mapping[str, Tensor]],
    batches: Iterable[Sequence[Part]],
    optimizer: Adam,
    *,
    rate: Callable[[int], float],
    steps: int,
    first_step: int = 0,
    seed: int = 0,
    rank: int = 0,
    part_of_step: Callable[[bool], AbstractContextManager[None]] = lambda last: nullcontext(),
    clip_norm: float = 1.0,
    periodic: Sequence[Work] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Take steps `first_step` to `steps - 1` and return the number of steps taken since step 0.

    Args:
        losses: a part of a batch -> tensors by name. `"loss"` [] is minimised; the others are reported. All of them
            add up over the parts of a batch: the caller divides by counts of the whole batch, so that one batch in two
            parts gives the same gradient.
        batches: one for every step from `first_step` on, each in one or more parts.
        rate: the learning rate of a step, counted from 0.
        seed, rank: dropout follows from (seed, step, rank) alone, so a run that is resumed draws what the uninterrupted
            one draws. `rank` is this process's number among those that compute a batch together.
        part_of_step: the block that a part is computed in, told whether it is the step's last (see `Processes.joined`).
        clip_norm: the highest global norm of the gradients.
        periodic: called after every step with the number of steps taken and the step's values (those of `losses`, and
            `gradient_norm` before clipping), all still on their device. See `Every`.
        stopped: asked after every step; True ends the loop there.
    """
    step = first_step
    for step, batch in zip(range(first_step + 1, steps + 1), batches, strict=False):
        seed_dropout(seed, step - 1, rank)
        values: dict[str, Tensor] = {}
        for number, part in enumerate(batch, start=1):
            with part_of_step(number == len(batch)):
                found = losses(part)
                found["loss"].backward()  # type: ignore[no-untyped-call]
            values = added([values, found])
        values["gradient_norm"] = optimizer.clip(clip_norm)
        optimizer.step(rate(step - 1))
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
    """Seed torch's generators from the three numbers alone; hashed, as the CPU's generator reads 32 bits of a seed."""
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    torch.manual_seed(int.from_bytes(digest, "little") >> 1)


class Every:
    """Work to be done after every `steps` steps, and after step `last` (if given) as well."""

    def __init__(self, steps: int, work: Work, *, last: int | None = None) -> None:
        self.steps, self.work, self.last = steps, work, last

    def __call__(self, step: int, values: Mapping[str, Tensor]) -> None:
        if step % self.steps == 0 or step == self.last:
            self.work(step, values)


class Window:
    """The sum of the values of every step since it was last read, kept on the device: no step waits for the host."""

    def __init__(self, totals: Mapping[str, Tensor] | None = None) -> None:
        self.totals: dict[str, Tensor] = dict(totals or {})

    def add(self, step: int, values: Mapping[str, Tensor]) -> None:
        """Add the values of one step; `steps` counts them."""
        for name, value in values.items():
            self.totals[name] = self.totals[name] + value if name in self.totals else value.clone()
        one = torch.ones((), dtype=torch.int64)
        self.totals["steps"] = self.totals["steps"] + one if "steps" in self.totals else one

    def read(self) -> dict[str, float]:
        """The sums as plain numbers; a new window begins."""
        numbers = {name: value.item() for name, value in self.totals.items()}
        self.totals = {}
        return numbers
