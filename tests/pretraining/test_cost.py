"""Counted operations: those of the paper's sizes, and those that torch counts when the networks run."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from electra.batch import Batch, Layout
from electra.config import ElectraConfig
from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.objective.masking import Masking
from electra.objective.replaced_token_detection import ReplacedTokenDetection
from electra.pretraining.cost import effective_length, encoder_flops, step_flops, vocabulary_head_flops
from tests.parity.twins import SIZES

ROWS, LENGTH = 3, 20


@pytest.mark.parametrize(
    ("size", "length", "mask_fraction", "generator_fraction", "millions"),
    [("small", 128, 0.15, 0.25, 70.2), ("base", 512, 0.15, 1 / 3, 668), ("large", 512, 0.25, 0.25, 2169)],
)
def test_the_paper_s_sizes_cost_what_is_known(
    size: str, length: int, mask_fraction: float, generator_fraction: float, millions: float
) -> None:
    """Computed by hand from the architecture, forward and twice that backward."""
    shape = ElectraConfig.preset(size)
    found = step_flops(
        generator=shape.generator(generator_fraction), discriminator=shape, length=length, mask_fraction=mask_fraction
    )
    assert found / 1e6 == pytest.approx(millions, rel=1e-3)


def test_it_is_what_torch_counts() -> None:
    shape = ElectraConfig(**SIZES)
    networks = ReplacedTokenDetection(
        ElectraForMaskedLM(shape.generator(0.5)),
        ElectraForPreTraining(shape),
        mask_token_id=4,
        special_token_ids=(2, 3),
    ).eval()
    layout = Layout.of_grid(ROWS, LENGTH)
    ids = torch.randint(5, shape.vocab_size, (ROWS * LENGTH,))
    batch = Batch(ids, torch.zeros_like(ids), layout.positions(), layout)
    masked = Masking(fraction=0.25)(batch, torch.rand(len(ids), 3), (2, 3), 4)
    # torch counts the products of attention where they are ordinary ones
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        networks(batch, masked=masked)
    share = len(masked.positions) / len(ids)
    assert share == pytest.approx(0.25)
    found = step_flops(generator=networks.generator.config, discriminator=shape, length=LENGTH, mask_fraction=share)
    assert counter.get_total_flops() / len(ids) == pytest.approx(found / 3)


def test_one_network_alone() -> None:
    shape = ElectraConfig.preset("small")
    alone = step_flops(generator=shape, discriminator=None, length=128, mask_fraction=0.15)
    assert alone == 3 * (encoder_flops(shape, 128) + 0.15 * vocabulary_head_flops(shape))


def test_rows_of_many_lengths() -> None:
    assert effective_length([128, 128]) == 128
    assert effective_length([10, 30]) == 25  # 1,000 pairs of tokens for 40 tokens
