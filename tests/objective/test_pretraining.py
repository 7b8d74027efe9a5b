"""Replaced token detection as a user meets it; its numbers are held against Google's in tests/parity."""

from __future__ import annotations

import pytest
import torch

from electra import Batch, ElectraConfig, ElectraForMaskedLM, ElectraForPreTraining, ReplacedTokenDetection, Row
from electra.objective.replaced_token_detection import sample
from tests.parity.twins import SIZES, redraw


def detection(**options: object) -> ReplacedTokenDetection:
    config = ElectraConfig(**SIZES)
    pair = ReplacedTokenDetection(
        ElectraForMaskedLM(config.generator(0.5)),
        ElectraForPreTraining(config),
        mask_token_id=4,
        special_token_ids=(2, 3),
        **options,  # type: ignore[arg-type]
    )
    redraw(pair)
    return pair


def test_samples_follow_the_distribution() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0, 2.0]]).expand(40_000, 4)
    numbers = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    for temperature in (1.0, 0.5):
        share = sample(logits, numbers, temperature).bincount(minlength=4) / 40_000
        expected = (logits[0] / temperature).softmax(-1)
        assert torch.allclose(share, expected, atol=0.01)
    edge = torch.tensor([2**-24, 1 - 2**-24])
    assert sample(torch.tensor([[-50.0, 0.0, -50.0]] * 2), edge).tolist() == [1, 1]


def test_embeddings_are_shared_and_the_generator_learns_from_its_own_loss_alone() -> None:
    pair = detection()
    own, shared = pair.generator.electra.embeddings, pair.discriminator.electra.embeddings
    assert own.word_embeddings.weight is shared.word_embeddings.weight is pair.generator.generator_lm_head.weight
    assert own.LayerNorm.bias is shared.LayerNorm.bias
    torch.manual_seed(0)
    batch = Batch.from_rows([Row([2, *range(5, 60), 3][:40]), Row([2, 9, 3])])
    pair(batch).discriminator_loss.backward()
    assert all(p.grad is None for p in pair.generator.electra.encoder.parameters())
    assert shared.word_embeddings.weight.grad is not None


def test_a_grid_equals_its_rows_and_labels_say_what_differs() -> None:
    pair = detection().eval()
    rows = [Row([2, *range(5, 30), 3]), Row([2, 9, 8, 7, 3])]
    batch = Batch.from_rows(rows)
    masked = pair.mask(batch, torch.rand(32, 3, generator=torch.Generator().manual_seed(3)))
    flat = pair(batch, masked=masked)
    assert torch.equal(flat.labels, (flat.corrupted_ids != batch.input_ids).long())
    assert 0 < flat.labels.sum() <= len(masked.positions)
    assert flat.loss.item() == pytest.approx((flat.generator_loss + 50 * flat.discriminator_loss).item())
    ids, mask = batch.padded()
    grid_mask = pair.mask(
        pair.discriminator.electra.batch(ids, mask), torch.rand(54, 3, generator=torch.Generator().manual_seed(3))
    )
    cells = mask.flatten().nonzero().squeeze(1)
    # the same places of the same rows, now in the grid
    grid_mask = type(masked)(
        input_ids=torch.zeros(54, dtype=torch.int64).index_copy(0, cells, masked.input_ids),
        positions=cells[masked.positions],
        original_ids=masked.original_ids,
        weights=masked.weights,
        uniforms=masked.uniforms,
    )
    grid = pair(ids, mask, masked=grid_mask)
    assert torch.equal(grid.sampled_ids, flat.sampled_ids)
    for name in ("generator_loss", "discriminator_loss", "loss"):
        assert getattr(grid, name).item() == pytest.approx(getattr(flat, name).item(), rel=1e-5)


def test_networks_that_cannot_share_are_refused_by_name() -> None:
    config = ElectraConfig(**SIZES)
    other = ElectraConfig(**{**SIZES, "embedding_size": 16})
    with pytest.raises(ValueError, match="embedding_size is 16 and the discriminator's 24"):
        ReplacedTokenDetection(ElectraForMaskedLM(other), ElectraForPreTraining(config))
    with pytest.raises(ValueError, match="temperature"):
        detection(temperature=0.0)


def test_without_knowing_the_mask_token_it_says_what_to_give() -> None:
    config = ElectraConfig(**SIZES)
    pair = ReplacedTokenDetection(ElectraForMaskedLM(config.generator()), ElectraForPreTraining(config))
    with pytest.raises(ValueError, match="tokenizer="):
        pair(torch.ones(1, 5, dtype=torch.int64))
