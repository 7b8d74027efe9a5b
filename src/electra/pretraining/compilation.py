"""The layers of the networks, compiled."""

from __future__ import annotations

from torch import nn

from electra.nn.encoder import ElectraLayer


def compile_layers(networks: nn.Module, backend: str = "inductor") -> None:
    """Let `torch.compile` fuse what each encoder layer computes; done at the first step, which takes minutes longer.

    Layer by layer, as all layers of a network are alike and share one compiled graph, which takes batches of any number
    of tokens. The modules, their names and their parameters stay as they are.
    """
    for module in networks.modules():
        if isinstance(module, ElectraLayer):
            module.compile(backend=backend, dynamic=True)
