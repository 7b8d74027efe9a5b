"""Initial weights: as transformers samples them, and as Google's code does."""

from __future__ import annotations

import torch
from torch import nn


def initialize_module(module: nn.Module, std: float) -> None:
    """Initialise one module's own parameters, in place, as transformers does.

    Args:
        module: matrices become N(0, std^2), biases 0, the weight of LayerNorm 1 and its bias 0; others stay.
        std: `config.initializer_range`.
    """
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, 0.0, std)
        if module.padding_idx is not None:
            with torch.no_grad():  # the vector of padding is 0 and has no gradient
                module.weight[module.padding_idx].zero_()
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)


def initialize_like_google(model: nn.Module, std: float, generator: torch.Generator | None = None) -> None:
    """Initialise all parameters, in place, as google-research/electra does for pretraining.

    | parameter                                                | distribution                                |
    |----------------------------------------------------------|---------------------------------------------|
    | embeddings, encoder matrices, first layers of both heads | normal, truncated at two standard deviations|
    | embeddings_project, the discriminator's last layer       | Glorot uniform (TensorFlow's default)       |
    | biases; LayerNorm                                        | 0; 1 and 0                                  |

    (model/modeling.py create_initializer; run_pretraining.py.)

    Args:
        model: a network.
        std: standard deviation of the truncated normal distribution, before it is truncated; 0.02 in Google's code.
        generator: source of the random numbers, used in the order of the modules. None: torch's.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            if name.rsplit(".", 1)[-1] in ("embeddings_project", "dense_prediction"):
                nn.init.xavier_uniform_(module.weight, generator=generator)
            else:
                _truncated_normal(module.weight, std, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            _truncated_normal(module.weight, std, generator)


def _truncated_normal(weight: torch.Tensor, std: float, generator: torch.Generator | None) -> None:
    nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=generator)
