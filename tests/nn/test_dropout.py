"""Dropout with bits of our own: as often as asked, the same in the gradient, and torch's where torch's is expected."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from electra.batch import Layout
from electra.nn.attention import attend
from electra.nn.kernels.cpu_kernels import attend_with_dropout, drop, keep_mask, reference_attention_with_dropout

RAGGED = Layout.ragged((400, 600))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("probability", [0.001, 0.1, 0.5, 0.999])
def test_values_are_kept_independently_and_as_often_as_asked(probability: float) -> None:
    torch.manual_seed(0)
    count = 2_000_003
    stay = keep_mask(count, probability).double()
    assert stay.shape == (count,)
    error = (probability * (1 - probability) / count) ** 0.5
    assert abs(stay.mean().item() - (1 - probability)) < 4 * error + 2**-17
    centred = stay - stay.mean()
    for apart in (1, 2, 3, 4, 8, 64):  # four values share 64 bits
        correlation = (centred[apart:] * centred[:-apart]).mean() / centred.pow(2).mean()
        assert abs(correlation.item()) < 5 / count**0.5
    assert not torch.equal(stay.bool(), keep_mask(count, probability))


def test_a_value_is_0_or_larger_and_its_gradient_likewise() -> None:
    torch.manual_seed(0)
    module, values = nn.Dropout(0.25), drawn(1000, 8).requires_grad_()
    dropped = drop(module, values, RAGGED)
    gone = dropped == 0
    assert 0.2 < gone.double().mean() < 0.3
    assert torch.allclose(dropped, torch.where(gone, 0.0, values / 0.75))
    (gradient,) = torch.autograd.grad(dropped.pow(2).sum(), [values], create_graph=True)
    assert torch.allclose(gradient, torch.where(gone, 0.0, 2 * values / 0.75**2))
    (second,) = torch.autograd.grad(gradient.sum(), [values])
    assert torch.allclose(second, torch.where(gone, 0.0, 2 / 0.75**2).double())


def test_a_seed_gives_the_numbers_that_were_given_before() -> None:
    def once() -> Tensor:
        torch.manual_seed(3)
        return drop(nn.Dropout(0.5), torch.ones(1000, 8), RAGGED)

    assert torch.equal(once(), once())


def test_where_torch_s_own_is_called() -> None:
    values = torch.ones(1000, 8)
    assert torch.equal(drop(nn.Dropout(0.5).eval(), values, RAGGED), values)
    assert torch.equal(drop(nn.Dropout(0.0), values, RAGGED), values)
    assert drop(nn.Dropout(1.0), values, RAGGED).sum() == 0
    assert drop(nn.Dropout(1 - 1e-7), values, RAGGED).count_nonzero() < 10
    hooked, patched = nn.Dropout(0.5), nn.Dropout(0.5)
    hooked.register_forward_hook(lambda module, given, output: given[0])
    patched.forward = lambda input: input  # type: ignore[method-assign]
    assert torch.equal(drop(hooked, values, RAGGED), values)
    assert torch.equal(drop(patched, values, RAGGED), values)
    torch.manual_seed(0)
    of_a_grid = drop(nn.Dropout(0.5), values, Layout.of_grid(10, 100))
    torch.manual_seed(0)
    assert torch.equal(of_a_grid, nn.functional.dropout(values, 0.5))


@pytest.mark.parametrize("behind", [0, 5])
@pytest.mark.parametrize("runs", [((1, 5),), ((3, 4),), ((1, 3), (2, 7), (1, 1), (1, 3))])
def test_attention(runs: tuple[tuple[int, int], ...], behind: int) -> None:
    """Values, gradients and gradients of gradients are those of the same written out."""
    tokens = behind + sum(rows * length for rows, length in runs)
    inputs = [drawn(tokens, 2, 8, seed=seed).requires_grad_() for seed in range(3)]
    weigh = drawn(tokens, 2, 8, seed=3)
    torch.manual_seed(1)
    found = attend_with_dropout(inputs[0], inputs[1], inputs[2], runs, 0.3)
    torch.manual_seed(1)
    stay = keep_mask(sum(rows * 2 * length**2 for rows, length in runs), 0.3)
    expected = reference_attention_with_dropout(inputs[0], inputs[1], inputs[2], stay, runs, 0.3)
    assert torch.allclose(found, expected, atol=1e-12)
    assert found[tokens - behind :].abs().sum() == 0
    for make_graph in (False, True):
        ours, theirs = (
            torch.autograd.grad((output * weigh).sum(), inputs, create_graph=make_graph, retain_graph=True)
            for output in (found, expected)
        )
        assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(ours, theirs, strict=True))
    many = torch.autograd.grad(found, inputs, torch.stack([weigh, 2 * weigh]), is_grads_batched=True, retain_graph=True)
    assert all(torch.allclose(a[1], 2 * b, atol=1e-12) for a, b in zip(many, theirs, strict=True))
    twice = [torch.autograd.grad(sum(g.pow(2).sum() for g in each), inputs) for each in (ours, theirs)]
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*twice, strict=True))


def test_attention_without_what_is_dropped() -> None:
    """On average over many draws it is the attention without dropout."""
    layout = Layout.ragged((4, 4, 9))
    inputs = [drawn(17, 2, 8, seed=seed) for seed in range(3)]
    torch.manual_seed(0)
    mean = sum(attend(inputs[0], inputs[1], inputs[2], layout, dropout=0.2) for _ in range(3000)) / 3000
    assert isinstance(mean, Tensor)
    assert (mean - attend(inputs[0], inputs[1], inputs[2], layout)).abs().max() < 0.06
