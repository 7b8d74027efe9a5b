"""Several processes that train together, each on its own device: who they are, and what they tell one another."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from electra.training.distributed.rendezvous import SILENCE, Place, meet

Told = TypeVar("Told")

PATIENCE = timedelta(days=7)
"""How long the others wait for what the first does alone: preparing the text, writing a checkpoint."""


def shares(size: int, count: int) -> list[range]:
    """0 to `size - 1` in `count` runs whose lengths differ by one at most, the longer ones first; some may be empty."""
    length, longer = divmod(size, count)
    starts = [number * length + min(number, longer) for number in range(count + 1)]
    return [range(first, last) for first, last in pairwise(starts)]


class Processes:
    """The processes that take the same steps. Of one alone, every method gives back what it was given.

    place: which this is. device: the one it computes on. store: names and values that all of them see.
    """

    def __init__(self, place: Place | None = None, device: torch.device | None = None, store: Any = None) -> None:
        place, self.store = place or Place(), store
        self.rank, self.count, self.device = place.rank, place.count, device or torch.device("cpu")
        # what the hosts tell one another does not travel through the accelerators
        self.patient, self._prompt = (
            dist.new_group(backend="gloo", timeout=timeout) if self.count > 1 else None
            for timeout in (PATIENCE, SILENCE)
        )
        self._asked: tuple[Tensor, dist.Work] | None = None

    @property
    def first(self) -> bool:
        """Whether this is the one that talks, logs and writes."""
        return self.rank == 0

    def share(self, size: int, parts: int = 1) -> list[range]:
        """Which of `size` examples are this process's, in `parts`; empty parts are left out."""
        mine = shares(size, self.count * parts)[self.rank * parts : (self.rank + 1) * parts]
        return [part for part in mine if part]

    def joined(self, module: nn.Module) -> tuple[nn.Module, Callable[[bool], AbstractContextManager[None]]]:
        """A module to train with, whose gradients are the sums over all processes, and when to sum them.

        The second is a block to compute a part of a batch in, told whether it is the last part: only then do the
        gradients travel, while the backward pass still runs (torch's DistributedDataParallel). The weights become those
        of the first process.
        """
        if self.count == 1:
            return module, lambda last: nullcontext()
        from torch.nn.parallel import DistributedDataParallel

        joined = DistributedDataParallel(module, gradient_as_bucket_view=True)
        # without it DistributedDataParallel takes the mean over the processes
        joined.register_comm_hook(None, lambda state, bucket: _summed(bucket.buffer()))  # type: ignore[no-untyped-call]
        return joined, lambda last: nullcontext() if last else joined.no_sync()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place, on the device: the host does not wait for an accelerator."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def totals(self, values: Mapping[str, Tensor], *, once: Collection[str] = ()) -> dict[str, Tensor]:
        """The sum of each value [] over the processes, by name; of those in `once` the first one's value.

        The names are the first one's: where another has no such value, it counts as 0.
        """
        if self.count == 1:
            return dict(values)
        names = self.tell(list(values))
        if not names:
            return {}
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        mine = [zero if name in once and not self.first else values.get(name, zero) for name in names]
        summed = self.sum(torch.stack([value.detach().to(zero) for value in mine]))
        return {name: total.to(values.get(name, total)) for name, total in zip(names, summed.unbind(), strict=True)}

    def spread(self, tensors: Iterable[Tensor]) -> None:
        """Make every tensor that of the first process."""
        if self.count > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def tell(self, value: Told | None) -> Told:
        """What the first process says, in all of them (the others give None, or what they would say)."""
        if self.count == 1:
            return cast(Told, value)
        told: list[Any] = [value if self.first else None]
        dist.broadcast_object_list(told, src=0, group=self.patient)
        return cast(Told, told[0])

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier(group=self.patient)

    def highest(self, number: int) -> int:
        """The highest number of any process, the same in all.

        With several processes it is that of the call before, 0 at first: the answer travels while the next step is
        computed, and nobody waits for it.
        """
        if self.count == 1:
            return number
        answer = self.settle()
        asked = torch.tensor(number)
        work = dist.all_reduce(asked, op=dist.ReduceOp.MAX, group=self._prompt, async_op=True)
        self._asked = (asked, cast(dist.Work, work))
        return answer

    def settle(self) -> int:
        """Wait for the answer that is under way, if one is, and give it."""
        if self._asked is None:
            return 0
        told, work = self._asked
        self._asked = None
        work.wait()
        return int(told)


@contextmanager
def together(place: Place, device: torch.device) -> Iterator[Processes]:
    """The processes of `place`, met at the start of the block and parted at its end.

    An error names its process. When another process has ended, the first says so and the rest end in silence, with exit
    code 1: the message that tells why is that of the one that failed.

    Raises:
        ValueError: several processes, and a device that cannot be used so.
        ConnectionError: the others cannot be reached any more.
    """
    if place.count == 1:
        yield Processes(place, device)
        return
    if device.type == "mps":
        raise ValueError(f"device is {device} in {place.count} processes: that is for CUDA devices, and for cpu")
    if device.type != "cpu":
        torch.accelerator.set_device_index(device)
    with _named_errors(place):
        backend, store = dist.get_default_backend_for_device(device), meet(place)
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.count, timeout=SILENCE)
        processes = Processes(place, device, store)
        try:
            yield processes
        except SystemExit:  # all leave together
            _part(processes)
            raise
        _part(processes)


def _part(processes: Processes) -> None:
    # after an error nobody parts: that would wait for those who are gone; the end of the process closes all
    processes.settle()
    processes.wait()
    dist.destroy_process_group()


@contextmanager
def _named_errors(place: Place) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not _is_lost(error):
            _say(place)
            raise
        if place.rank > 0:
            raise SystemExit(1) from error
        raise ConnectionError(
            f"the other {place.count - 1} processes cannot be reached: one has ended, and its own message says why, "
            f"or did not answer for {SILENCE.seconds // 60} minutes ({_first_line(error)})"
        ) from error
    except Exception:
        if place.rank > 0:
            _say(place)
        raise


def _is_lost(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower() or "NCCL" in str(error)


def _say(place: Place) -> None:
    print(f"electra: an error in process {place.rank} of {place.count}, on {socket.gethostname()}:", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _summed(gradients: Tensor) -> torch.futures.Future[Tensor]:
    """Their sum over all processes, when it is there."""
    work = cast(dist.Work, dist.all_reduce(gradients, async_op=True))
    future: torch.futures.Future[list[Tensor]] = work.get_future()
    return future.then(lambda done: done.value()[0])
