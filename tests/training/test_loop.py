"""The loop: what a step is, and that a run cut in two takes the same steps."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from electra.training.optimizer import Adam
from electra.training.progress import Stopwatch
from electra.training.trainer import Every, Window, seed_dropout, train


class Toy:
    """A small network with dropout, its optimizer, and batches of rows with targets."""

    def __init__(self, dropout: float = 0.3) -> None:
        torch.manual_seed(1)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, 1))
        self.optimizer = Adam(self.network.named_parameters())
        self.batches = [torch.randn(6, 5, generator=torch.Generator().manual_seed(i)) for i in range(8)]
        self.counted = 6

    def losses(self, rows: Tensor) -> dict[str, Tensor]:
        errors = (self.network(rows[:, :4]).squeeze(1) - rows[:, 4]) ** 2
        return {"loss": errors.sum() / self.counted, "rows": torch.tensor(len(rows))}

    def train(self, first: int, steps: int, parts: int = 1, **options: Any) -> int:
        batches = ([*batch.chunk(parts)] for batch in self.batches[first:])
        return train(
            self.losses,
            batches,
            self.optimizer,
            learning_rate=lambda step: 0.01,
            first_step=first,
            steps=steps,
            **options,
        )

    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()])


def test_it_learns() -> None:
    toy = Toy(dropout=0.0)
    before = toy.losses(toy.batches[0])["loss"]
    toy.batches = toy.batches[:1] * 60
    assert toy.train(0, 60) == 60
    assert toy.losses(toy.batches[0])["loss"] < before / 2


def test_a_run_cut_in_two_ends_with_the_same_bits() -> None:
    whole, first, second = Toy(), Toy(), Toy()
    whole.train(0, 8)
    first.train(0, 3)
    second.network.load_state_dict(first.network.state_dict())
    second.optimizer.load_moments(first.optimizer.moments())
    torch.rand(17)  # whatever else was drawn in between
    second.train(3, 8)
    assert torch.equal(whole.weights(), second.weights())


def test_dropout_follows_from_seed_step_and_rank() -> None:
    drawn = set()
    for seed, step, rank in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (2**32, 0, 0), (0, 2**32, 0)):
        seed_dropout(seed, step, rank)
        drawn.add(torch.rand(1).item())
    assert len(drawn) == 6


def test_processes_drop_other_values() -> None:
    toys = [Toy(), Toy(), Toy()]
    for toy, rank in zip(toys, (0, 1, 1), strict=True):
        toy.train(0, 2, rank=rank)
    assert not torch.equal(toys[0].weights(), toys[1].weights())
    assert torch.equal(toys[1].weights(), toys[2].weights())


def test_a_part_knows_whether_it_is_the_last() -> None:
    told: list[bool] = []

    def part_of_step(last: bool) -> AbstractContextManager[None]:
        told.append(last)
        return nullcontext()

    Toy().train(0, 2, parts=3, part_of_step=part_of_step)
    assert told == [False, False, True] * 2


def test_a_batch_in_two_parts_gives_the_same_step() -> None:
    whole, parts = Toy(dropout=0.0), Toy(dropout=0.0)
    seen: list[float] = []
    whole.train(0, 4)
    parts.train(0, 4, parts=2, periodic=[lambda step, values: seen.append(values["rows"].item())])
    torch.testing.assert_close(parts.weights(), whole.weights(), rtol=0, atol=1e-6)
    assert seen == [6] * 4


def test_periodic_work_has_its_own_period_and_the_last_step() -> None:
    done: list[int] = []
    Toy().train(0, 8, periodic=[Every(3, lambda step, values: done.append(step), last=8)])
    assert done == [3, 6, 8]


def test_it_stops_after_the_step_in_which_it_is_asked_to() -> None:
    toy, done = Toy(), []
    taken = toy.train(2, 8, periodic=[lambda step, values: done.append(step)], stopped=lambda: len(done) == 3)
    assert (taken, done) == (5, [3, 4, 5])


def test_a_window_sums_its_steps_and_goes_on_where_it_was_saved() -> None:
    window = Window()
    window.add(1, {"loss": torch.tensor(1.5)})
    window = Window(window.totals)
    window.add(2, {"loss": torch.tensor(2.0)})
    assert window.read() == {"loss": 3.5, "steps": 2}
    window.add(3, {"loss": torch.tensor(4.0)})
    assert window.read() == {"loss": 4.0, "steps": 1}


class NoWaiting(TorchDispatchMode):
    """Fails where a tensor's value is read by the host, which would stall an accelerator."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default, "the host waits for the device"
        return func(*args, **(kwargs or {}))


def test_no_step_reads_a_value_from_the_device() -> None:
    window = Window()
    with NoWaiting():
        Toy().train(0, 4, periodic=[window.add])
    with pytest.raises(AssertionError, match="the host waits"), NoWaiting():
        window.read()


def test_the_time_of_steps_is_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("electra.training.progress.time.perf_counter", lambda: now)
    watch = Stopwatch(0, 100, {"evaluation": 10, "save": 25})
    now = 10.0  # 10 steps
    with watch.paused("evaluation"):
        now = 14.0
    assert watch.last_pause("evaluation") == 4
    now = 24.0  # 10 steps more
    assert watch.lap() == 20
    assert watch.remaining(20) == pytest.approx(80 + 9 * 4)  # the evaluation after step 20 is still to come
    with watch.paused("evaluation"):
        now = 28.0
    with watch.paused("save"):
        now = 30.0
    assert watch.lap() == 0
    now = 35.0
    assert watch.lap() == 5
    assert watch.remaining(25) == pytest.approx(75 + 8 * 4 + 4 * 2)


def test_what_is_done_at_the_end_too_is_still_to_come() -> None:
    assert [Stopwatch(0, 25)._times_left(step, 10) for step in (1, 10, 11, 20, 21, 25)] == [3, 3, 2, 2, 1, 1]
