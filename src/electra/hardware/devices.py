"""Choose the device, the precision, and on a CPU the library and the number of threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

# what people write for "the accelerator of this machine", whichever it is
_NAMES_FOR_AUTO = ("gpu", "accelerator")

_PRECISIONS = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def choose(device: str | int | torch.device = "auto") -> torch.device:
    """The device to use, after a check that it exists.

    Args:
        device: "auto" (the default: this machine's accelerator, otherwise the CPU), "cpu", "cuda", "cuda:1", "mps", a
            `torch.device`, or the number of an accelerator (-1: the CPU).

    Returns:
        The device with its number, so that it equals the `.device` of tensors on it.

    Raises:
        ValueError: the device does not exist here; the message lists the devices that do.
    """
    if device == "auto":
        return _accelerator() or torch.device("cpu")
    if isinstance(device, bool) or not isinstance(device, (str, int, torch.device)):
        raise ValueError(f"device={device!r}: expected a name, a number or a torch.device. {_allowed()}")
    if isinstance(device, int):
        return _numbered(device)
    return _checked(_parsed(device) if isinstance(device, str) else device)


def choose_for_process(device: str | int | torch.device, place: int | None) -> torch.device:
    """As `choose`, for one of several processes on this machine, each with its own accelerator.

    Where a process sees only one accelerator (schedulers can hide the others), it uses that one.

    Args:
        device: as for `choose`.
        place: the local rank of the process; None for a single process.

    Raises:
        ValueError: as for `choose`; also where there are more processes than accelerators, and where `device` has a
            number, because all processes would share that device.
    """
    accelerator = choose(device)
    if accelerator.type == "cpu" or place is None:
        return accelerator
    if device != "auto" and not (isinstance(device, str) and device == accelerator.type):
        raise ValueError(
            f"device={str(device)!r} is one device for several processes: use 'auto' or {accelerator.type!r}"
        )
    count = torch.accelerator.device_count()
    if place >= count > 1:
        raise ValueError(
            f"process {place} of this machine has no accelerator of its own: there are {count}. "
            f"Start {count} processes on each machine"
        )
    return torch.device(accelerator.type, place if count > 1 else 0)


def copies_faster_from_pinned(device: torch.device) -> bool:
    """Whether copies to the device are faster from page-locked memory: they overlap with computation on CUDA."""
    return device.type == "cuda"


@contextmanager
def matrix_products(device: torch.device, name: str) -> Iterator[None]:
    """Within this block, precision "tf32" lets a CUDA device multiply float32 matrices with 10 mantissa bits.

    It does so on its tensor cores, at about half of bfloat16's speed; sums and stored values stay float32. Any
    other precision, and any other device, changes nothing.

    Args:
        device: that computes.
        name: of a precision, as for `precision`.
    """
    if name != "tf32" or device.type != "cuda":
        yield
        return
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before


def precision(device: torch.device, name: str | torch.dtype = "auto") -> torch.dtype:
    """The dtype to compute in on `device`.

    Args:
        device: that computes.
        name: "auto" (the default: bfloat16 where a CUDA device supports it in hardware, otherwise float32), "float32"
            or "fp32", "tf32" (float32; see `matrix_products`), "bfloat16" or "bf16", "float16" or "fp16", or one of
            these as a torch.dtype.

    Raises:
        ValueError: another name.
    """
    if name == "auto":
        native = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float32
    key = str(name).removeprefix("torch.")
    if key not in _PRECISIONS:
        raise ValueError(f"precision={name!r}: allowed are 'auto', {', '.join(map(repr, _PRECISIONS))}.")
    return _PRECISIONS[key]


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 matrices faster than MKL, which torch calls for them on x86.

    It is on processors with AVX-512 that are not Intel's, where MKL does not use AVX-512: the same float32 arithmetic
    in half the time (benchmarks/results/matrix-products_cpu_2026-11-23.md).
    """
    both = (torch.backends.mkl, torch.backends.mkldnn)
    if not all(library.is_available() for library in both):  # type: ignore[attr-defined]
        return False
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _processor_vendor() not in (
        "",
        "GenuineIntel",
    )


def _processor_vendor() -> str:
    """The vendor in /proc/cpuinfo; "" where it is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def _accelerator() -> torch.device | None:
    """The accelerator of this machine that this torch can use, with the number in use; None if there is none."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return None
    return torch.device(accelerator.type, torch.accelerator.current_device_index())


def _numbered(number: int) -> torch.device:
    if number == -1:
        return torch.device("cpu")
    accelerator = _accelerator()
    if number < 0 or accelerator is None:
        raise ValueError(f"device={number}: {_there_is()} {_allowed()}")
    return _checked(torch.device(accelerator.type, number))


def _parsed(name: str) -> torch.device:
    if name.lower() in _NAMES_FOR_AUTO:
        raise ValueError(f"device={name!r} is not a name of a device; meant 'auto'? {_allowed()}")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device={name!r} is not a name of a device. {_allowed()}") from error


def _checked(device: torch.device) -> torch.device:
    if device.type == "cpu":
        return torch.device("cpu")
    accelerator = _accelerator()
    if accelerator is None or accelerator.type != device.type:
        raise ValueError(f"device={str(device)!r}: {_there_is()} {_allowed()}")
    number = accelerator.index if device.index is None else device.index
    count = torch.accelerator.device_count()
    if number >= count:
        raise ValueError(f"device={str(device)!r}: this machine has {count}, numbered from 0. {_allowed()}")
    return torch.device(device.type, number)


def _there_is() -> str:
    """The likely reason why an accelerator cannot be used."""
    accelerator = _accelerator()
    if accelerator is not None:
        return f"the accelerator of this machine is {accelerator.type!r}."
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} finds no accelerator, and is a build without CUDA."
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hidden = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible!r})"
    return f"torch {torch.__version__} finds no accelerator here{hidden}."


def _allowed() -> str:
    accelerator = _accelerator()
    if accelerator is None:
        return "Allowed here: 'auto' and 'cpu'."
    count = torch.accelerator.device_count()
    last = f" to '{accelerator.type}:{count - 1}'" if count > 1 else ""
    return f"Allowed here: 'auto', 'cpu', '{accelerator.type}', '{accelerator.type}:0'{last}."


NUMBERS_FOR_A_THREAD = 500 * 128
"""Hidden-state values of a training step that keep one thread busy; measured, see benchmarks/LOG.md."""


@contextmanager
def threads_for(tokens: float, hidden_size: int) -> Iterator[int]:
    """Within this block, limit torch's threads to as many as a training step keeps busy.

    Synchronising threads after every small operation costs more than they save. The number depends on the sizes alone,
    so that a resumed run sums in the same order.

    Args:
        tokens: of a step.
        hidden_size: of the network.

    Yields:
        The number of threads, at most the number before.
    """
    before = torch.get_num_threads()
    threads = max(1, min(before, int(tokens * hidden_size // NUMBERS_FOR_A_THREAD)))
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)


def start_thread(work: Callable[[], None], *, name: str) -> threading.Thread:
    """Start a daemon thread that runs `work`, in which torch's operations use only that one thread.

    torch gives every Python thread a team of its own for them. As soon as the teams together are larger than the
    machine, GNU's OpenMP lets all of them sleep after each operation, that of the training loop too: its steps took up
    to three times as long (benchmarks/LOG.md).
    """
    before, ready = torch.get_num_threads(), threading.Event()

    def alone() -> None:
        try:
            # the first call in a thread takes the global number, which would overwrite a number set before it
            torch.get_num_threads()
            torch.set_num_threads(1)
        finally:
            ready.set()
        work()

    thread = threading.Thread(target=alone, name=name, daemon=True)
    thread.start()
    ready.wait()
    torch.set_num_threads(before)  # this thread still has it, but new threads start with the number that was set last
    return thread
