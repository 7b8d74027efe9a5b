"""The masking law, against what Google's code did on 9,600 rows of each kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from electra import Batch, Masking, Row
from electra.batch import Layout

SPECIAL, MASK = (1, 2, 3), 3


def rows_of(lengths: list[int], seed: int = 0) -> Batch:
    numbers = torch.Generator().manual_seed(seed)
    rows = [[1, *torch.randint(4, 500, (n - 2,), generator=numbers).tolist(), 2] for n in lengths]
    return Batch.from_rows([Row(ids) for ids in rows])


def uniforms_of(batch: Batch, seed: int = 1) -> torch.Tensor:
    return torch.rand(len(batch.input_ids), 3, generator=torch.Generator().manual_seed(seed))


def test_how_many_are_chosen_and_that_they_are_distinct_and_ordinary() -> None:
    lengths = [3, 10, 20, 30, 128, 512]
    batch = rows_of(lengths)
    masked = Masking()(batch, uniforms_of(batch), SPECIAL, MASK)
    row = batch.layout.row_of_token()[masked.positions]
    assert row.bincount().tolist() == [1, 2, 3, 4, 19, 77]  # round half to even: 0.15 * 30 = 4.5 -> 4
    assert len(masked.positions.unique()) == len(masked.positions)
    assert not torch.isin(masked.original_ids, torch.tensor(SPECIAL)).any()
    assert torch.equal(masked.original_ids, batch.input_ids[masked.positions])
    unchosen = torch.ones(len(batch.input_ids), dtype=torch.bool).index_fill(0, masked.positions, False)
    assert torch.equal(masked.input_ids[unchosen], batch.input_ids[unchosen])
    capped = Masking(max_predictions=5)(batch, uniforms_of(batch), SPECIAL, MASK)
    assert batch.layout.row_of_token()[capped.positions].bincount().tolist() == [1, 2, 3, 4, 5, 5]


def test_a_row_is_masked_alike_in_any_batch() -> None:
    batch = rows_of([40, 7, 90])
    uniforms = uniforms_of(batch)
    together = Masking()(batch, uniforms, SPECIAL, MASK)
    ids, parts = batch.layout.split(batch.input_ids), batch.layout.split(uniforms)
    alone = [
        Masking()(Batch.from_rows([Row(i.tolist())]), u, SPECIAL, MASK).input_ids
        for i, u in zip(ids, parts, strict=True)
    ]
    assert torch.equal(together.input_ids, torch.cat(alone))


def test_padding_is_never_chosen_and_does_not_count() -> None:
    batch = rows_of([20, 10])
    ids, mask = batch.padded()
    layout = Layout.of_grid(2, 20, mask.bool())
    grid = Batch(ids.flatten(), torch.zeros(40, dtype=torch.int64), layout.positions(), layout)
    masked = Masking()(grid, uniforms_of(grid), SPECIAL, MASK)
    assert (masked.positions // 20).bincount().tolist() == [3, 2]
    assert mask.flatten()[masked.positions].all()


def test_the_law_equals_google_s_counts(shared: Path) -> None:
    kinds = json.loads((shared / "fixtures/tf1/reference/masking_stats.json").read_text())
    for kind in kinds:
        if len(kind["lens"]) != 1:
            continue
        length = kind["max_seq_length"]
        batch = rows_of([length] * 600)
        law = Masking(kind["mask_prob"], max_predictions=kind["N"], with_replacement=True)
        masked = law(batch, uniforms_of(batch), SPECIAL, MASK)
        assert len(masked.positions) / 600 == pytest.approx(kind["draws"] / kind["rows"])
        distinct, times = masked.positions.unique(return_counts=True)
        assert len(distinct) / 600 == pytest.approx(kind["distinct"] / kind["rows"], rel=0.005)
        again = (times > 1).float().mean().item()
        assert again == pytest.approx(kind["dup_positions_over_distinct"], abs=0.008)
        shown = (masked.input_ids[distinct] == MASK).float().mean().item()
        assert shown == pytest.approx(kind["mask_token_share_of_distinct"], abs=0.01)
        ours = Masking(kind["mask_prob"], max_predictions=kind["N"])(batch, uniforms_of(batch), SPECIAL, MASK)
        assert len(ours.positions) == len(masked.positions)


@pytest.mark.parametrize("wrong", [{"fraction": 0}, {"fraction": 1.2}, {"max_predictions": 0}])
def test_impossible_laws_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Masking(**wrong)  # type: ignore[arg-type]


def test_a_row_with_nothing_to_choose_has_nothing_chosen() -> None:
    batch = Batch.from_rows([Row([1, 2]), Row([1, 9, 2])])
    for law in (Masking(), Masking(with_replacement=True)):
        assert law(batch, uniforms_of(batch), SPECIAL, MASK).positions.tolist() == [3]
