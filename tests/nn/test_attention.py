"""The kernels equal the written-out attention, values and gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.nn import functional as F

from electra.batch import Layout
from electra.nn import attention
from electra.nn.attention import attend, attend_eager, attend_padded_copy, groups_of


def heads(tokens: int, seed: int) -> torch.Tensor:
    drawn = torch.randn(tokens, 2, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.requires_grad_()


def row_by_row(layout: Layout, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
    """Each row alone, by the twin."""
    rows = zip(*(layout.split(t) for t in (q, k, v)), strict=True)
    return torch.cat(
        [
            attend_eager(*(t.transpose(0, 1)[None] for t in row), None, causal=causal)[0][0].transpose(0, 1)
            for row in rows
        ]
    )


@pytest.mark.parametrize("kernel", [attend, attend_padded_copy])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [(5,), (4, 4, 4), (3, 7, 7, 1, 3)])
def test_ragged_rows(lengths: tuple[int, ...], causal: bool, kernel: Callable[..., torch.Tensor]) -> None:
    layout = Layout.ragged(lengths)
    ours, twin = ([heads(layout.tokens, seed) for seed in range(3)] for _ in range(2))
    weigh = heads(layout.tokens, 9).detach()
    a, b = kernel(*ours, layout, causal=causal), row_by_row(layout, *twin, causal)
    assert torch.allclose(a, b, atol=1e-12)
    (a * weigh).sum().backward()
    (b * weigh).sum().backward()
    assert all(torch.allclose(x.grad, y.grad, atol=1e-12) for x, y in zip(ours, twin, strict=True))


@pytest.mark.parametrize("behind", [0, 3])
def test_short_rows_of_nearly_equal_length_share_a_call(behind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, calls = (9, 2, 8, 31, 7, 30, 5, 9, 6, 1), []
    kernel = F.scaled_dot_product_attention
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda *a, **k: calls.append(a[0].shape) or kernel(*a, **k))
    monkeypatch.setattr(attention, "PAIRS_FOR_A_CALL", 2 * (81 * 8 - 64 - 49 - 25 - 36 - 4 - 1))
    groups_of.cache_clear()
    layout = Layout.ragged(lengths)
    ours, twin = ([heads(layout.tokens + behind, seed) for seed in range(3)] for _ in range(2))
    weigh = heads(layout.tokens, 9).detach()
    a, b = attend(*ours, layout), row_by_row(layout, *(t[: layout.tokens] for t in twin), causal=False)
    assert [tuple(shape[:3]) for shape in calls] == [(2, 2, 31), (8, 2, 9)]
    assert torch.allclose(a[: layout.tokens], b, atol=1e-12)
    assert not a[layout.tokens :].any()
    (a[: layout.tokens] * weigh).sum().backward()
    (b * weigh).sum().backward()
    assert all(torch.allclose(x.grad, y.grad, atol=1e-12) for x, y in zip(ours, twin, strict=True))


def test_rows_are_put_together_until_padding_costs_more_than_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "PAIRS_FOR_A_CALL", 100)
    groups_of.cache_clear()
    # 10 * 10 - 9 * 9 pairs are 19, - 8 * 8 are 36, - 7 * 7 are 51: the next row of 7 does not fit in
    assert groups_of((7, 10, 9, 8, 10), heads=1).shapes == ((4, 10), (1, 7))
    assert groups_of((7, 10, 9, 8, 10), heads=2).shapes == ((3, 10), (2, 8))
    assert groups_of((3, 3, 3), heads=1).masks == (None,)
    groups_of.cache_clear()


def test_a_batch_that_was_first_seen_without_gradients_trains_all_the_same() -> None:
    layout = Layout.ragged((5, 4, 3, 2, 6, 1))
    q, k, v = (heads(layout.tokens, seed) for seed in range(3))
    with torch.inference_mode():
        attend(q, k, v, layout)
    assert torch.autograd.gradcheck(lambda *given: attend(*given, layout), (q, k, v))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", ["none", "keys", "pairs", "added"])
def test_grids(kind: str, causal: bool) -> None:
    mask = {
        "none": None,
        "keys": torch.arange(6) < torch.tensor([6, 2, 4])[:, None],
        "pairs": torch.ones(3, 1, 6, 6, dtype=torch.bool).tril(2),
        "added": torch.randn(3, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4)),
    }[kind]
    layout = Layout.of_grid(3, 6, mask)
    ours, twin = ([heads(18, seed) for seed in range(3)] for _ in range(2))
    weigh = heads(18, 9).detach()
    a = attend(*ours, layout, causal=causal)
    grids = (t.unflatten(0, (3, 6)).transpose(1, 2) for t in twin)
    wide = mask[:, None, None] if kind == "keys" else mask
    b = attend_eager(*grids, wide, causal=causal)[0].transpose(1, 2).flatten(0, 1)
    assert torch.allclose(a, b, atol=1e-12)
    (a * weigh).sum().backward()
    (b * weigh).sum().backward()
    assert all(torch.allclose(x.grad, y.grad, atol=1e-12) for x, y in zip(ours, twin, strict=True))


def test_where_the_tokens_of_a_layout_are() -> None:
    """A grid and a ragged layout of the same rows say the same."""
    grid, ragged = Layout.of_grid(3, 4), Layout.ragged((4, 4, 4))
    for ask in ("first_tokens", "row_lengths", "last_tokens", "row_of_token", "positions"):
        assert torch.equal(getattr(grid, ask)(), getattr(ragged, ask)()), ask
    for ask in ("rows", "tokens", "longest", "lengths", "offsets"):
        assert getattr(grid, ask) == getattr(ragged, ask), ask
    assert torch.equal(grid.pad(torch.arange(12)), ragged.pad(torch.arange(12)))

    uneven = Layout.ragged((2, 1, 3))
    assert uneven.last_tokens().tolist() == [1, 2, 5]
    assert uneven.row_of_token().tolist() == [0, 0, 1, 2, 2, 2]
    assert uneven.positions().tolist() == [0, 1, 0, 0, 1, 2]
    assert uneven.pad(torch.arange(6), -1).tolist() == [[0, 1, -1], [2, -1, -1], [3, 4, 5]]
    assert uneven.pad(torch.arange(12).view(6, 2))[1].tolist() == [[4, 5], [0, 0], [0, 0]]
    assert uneven == Layout.ragged((2, 1, 3)) != Layout.ragged((1, 2, 3))


def test_a_layout_needs_rows() -> None:
    for lengths in ((), (3, 0)):
        with pytest.raises(ValueError, match="at least one token"):
            Layout.ragged(lengths)
