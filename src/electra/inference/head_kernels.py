"""Task heads by kernels: a linear layer gives a row the same bits alone and in a batch, which torch's does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.inference.kernel_library import KernelSet, Library
from electra.inference.packed_linear import PackedLinear
from electra.inference.watching import is_hooked, version_of
from electra.nn.heads import (
    ElectraClassificationHead,
    ElectraDiscriminatorPredictions,
    ElectraGeneratorPredictions,
    ElectraSequenceSummary,
)

Multiply = Callable[..., Tensor]


@dataclass
class _Packed:
    """A packed layer, and the weights that it was made from, which stay alive so that no others take their place."""

    state: tuple[int, ...]
    weights: tuple[Tensor, Tensor]
    product: PackedLinear


class HeadKernels:
    """The linear layers of a model's heads, packed when they are first used, and again when they have changed."""

    def __init__(self, library: Library, kernels: KernelSet) -> None:
        self._library, self._kernels = library, kernels
        self._packed: WeakKeyDictionary[nn.Module, _Packed] = WeakKeyDictionary()

    def multiply(self, linear: nn.Linear, x: Tensor, threads: int, *, gelu: bool = False) -> Tensor:
        """The layer's results, and GELU of them: [..., inputs] -> [..., outputs]"""
        weight, bias = linear.weight, linear.bias
        state = (version_of(weight), version_of(bias), weight.data_ptr(), bias.data_ptr())
        packed = self._packed.get(linear)
        if packed is None or packed.state != state:
            product = PackedLinear(self._library, self._kernels, "float32", weight, bias)
            self._packed[linear] = packed = _Packed(state, (weight, bias), product)
        result = packed.product(x.reshape(-1, x.shape[-1]), gelu=gelu, threads=threads)
        return result.view(*x.shape[:-1], -1)


class HeadView(nn.Module):
    """A head that computes by kernels with the modules of another. Where gradients are wanted, the other computes."""

    def __init__(self, head: nn.Module, kernels: HeadKernels, threads: Callable[[], int]) -> None:
        super().__init__()
        vars(self).update(head=head, kernels=kernels, threads=threads)  # its modules stay the other's

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["head"], name)

    def forward(self, hidden: Tensor, *further: Any) -> Tensor:
        """As the head's own forward."""
        head: nn.Module = vars(self)["head"]
        if torch.is_grad_enabled() or hidden.dtype != torch.float32 or is_hooked(head):
            plain: Tensor = head(hidden, *further)
            return plain
        kernels: HeadKernels = vars(self)["kernels"]
        threads = vars(self)["threads"]()

        def multiply(linear: nn.Linear, x: Tensor, *, gelu: bool = False) -> Tensor:
            return kernels.multiply(linear, x, threads, gelu=gelu)

        return _FORWARD[type(head)](head, multiply, hidden, *further)


def with_kernels(head: nn.Module, kernels: HeadKernels, threads: Callable[[], int]) -> nn.Module:
    """The head as a view that computes by kernels, or itself where it is none that they know."""
    fits = type(head) in _FORWARD and all(
        type(p) is nn.Parameter and p.dtype == torch.float32 and p.device.type == "cpu" for p in head.parameters()
    )
    gelu = getattr(head, "activation", F.gelu) is F.gelu
    linear = all(type(m) is nn.Linear for m in head.modules() if isinstance(m, nn.Linear))
    biased = all(m.bias is not None for m in head.modules() if isinstance(m, nn.Linear))
    return HeadView(head, kernels, threads) if fits and gelu and linear and biased else head


def _linear(head: Any, multiply: Multiply, hidden: Tensor) -> Tensor:
    return multiply(head, hidden)


def _classification(head: Any, multiply: Multiply, hidden: Tensor) -> Tensor:
    return multiply(head.out_proj, multiply(head.dense, hidden, gelu=True))


def _discriminator(head: Any, multiply: Multiply, hidden: Tensor) -> Tensor:
    return multiply(head.dense_prediction, multiply(head.dense, hidden, gelu=True)).squeeze(-1)


def _generator(head: Any, multiply: Multiply, hidden: Tensor) -> Tensor:
    normed: Tensor = head.LayerNorm(multiply(head.dense, hidden, gelu=True))
    return normed


def _summary(head: Any, multiply: Multiply, hidden: Tensor, layout: Any) -> Tensor:
    if head.kind != "first" or type(head.summary) is not nn.Linear:
        summed: Tensor = head(hidden, layout)
        return summed
    return multiply(head.summary, hidden[layout.first_tokens(hidden.device)], gelu=True)


_FORWARD: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Linear: _linear,
    ElectraClassificationHead: _classification,
    ElectraDiscriminatorPredictions: _discriminator,
    ElectraGeneratorPredictions: _generator,
    ElectraSequenceSummary: _summary,
}
