"""The test that each set of kernels passes before it is used: random numbers, against torch."""

from __future__ import annotations

import logging
import warnings
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from electra.inference.kernel_library import FORMATS, KernelsError, KernelSet, Library, open_library
from electra.inference.packed_linear import PackedLinear

log = logging.getLogger("electra")

TOLERANCE = {"float32": 1e-4, "bfloat16": 3e-2, "int8": 0.1}
"""How far a result may be from torch's; the numbers have a standard deviation of about 1."""


def product(
    library: Library, kernels: KernelSet, precision: str, x: Tensor, weight: Tensor, bias: Tensor, *, gelu: bool = False
) -> Tensor:
    """x @ weight^T + bias by a set of kernels: [rows, inputs], [outputs, inputs] -> [rows, outputs], all float32."""
    return PackedLinear(library, kernels, precision, weight, bias)(x, gelu=gelu)


def attention(library: Library, kernels: KernelSet, qkv: Tensor, heads: int) -> Tensor:
    """Attention of one sequence: queries, keys and values side by side, [tokens, 3 * hidden] -> [tokens, hidden]"""
    tokens, hidden = qkv.shape[0], qkv.shape[1] // 3
    output, qkv = torch.empty(tokens, hidden), qkv.contiguous()
    library.functions.electra_test_attention(
        kernels.index, qkv.data_ptr(), tokens, heads, hidden // heads, output.data_ptr()
    )
    return output


def normalize(library: Library, kernels: KernelSet, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """LayerNorm: [rows, width] -> the same"""
    output, x = torch.empty_like(x), x.contiguous()
    library.functions.electra_test_normalize(
        kernels.index, x.data_ptr(), *x.shape, weight.data_ptr(), bias.data_ptr(), epsilon, output.data_ptr()
    )
    return output


def differences(library: Library, kernels: KernelSet, precision: str) -> dict[str, float]:
    """How far the kernels' results are from torch's, on random numbers, by what they compute."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(37, 128, generator=random)
    weight = torch.randn(64, 128, generator=random) / 128**0.5
    bias = torch.randn(64, generator=random)
    qkv = torch.randn(37, 3 * 128, generator=random)
    scale = torch.randn(128, generator=random)
    heads = qkv.view(37, 3, 2, 64).permute(1, 2, 0, 3)
    expected = {
        "product": F.linear(x, weight, bias),
        "product and GELU": F.gelu(F.linear(x, weight, bias)),
        "attention": F.scaled_dot_product_attention(heads[0], heads[1], heads[2]).transpose(0, 1).flatten(1),
        "LayerNorm": F.layer_norm(x, (128,), scale, scale, 1e-12),
    }
    computed = {
        "product": product(library, kernels, precision, x, weight, bias),
        "product and GELU": product(library, kernels, precision, x, weight, bias, gelu=True),
        "attention": attention(library, kernels, qkv, 2),
        "LayerNorm": normalize(library, kernels, x, scale, scale, 1e-12),
    }
    return {name: float((computed[name] - expected[name]).abs().max()) for name in expected}


@cache
def _is_right(library: Library, kernels: KernelSet, precision: str) -> bool:
    with torch.inference_mode():
        by_operation = differences(library, kernels, precision)
    wrong = {name: difference for name, difference in by_operation.items() if not difference <= TOLERANCE[precision]}
    for name, difference in wrong.items():
        warnings.warn(
            f"the {kernels.name} kernels for {precision} are wrong on this machine and are not used: "
            f"{name} differs from torch by {difference:.1e}",
            RuntimeWarning,
            stacklevel=2,
        )
    return not wrong


def kernels_for(precision: str) -> tuple[Library, KernelSet]:
    """The fastest set of kernels for a precision that passes the test.

    Raises:
        KernelsError: there is none; the message says why, and which precisions there are.
    """
    library = open_library()
    for kernels in library.allowed_sets():
        if precision in kernels.precisions and _is_right(library, kernels, precision):
            return library, kernels
    available = available_precisions()
    has = ", ".join(library.feature_names()) or "no vector instructions that the kernels use"
    raise KernelsError(
        f"there are no kernels for {precision} here (this processor has {has}); there are some for "
        f"{', '.join(available) or 'nothing'}"
    )


def available_precisions() -> list[str]:
    """The precisions for which there are kernels here."""
    try:
        library = open_library()
        allowed = library.allowed_sets()
    except KernelsError:
        return []
    return [p for p in FORMATS if any(p in s.precisions and _is_right(library, s, p) for s in allowed)]
