"""Each kernel against torch, over odd shapes; what is infinite or no number; a row's bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from electra.inference.checks import attention, normalize, product
from electra.inference.kernel_library import Library
from tests.inference.kernels.toy import SETS, kernel_set

every_set = pytest.mark.parametrize(("name", "precision"), SETS)


def exact(name: str, precision: str, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The product with the same rounding of its inputs, in float64."""
    if precision == "bfloat16":
        x, weight = x.bfloat16(), weight.bfloat16()
    if precision != "int8":
        return F.linear(x.double(), weight.double(), bias.double())
    limit = 63 if name == "avx2" else 127
    scale = x.abs().amax(1, keepdim=True) / limit
    weight_scale = weight.abs().amax(1, keepdim=True) / 127
    whole = F.linear((x * (1 / scale)).round().double(), (weight * (1 / weight_scale)).round().double())
    return whole * scale * weight_scale.T + bias


@every_set
@pytest.mark.parametrize("outputs", [1, 2, 97, 192])
@pytest.mark.parametrize("inputs", [64, 320])
def test_products(library: Library, name: str, precision: str, outputs: int, inputs: int) -> None:
    kernels = kernel_set(library, name)
    random = torch.Generator().manual_seed(outputs)
    weight = torch.randn(outputs, inputs, generator=random) / inputs**0.5
    bias = torch.randn(outputs, generator=random)
    for rows in (1, 2, 11, 13, 16, 17, 31, 32, 33, 127, 513):
        x = torch.randn(rows, inputs, generator=random)
        found = product(library, kernels, precision, x, weight, bias)
        assert found.shape == (rows, outputs)
        expected = exact(name, precision, x, weight, bias)
        # a number between two int8 may be rounded to either
        tolerance = 0.02 if precision == "int8" else 1e-5
        assert (found - expected).abs().max() < tolerance
        assert (found - expected).abs().mean() < 1e-5 * (10 if precision == "int8" else 1)
        with_gelu = product(library, kernels, precision, x, weight, bias, gelu=True)
        assert (with_gelu - F.gelu(found.double())).abs().max() < (1e-6 if name != "amx" else 1e-4)


@every_set
def test_products_of_many_inputs(library: Library, name: str, precision: str) -> None:
    kernels = kernel_set(library, name)
    random = torch.Generator().manual_seed(5)
    x, weight = torch.randn(300, 4096, generator=random), torch.randn(64, 4096, generator=random) / 64
    bias = torch.zeros(64)
    found = product(library, kernels, precision, x, weight, bias)
    assert (found - exact(name, precision, x, weight, bias)).abs().max() < (0.02 if precision == "int8" else 1e-4)


@pytest.mark.parametrize("name", ["amx", "avx512", "avx2", "neon"])
@pytest.mark.parametrize(("heads", "width"), [(4, 32), (2, 64), (1, 96), (2, 128)])
def test_attention(library: Library, name: str, heads: int, width: int) -> None:
    kernels = kernel_set(library, name)
    random = torch.Generator().manual_seed(width)
    for tokens in (1, 2, 12, 13, 15, 16, 17, 31, 32, 33, 64, 100, 513):
        qkv = torch.randn(tokens, 3 * heads * width, generator=random)
        q, k, v = qkv.view(tokens, 3, heads, width).permute(1, 2, 0, 3).double().unbind(0)
        expected = F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1)
        found = attention(library, kernels, qkv, heads)
        assert (found - expected).abs().max() < (0.03 if name == "amx" else 2e-6)


@pytest.mark.parametrize("name", ["avx512", "avx2"])
def test_attention_with_large_scores(library: Library, name: str) -> None:
    qkv = torch.randn(40, 3 * 64, generator=torch.Generator().manual_seed(1)) * 30
    q, k, v = qkv.double().split(64, 1)
    found = attention(library, kernel_set(library, name), qkv, 1)
    assert (found - F.scaled_dot_product_attention(q, k, v)).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["amx", "avx512", "avx2", "neon"])
@pytest.mark.parametrize("width", [64, 128, 256, 768, 1024])
def test_layer_norm(library: Library, name: str, width: int) -> None:
    kernels = kernel_set(library, name)
    random = torch.Generator().manual_seed(width)
    x, weight, bias = torch.randn(7, width, generator=random) * 5 + 3, torch.randn(width), torch.randn(width)
    found = normalize(library, kernels, x, weight, bias, 1e-12)
    assert (found - F.layer_norm(x.double(), (width,), weight.double(), bias.double(), 1e-12)).abs().max() < 5e-6


@every_set
def test_a_row_has_the_same_bits_whichever_rows_come_with_it(library: Library, name: str, precision: str) -> None:
    kernels = kernel_set(library, name)
    random = torch.Generator().manual_seed(3)
    x, weight, bias = (torch.randn(*s, generator=random) for s in ((77, 128), (96, 128), (96,)))
    for gelu in (False, True):
        together = product(library, kernels, precision, x, weight, bias, gelu=gelu)
        for first, last in ((0, 1), (5, 6), (40, 57), (76, 77), (3, 77)):
            alone = product(library, kernels, precision, x[first:last], weight, bias, gelu=gelu)
            assert torch.equal(alone, together[first:last])


@every_set
@pytest.mark.parametrize("what", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_stays_none(library: Library, name: str, precision: str, what: float) -> None:
    kernels = kernel_set(library, name)
    random = torch.Generator().manual_seed(3)
    x, weight, bias = (torch.randn(*s, generator=random) for s in ((40, 64), (32, 64), (32,)))
    x[7, 13] = what
    for gelu in (False, True):
        found = product(library, kernels, precision, x, weight, bias, gelu=gelu)
        # the row is NaN or infinite, in which LayerNorm makes it NaN; the others are what they were
        assert not F.layer_norm(found, (32,))[7].isfinite().any()
        assert found[torch.arange(40) != 7].isfinite().all()
    weight[3, 5] = what
    found = product(library, kernels, precision, x[:1], weight, bias)
    assert not found[0, 3].isfinite()
    assert found[0, torch.arange(32) != 3].isfinite().all()
    for where in (0, 64, 128):  # a query, a key, a value
        qkv = torch.randn(20, 3 * 64, generator=random)
        qkv[4, where + 2] = float("nan")
        found = attention(library, kernels, qkv, 1)
        touched = [4] if where == 0 else list(range(20))
        assert found[touched].isnan().any(1).all()


@every_set
def test_rows_of_zeros_and_of_tiny_numbers(library: Library, name: str, precision: str) -> None:
    kernels = kernel_set(library, name)
    x, weight, bias = torch.zeros(3, 64), torch.zeros(32, 64), torch.arange(1.0, 33.0)
    x[1], x[2] = 1e-38, 1e-30
    assert torch.equal(product(library, kernels, precision, x, weight, bias), bias.expand(3, 32))
    weight.fill_(0.5)
    assert torch.equal(product(library, kernels, precision, x, weight, bias), bias.expand(3, 32))
