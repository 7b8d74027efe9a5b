"""A device that is there is given with its number; one that is not is an error that says what is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from electra.hardware import devices as hardware
from electra.hardware.devices import choose, choose_for_process, precision


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: None)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two CUDA devices, the second in use."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 1)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)


@pytest.mark.usefixtures("cpu_only")
@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", -1, torch.device("cpu")])
def test_the_cpu(device: Any) -> None:
    assert choose(device) == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("device", "chosen"),
    [
        ("auto", "cuda:1"),
        ("cuda", "cuda:1"),
        ("cuda:0", "cuda:0"),
        (0, "cuda:0"),
        (torch.device("cuda", 1), "cuda:1"),
        ("cpu", "cpu"),
        (-1, "cpu"),
    ],
)
def test_two_gpus(device: Any, chosen: str) -> None:
    assert choose(device) == torch.device(chosen)


@pytest.mark.usefixtures("two_gpus")
def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("auto", "cuda"):
        assert [choose_for_process(device, place) for place in (0, 1)] == [
            torch.device("cuda", 0),
            torch.device("cuda", 1),
        ]
        assert choose_for_process(device, None) == torch.device("cuda", 1)  # alone: the one in use
    assert choose_for_process("cpu", 5) == torch.device("cpu")
    with pytest.raises(ValueError, match="process 2 of this machine has no accelerator of its own: there are 2"):
        choose_for_process("auto", 2)
    for device in ("cuda:1", 1, torch.device("cuda", 0)):
        with pytest.raises(ValueError, match="is one device for several processes: use 'auto' or 'cuda'"):
            choose_for_process(device, 0)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 0)
    assert choose_for_process("auto", 3) == torch.device("cuda", 0)  # the only one that Slurm lets it see


@pytest.mark.usefixtures("cpu_only")
@pytest.mark.parametrize("device", ["cuda", "cuda:3", "mps", 0, -2, torch.device("meta")])
def test_no_accelerator(device: Any) -> None:
    with pytest.raises(ValueError, match=r"finds no accelerator.*Allowed here: 'auto' and 'cpu'"):
        choose(device)


@pytest.mark.usefixtures("cpu_only")
def test_hidden_gpus_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(ValueError, match="CUDA_VISIBLE_DEVICES='7'"):
        choose("cuda")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:2", "this machine has 2, numbered from 0.*'cuda:0' to 'cuda:1'"),
        (2, "this machine has 2"),
        ("mps", "the accelerator of this machine is 'cuda'"),
        ("gpu", "meant 'auto'"),
        ("cudaa", "not a name of a device"),
        (None, "expected a name, a number or a torch.device"),
        (True, "expected a name, a number or a torch.device"),
        (1.0, "expected a name, a number or a torch.device"),
    ],
)
def test_devices_that_are_none(device: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choose(device)


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda", 0)
    assert precision(cpu) == torch.float32
    for capability, wanted in (((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, given=capability: given)
        assert precision(cuda) == wanted
    for name in ("bf16", "bfloat16", torch.bfloat16, "torch.bfloat16"):
        assert precision(cpu, name) == torch.bfloat16
    assert precision(cpu, "fp16") == torch.float16
    for wrong in ("int8", torch.int8, "half a byte"):
        with pytest.raises(ValueError, match="allowed are 'auto', 'float32'"):
            precision(cpu, wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_gpu() -> None:
    device = choose("auto")
    assert torch.ones(1, device="cuda").device == device == choose("cuda")
    with pytest.raises(ValueError, match="numbered from 0"):
        choose(torch.cuda.device_count())


@pytest.mark.parametrize(
    ("tokens", "hidden_size", "threads"),
    [(3, 128, 1), (999, 128, 1), (1000, 128, 2), (1900, 128, 3), (499, 256, 1), (500, 256, 2), (170, 768, 2)],
)
def test_a_small_step_gets_few_threads(tokens: int, hidden_size: int, threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with hardware.threads_for(tokens, hidden_size) as given:
            assert given == torch.get_num_threads() == threads
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_a_large_step_gets_no_more_threads_than_there_were() -> None:
    before = torch.get_num_threads()
    with hardware.threads_for(10**6, 1024) as given:
        assert given == torch.get_num_threads() == before
