"""Which device to compute on, in which precision, and on a CPU with which library and how many threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

# what people write for "the accelerator of this machine", whichever it is
_MEANT_AUTO = ("gpu", "accelerator")

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
    """The device to use, checked to be there.

    device: "auto" (the default: this machine's accelerator, else the CPU), "cpu", "cuda", "cuda:1", "mps", a
    `torch.device`, or the number of an accelerator (-1: the CPU). Raises `ValueError` with what there is when the
    device does not exist here. What is returned carries its number, so that it equals the `.device` of tensors on it.
    """
    if device == "auto":
        return _accelerator() or torch.device("cpu")
    if isinstance(device, bool) or not isinstance(device, (str, int, torch.device)):
        raise ValueError(f"device={device!r}: expected a name, a number or a torch.device. {_allowed()}")
    if isinstance(device, int):
        return _numbered(device)
    return _checked(_parsed(device) if isinstance(device, str) else device)


def choose_for_process(device: str | int | torch.device, place: int | None) -> torch.device:
    """As `choose`, for number `place` of several processes on this machine, each with an accelerator of its own.

    place: None for a process that is alone.

    Where a process sees one accelerator alone (schedulers can hide the others), that is its own. Raises `ValueError`
    too when there are more processes than accelerators, and when `device` has a number, as all would have that one.
    """
    chosen = choose(device)
    if chosen.type == "cpu" or place is None:
        return chosen
    if device != "auto" and not (isinstance(device, str) and device == chosen.type):
        raise ValueError(f"device={str(device)!r} is one device for several processes: use 'auto' or {chosen.type!r}")
    count = torch.accelerator.device_count()
    if place >= count > 1:
        raise ValueError(
            f"process {place} of this machine has no accelerator of its own: there are {count}. "
            f"Start {count} processes on each machine"
        )
    return torch.device(chosen.type, place if count > 1 else 0)


def copies_faster_from_pinned(device: torch.device) -> bool:
    """Whether tensors on their way to the device had better be in page-locked memory.

    Copies from there to a CUDA device run beside the computation.
    """
    return device.type == "cuda"


@contextmanager
def matrix_products(device: torch.device, name: str) -> Iterator[None]:
    """Within this block, precision "tf32" lets a CUDA device multiply float32 matrices with 10 bits after the point.

    It does so on its tensor cores, at about half of bfloat16's speed; sums, and all that is stored, stay float32. Any
    other name, and any other device, changes nothing.
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
    """The number type to compute in on `device`.

    name: "auto" (the default: bfloat16 where a CUDA device has it in hardware, else float32), "float32" or "fp32",
    "tf32" (float32; see `matrix_products`), "bfloat16" or "bf16", "float16" or "fp16", or a torch.dtype of these.
    Raises `ValueError` for any other.
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

    So it is with AVX-512 on processors that are not Intel's, where MKL does not use it: the same float32 arithmetic in
    half the time (benchmarks/results/matrix-products_cpu_2026-11-23.md).
    """
    both = (torch.backends.mkl, torch.backends.mkldnn)
    if not all(library.is_available() for library in both):  # type: ignore[attr-defined]
        return False
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _processor_s_maker() not in (
        "",
        "GenuineIntel",
    )


def _processor_s_maker() -> str:
    """As Linux tells it; "" where that is not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def _accelerator() -> torch.device | None:
    """The accelerator of this machine that this torch can use, with the number in use; None if there is none."""
    found = torch.accelerator.current_accelerator(check_available=True)
    if found is None:
        return None
    return torch.device(found.type, torch.accelerator.current_device_index())


def _numbered(number: int) -> torch.device:
    if number == -1:
        return torch.device("cpu")
    accelerator = _accelerator()
    if number < 0 or accelerator is None:
        raise ValueError(f"device={number}: {_there_is()} {_allowed()}")
    return _checked(torch.device(accelerator.type, number))


def _parsed(name: str) -> torch.device:
    if name.lower() in _MEANT_AUTO:
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
    """Why an accelerator cannot be used, as far as we can tell."""
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
"""How large the hidden states of a step are that keep a processor's thread busy; measured, see benchmarks/LOG.md."""


@contextmanager
def threads_for(tokens: float, hidden_size: int) -> Iterator[int]:
    """As many of torch's threads as a training step of so many tokens keeps busy, and no more than there were.

    Threads that meet after every small operation cost more than they save. The number follows from the sizes alone, so
    that a run that goes on adds up its numbers in the same order.
    """
    before = torch.get_num_threads()
    threads = max(1, min(before, int(tokens * hidden_size // NUMBERS_FOR_A_THREAD)))
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)


def start_thread(work: Callable[[], None], *, name: str) -> threading.Thread:
    """Start a daemon thread that does `work`, and in which torch's operations keep to that one thread.

    torch gives every Python thread a team of its own for them. As soon as the teams together are larger than the
    machine, GNU's OpenMP lets all of them sleep after each operation, that of the training loop too: its steps took up
    to three times as long (benchmarks/LOG.md).
    """
    before, ready = torch.get_num_threads(), threading.Event()

    def alone() -> None:
        try:
            torch.get_num_threads()  # a thread takes the common number when it first asks, and would forget its own
            torch.set_num_threads(1)
        finally:
            ready.set()
        work()

    thread = threading.Thread(target=alone, name=name, daemon=True)
    thread.start()
    ready.wait()
    torch.set_num_threads(before)  # of this thread it is still that; but threads to come begin with the number last set
    return thread
