"""This machine: the names of its devices, their peak of floating-point operations, the memory used"""

from __future__ import annotations

import os
import platform
import sys
import time
from functools import cache

import torch

from electra.hardware.devices import onednn_is_faster
from electra.hardware.torch_internals import onednn_product

# Makers' data sheets: matrix products of dense matrices, in 10^12 floating-point operations a second. Names are parts
# of what CUDA calls the device, the longer first where one holds another. (16 bits with 32-bit sums, plain float32)
PEAK_TERAFLOPS = {
    "B200": (2250.0, 75.0),
    "GH200": (989.4, 66.9),
    "H200": (989.4, 66.9),
    "H100 NVL": (835.5, 60.0),
    "H100 PCIe": (756.0, 51.2),
    "H100": (989.4, 66.9),
    "A100": (311.9, 19.5),
    "A40": (149.7, 37.4),
    "A10G": (70.0, 35.0),
    "A10": (125.0, 31.2),
    "L40S": (362.1, 91.6),
    "L40": (181.1, 90.5),
    "L4": (121.0, 30.3),
    "RTX A6000": (154.8, 38.7),
    "RTX 4090": (165.2, 82.6),
    "RTX 3090": (71.0, 35.6),
    "V100": (125.0, 15.7),
    "T4": (65.1, 8.1),
}

# The size of the matrices that a processor's peak is measured with, and the number of products: each takes a
# millisecond or two, so that some are not interrupted on a busy machine.
PRODUCT, TIMES = 512, 30


def device_name(device: torch.device) -> str:
    """What its maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _processor() if device.type == "cpu" else device.type


def peak_flops(device: torch.device, precision: torch.dtype, *, tf32: bool = False) -> float | None:
    """The peak of floating-point operations per second in matrix products; None where it is not known.

    For GPUs it is the maker's figure; for a processor the best of some products of 512 x 512 on the threads in use, by
    the library that the layers use, measured once in a process (about a tenth of a second).

    Args:
        device: whose peak.
        precision: of the matrices.
        tf32: whether float32 products are computed in TF32, at half of the rate of 16 bits.
    """
    if device.type == "cpu":
        return _measured_peak(precision)
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    half = tabled_peak(name, torch.bfloat16) if tf32 else None
    return half / 2 if half is not None else tabled_peak(name, precision)


def tabled_peak(name: str, precision: torch.dtype) -> float | None:
    """The maker's peak of the GPU of this name, in operations per second; None for one that is not in the table."""
    for part, (half, single) in PEAK_TERAFLOPS.items():
        if f" {part} ".lower() in f" {name} ".replace("-", " ").lower():
            return (single if precision == torch.float32 else half) * 1e12
    return None


@cache
def _measured_peak(precision: torch.dtype) -> float:
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randn(PRODUCT, PRODUCT, generator=draw).to(precision)
    multiply = onednn_product if precision == torch.float32 and onednn_is_faster() else torch.matmul
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        multiply(matrix, matrix)
        times.append(time.perf_counter() - began)
    return 2 * PRODUCT**3 / min(times)


def peak_memory(device: torch.device) -> int | None:
    """The peak memory so far in bytes: of a GPU's tensors, else of this process; None where it is not known."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


def describe(device: torch.device) -> dict[str, str | int]:
    """The machine, for readers of the metrics; without names of people or hosts."""
    return {
        "device": device_name(device),
        "processors": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """The processor's name from Linux, else from Python."""
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        if names:
            return names[0]
    return platform.processor() or platform.machine()
