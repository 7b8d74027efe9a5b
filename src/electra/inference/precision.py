"""Precisions, and the choice of the fastest one whose answers are close to those of float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from electra.batch import Batch

FASTEST_FIRST = ("int8", "bfloat16", "float32")
AUTO_BOUND = 0.03
"""auto: how much the answers may differ from those in float32: the root of the mean square of the differences, as a
fraction of that of the answers."""

_SAMPLE_LENGTHS = (64, 48, 40, 32, 24, 16, 12, 8, 5, 3)


def sample_batch(config: Any) -> Batch:
    """A few hundred random tokens in sequences of several lengths: always the same ones."""
    from electra.batch import Batch, Row

    random = torch.Generator().manual_seed(0)
    longest = config.max_position_embeddings
    lengths = [min(length, longest) for length in _SAMPLE_LENGTHS]
    return Batch.from_rows(
        [Row(torch.randint(config.vocab_size, (length,), generator=random).tolist()) for length in lengths]
    )


def relative_difference(outputs: Any, reference: Any) -> float:
    """How much a model's outputs differ from others: the largest over its tensors, as `AUTO_BOUND` says."""
    worst = 0.0
    for name, expected in reference.items():
        if not isinstance(expected, Tensor) or not expected.is_floating_point():
            continue
        scale = expected.float().square().mean().sqrt()
        difference = (outputs[name].float() - expected.float()).square().mean().sqrt() / scale.clamp(min=1e-12)
        worst = max(worst, float(difference)) if difference == difference else float("inf")
    return worst
