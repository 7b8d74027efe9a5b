"""The process group of a run: several processes that train together, each on its own device"""

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

from electra.training.distributed.rendezvous import TIMEOUT, Rank, create_store

Value = TypeVar("Value")

RANK_ZERO_TIMEOUT = timedelta(days=7)
"""How long the others wait for what rank 0 does alone: preparing the text, writing a checkpoint."""


def split_evenly(size: int, count: int) -> list[range]:
    """0 to `size - 1` in `count` ranges whose lengths differ by one at most, the longer first; some may be empty."""
    length, longer = divmod(size, count)
    starts = [number * length + min(number, longer) for number in range(count + 1)]
    return [range(first, last) for first, last in pairwise(starts)]


class Processes:
    """The processes that take the same steps. For a single one, every method returns what it was given.

    Args:
        process: which of them this is.
        device: the one it computes on; by default the CPU.
        store: names and values that all of them see.
    """

    def __init__(self, process: Rank | None = None, device: torch.device | None = None, store: Any = None) -> None:
        process, self.store = process or Rank(), store
        self.rank, self.world_size = process.rank, process.world_size
        self.device = device or torch.device("cpu")
        # Groups of their own on gloo: what the hosts exchange does not travel through the accelerators, and waiting
        # for rank 0's preparation needs another timeout than a step.
        self.slow_group, self._fast_group = (
            dist.new_group(backend="gloo", timeout=timeout) if self.world_size > 1 else None
            for timeout in (RANK_ZERO_TIMEOUT, TIMEOUT)
        )
        self._reduction: tuple[Tensor, dist.Work] | None = None

    @property
    def is_rank_zero(self) -> bool:
        """Whether this is the process that logs and saves."""
        return self.rank == 0

    def shard(self, size: int, parts: int = 1) -> list[range]:
        """Which of `size` examples this process computes, in `parts`; empty parts are left out."""
        ranges = split_evenly(size, self.world_size * parts)[self.rank * parts : (self.rank + 1) * parts]
        return [part for part in ranges if part]

    def data_parallel(self, module: nn.Module) -> tuple[nn.Module, Callable[[bool], AbstractContextManager[Any]]]:
        """Wrap a module so that its gradients are summed over all processes; its weights become those of rank 0.

        Returns:
            The module to train with, and the context for a part of a batch, called with whether it is the last part.
            Gradients are summed in the last part alone, while its backward pass still runs (torch's
            DistributedDataParallel).
        """
        if self.world_size == 1:
            return module, nullcontext
        from torch.nn.parallel import DistributedDataParallel

        parallel = DistributedDataParallel(module, gradient_as_bucket_view=True)
        # without the hook DistributedDataParallel takes the mean over the processes
        parallel.register_comm_hook(None, lambda state, bucket: _summed(bucket.buffer()))  # type: ignore[no-untyped-call]
        return parallel, lambda last: nullcontext() if last else parallel.no_sync()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place, on the device: the host does not wait for an accelerator."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def sum_by_name(self, values: Mapping[str, Tensor], *, not_summed: Collection[str] = ()) -> dict[str, Tensor]:
        """The sum of each value [] over the processes, by name; of those in `not_summed`, rank 0's value.

        The names are those of rank 0: where another process has no such value, it counts as 0.
        """
        if self.world_size == 1:
            return dict(values)
        names = self.broadcast(list(values))
        if not names:
            return {}
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        own = [zero if name in not_summed and not self.is_rank_zero else values.get(name, zero) for name in names]
        summed = self.sum(torch.stack([value.detach().to(zero) for value in own]))
        return {name: total.to(values.get(name, total)) for name, total in zip(names, summed.unbind(), strict=True)}

    def broadcast_tensors(self, tensors: Iterable[Tensor]) -> None:
        """Copy rank 0's values into these tensors of every process."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def broadcast(self, value: Value | None) -> Value:
        """Rank 0's value, in every process; what the others pass is ignored."""
        if self.world_size == 1:
            return cast(Value, value)
        values: list[Any] = [value if self.is_rank_zero else None]
        dist.broadcast_object_list(values, src=0, group=self.slow_group)
        return cast(Value, values[0])

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.world_size > 1:
            dist.barrier(group=self.slow_group)

    def highest(self, number: int) -> int:
        """The highest number of any process, the same in all.

        With several processes it is that of the call before, 0 at first: the reduction runs while the next step is
        computed, and no process waits for it.
        """
        if self.world_size == 1:
            return number
        result = self.finish_reduction()
        reduced = torch.tensor(number)
        work = dist.all_reduce(reduced, op=dist.ReduceOp.MAX, group=self._fast_group, async_op=True)
        self._reduction = (reduced, cast(dist.Work, work))
        return result

    def finish_reduction(self) -> int:
        """Wait for the reduction of `highest` that is under way, and return its result; 0 if there is none."""
        if self._reduction is None:
            return 0
        reduced, work = self._reduction
        self._reduction = None
        work.wait()
        return int(reduced)


@contextmanager
def process_group(process: Rank, device: torch.device) -> Iterator[Processes]:
    """The process group of this start, created at the start of the block and destroyed at its end.

    An error names its process. When another process has ended, rank 0 says so and the others exit silently with code 1:
    the message that explains it is that of the process that failed.

    Raises:
        ValueError: several processes, and a device that cannot be used so.
        ConnectionError: the others cannot be reached any more.
    """
    if process.world_size == 1:
        yield Processes(process, device)
        return
    if device.type == "mps":
        raise ValueError(
            f"device is {device} in {process.world_size} processes: it must be a CUDA device or cpu; start one process"
        )
    if device.type != "cpu":
        torch.accelerator.set_device_index(device)
    with _named_errors(process):
        backend, store = dist.get_default_backend_for_device(device), create_store(process)
        dist.init_process_group(backend, store=store, rank=process.rank, world_size=process.world_size, timeout=TIMEOUT)
        processes = Processes(process, device, store)
        try:
            yield processes
        except SystemExit:  # all processes leave together
            _destroy(processes)
            raise
        _destroy(processes)


def _destroy(processes: Processes) -> None:
    # Not after an error: this would wait for processes that are gone. The end of the process closes everything.
    processes.finish_reduction()
    processes.barrier()
    dist.destroy_process_group()


@contextmanager
def _named_errors(process: Rank) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if not _is_connection_lost(error):
            _name_process(process)
            raise
        if process.rank > 0:
            raise SystemExit(1) from error
        raise ConnectionError(
            f"the other {process.world_size - 1} processes cannot be reached: one has ended, and its own message says "
            f"why, or did not answer for {TIMEOUT.seconds // 60} minutes ({_first_line(error)})"
        ) from error
    except Exception:
        if process.rank > 0:
            _name_process(process)
        raise


def _is_connection_lost(error: RuntimeError) -> bool:
    # gloo raises plain RuntimeErrors, which only their text tells from others
    return isinstance(error, dist.DistError) or "gloo" in str(error).lower() or "NCCL" in str(error)


def _name_process(process: Rank) -> None:
    place = f"process {process.rank} of {process.world_size}, on {socket.gethostname()}"
    print(f"electra: an error in {place}:", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _summed(gradients: Tensor) -> torch.futures.Future[Tensor]:
    """The sum of the gradients over all processes, when it has arrived."""
    work = cast(dist.Work, dist.all_reduce(gradients, async_op=True))
    future: torch.futures.Future[list[Tensor]] = work.get_future()
    return future.then(lambda done: done.value()[0])
