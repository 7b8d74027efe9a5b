"""The sizes of the paper, and one for laptops."""

from __future__ import annotations

from typing import Any

# Table 6 of the paper and google-research/electra util/training_utils.py: heads = hidden / 64, FFN = 4 x hidden.
# `tiny` is ours, for laptops, tests and the quickstart. Its weights start wider: at 128 units, 0.02 leaves attention
# uniform for so long that a run of a few thousand steps learns next to nothing from context.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "num_hidden_layers": 4,
        "hidden_size": 128,
        "embedding_size": 64,
        "generator_hidden_size": 0.25,
        "initializer_range": 0.05,
    },
    "small": {"num_hidden_layers": 12, "hidden_size": 256, "embedding_size": 128, "generator_hidden_size": 0.25},
    # the published small discriminator, whose generator is as wide as it (google-research/electra README and issue 39)
    "small++": {"num_hidden_layers": 12, "hidden_size": 256, "embedding_size": 128, "generator_hidden_size": 1.0},
    "base": {"num_hidden_layers": 12, "hidden_size": 768, "embedding_size": 768, "generator_hidden_size": 1 / 3},
    "large": {"num_hidden_layers": 24, "hidden_size": 1024, "embedding_size": 1024, "generator_hidden_size": 0.25},
}
