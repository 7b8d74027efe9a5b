"""One linear layer with packed weights."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from electra.inference.kernel_library import FORMATS, KernelSet, Library


class PackedLinear:
    """`x @ weight^T + bias`, and GELU of it. A row has the same result, to the last bit, whichever rows come with it.

    Attributes:
        error: int8: the largest relative error of a row of weights.
    """

    def __init__(self, library: Library, kernels: KernelSet, precision: str, weight: Tensor, bias: Tensor) -> None:
        """weight [outputs, inputs], bias [outputs], float32."""
        self._functions, error = library.functions, ctypes.c_float()
        weight, bias = weight.detach().contiguous(), bias.detach().contiguous()
        self.outputs, self.inputs = weight.shape
        self._handle = self._functions.electra_linear_new(
            kernels.index, FORMATS[precision], *weight.shape, weight.data_ptr(), bias.data_ptr(), ctypes.byref(error)
        )
        if not self._handle:
            raise MemoryError("no memory for the packed weights")
        self.error = error.value
        self._width: int = self._functions.electra_linear_width(self._handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._functions.electra_linear_free(self._handle)

    def __call__(self, x: Tensor, *, gelu: bool = False, threads: int = 1) -> Tensor:
        """float32 [rows, inputs] -> [rows, outputs]"""
        x = x.contiguous()
        output = torch.empty(x.shape[0], self._width)
        self._functions.electra_linear_run(
            self._handle, x.data_ptr(), x.shape[0], int(gelu), threads, output.data_ptr()
        )
        return output[:, : self.outputs]
