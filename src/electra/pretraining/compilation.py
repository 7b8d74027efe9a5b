"""What is computed in a step, compiled: layer by layer, or as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from electra.nn.encoder import ElectraLayer

Given = ParamSpec("Given")
Found = TypeVar("Found")


def fits_whole(device: torch.device, *, processes: int, parts: int) -> bool:
    """Whether a step on this device is compiled as a whole, if it is compiled.

    On a CUDA device that is alone. Of several parts of a batch each would write its gradients where those of the one
    before are; and those of several processes travel layer by layer, while other layers' are still computed.
    """
    return device.type == "cuda" and processes == parts == 1


def compile_whole(compute: Callable[Given, Found]) -> Callable[Given, Found]:
    """Let `torch.compile` make one graph of all that a step computes before its gradients, and one of these.

    On CUDA devices the graphs are recorded and played back (CUDA graphs), so that a step of thousands of kernels costs
    the host next to nothing. For that all batches must have the same sizes (`data.filling`); other sizes are compiled
    and recorded anew, which takes minutes. Where the code would leave the graph, to read a value say, it is an error.
    """
    return torch.compile(compute, fullgraph=True, dynamic=False, mode="reduce-overhead")


def compile_layers(networks: nn.Module, backend: str = "inductor") -> None:
    """Let `torch.compile` fuse what each encoder layer computes; done at the first step, which takes minutes longer.

    Layer by layer, as all layers of a network are alike and share one compiled graph, which takes batches of any number
    of tokens. The modules, their names and their parameters stay as they are.
    """
    for module in networks.modules():
        if isinstance(module, ElectraLayer):
            module.compile(backend=backend, dynamic=True)
