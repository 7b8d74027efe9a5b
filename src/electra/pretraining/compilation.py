"""torch.compile for a training step: layer by layer, or the step as a whole"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from electra.nn.encoder import ElectraLayer

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiles_whole_step(device: torch.device, *, processes: int, parts: int) -> bool:
    """Whether a step on this device is compiled as a whole, if it is compiled: on a single CUDA device.

    A graph of one of several parts of a batch would write its gradients over those of the part before; and several
    processes sum the gradients of a layer while those of other layers are still computed.
    """
    return device.type == "cuda" and processes == parts == 1


def compile_whole(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let `torch.compile` make one graph of all that a step computes before its gradients, and one of these.

    On CUDA devices the graphs are recorded and played back (CUDA graphs), so that a step of thousands of kernels costs
    the host next to nothing. For that all batches must have the same sizes (`data.dataset.bucketing`); other sizes
    are compiled and recorded again, which takes minutes. Code that leaves the graph, to read a value say, is an error.
    """
    return torch.compile(compute, fullgraph=True, dynamic=False, mode="reduce-overhead")


def compile_layers(networks: nn.Module, backend: str = "inductor") -> None:
    """Let `torch.compile` fuse what each encoder layer computes; the first step takes minutes longer.

    Layer by layer, as all layers of a network are alike and share one compiled graph, which takes batches of any number
    of tokens. The modules, their names and their parameters stay as they are.
    """
    for module in networks.modules():
        if isinstance(module, ElectraLayer):
            module.compile(backend=backend, dynamic=True)
