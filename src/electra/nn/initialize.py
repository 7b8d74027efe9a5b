"""Fresh weights."""

from __future__ import annotations

import torch
from torch import nn


def initialize_module(module: nn.Module, deviation: float) -> None:
    """One module's own parameters as transformers draws them: N(0, deviation), biases 0, LayerNorm 1 and 0."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, deviation)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, 0.0, deviation)
        if module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def initialize_like_google(model: nn.Module, deviation: float, generator: torch.Generator | None = None) -> None:
    """All parameters as google-research/electra draws them for pretraining.

    | parameter                                                        | law                                        |
    |------------------------------------------------------------------|--------------------------------------------|
    | embeddings, encoder matrices, first layers of both heads         | normal, cut at two deviations (0.02)       |
    | embeddings_project, the discriminator's last layer               | Glorot uniform (TensorFlow's default)      |
    | biases; LayerNorm                                                | 0; 1 and 0                                 |

    (model/modeling.py create_initializer; run_pretraining.py.) generator: where the numbers come from; the module
    order alone decides who gets which.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            if name.rsplit(".", 1)[-1] in ("embeddings_project", "dense_prediction"):
                nn.init.xavier_uniform_(module.weight, generator=generator)
            else:
                _cut_normal(module.weight, deviation, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            _cut_normal(module.weight, deviation, generator)


def _cut_normal(weight: torch.Tensor, deviation: float, generator: torch.Generator | None) -> None:
    nn.init.trunc_normal_(weight, 0.0, deviation, -2 * deviation, 2 * deviation, generator=generator)
