"""What is known of a machine."""

from __future__ import annotations

import os

import pytest
import torch

from electra.hardware.machine import describe, device_name, peak_flops, peak_memory, tabled_peak

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "half", "single"),
    [
        ("NVIDIA H200", 989.4e12, 66.9e12),
        ("NVIDIA H100 80GB HBM3", 989.4e12, 66.9e12),
        ("NVIDIA H100 PCIe", 756e12, 51.2e12),
        ("NVIDIA A100-SXM4-80GB", 311.9e12, 19.5e12),
        ("NVIDIA A10G", 70e12, 35e12),
        ("NVIDIA A10", 125e12, 31.2e12),
        ("NVIDIA L40S", 362.1e12, 91.6e12),
        ("NVIDIA L4", 121e12, 30.3e12),
        ("Tesla T4", 65.1e12, 8.1e12),
        ("Tesla V100-SXM2-32GB", 125e12, 15.7e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12, 82.6e12),
        ("NVIDIA GeForce GTX 1080", None, None),
    ],
)
def test_the_peak_of_a_gpu_by_its_name(name: str, half: float | None, single: float | None) -> None:
    assert tabled_peak(name, torch.bfloat16) == pytest.approx(half)
    assert tabled_peak(name, torch.float32) == pytest.approx(single)


def test_the_peak_of_a_processor_is_measured_once() -> None:
    peak = peak_flops(CPU, torch.float32)
    assert peak is not None
    assert 1e8 < peak < 1e14
    assert peak_flops(CPU, torch.float32) == peak
    assert peak_flops(torch.device("meta"), torch.float32) is None


@pytest.mark.skipif(os.name != "posix", reason="not told there")
def test_peak_memory_counts_what_is_used() -> None:
    before = peak_memory(CPU)
    held = torch.ones(64 * 2**20 // 4)
    after = peak_memory(CPU)
    assert before is not None
    assert after is not None
    assert held.sum() > 0
    assert 30 * 2**20 < after < 64 * 2**30  # bytes, and not the kibibytes that Linux tells


def test_the_description_names_no_person_and_no_host() -> None:
    found = describe(CPU)
    assert found["torch"] == torch.__version__
    assert found["device"] == device_name(CPU)
    assert os.uname().nodename not in found.values()
