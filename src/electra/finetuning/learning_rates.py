"""Learning rates: by the size of the model, by its layers, by the step."""

from __future__ import annotations

import re
from dataclasses import dataclass

from electra.training.optimizer import linear_schedule

# up to the first width the paper's rates of the small model hold, from the second on those of the large one
SMALL_HIDDEN_SIZE, LARGE_HIDDEN_SIZE = 256, 1024


@dataclass(frozen=True)
class Rates:
    """How fast which layer learns at which step.

    Attributes:
        rate: the highest learning rate, that of the head.
        layer_decay: factor on the rate from each layer to the one below.
        even: the encoder's last layer has the decay once; False: twice, as in Google's code.
        warmup: the share of the steps over which the rate rises.
    """

    rate: float
    layer_decay: float = 1.0
    even: bool = False
    warmup: float = 0.1

    def of_layer(self, name: str, layers: int) -> float:
        """The factor on the rate for a parameter of a model with so many layers."""
        return layer_multiplier(name, layers, self.layer_decay, even=self.even)

    def at(self, step: int, steps: int) -> float:
        """The rate of a step, counted from 0, of so many."""
        return linear_schedule(step, rate=self.rate, steps=steps, warmup_steps=round(self.warmup * steps))


def usual_rates(hidden_size: int) -> tuple[float, float]:
    """The rate and the layer decay for a model of this width, as in the paper's table 7.

    Google's configure_finetuning.py has the same, but 1e-4 for the small model too.
    """
    if hidden_size >= LARGE_HIDDEN_SIZE:
        return 5e-5, 0.9
    return (3e-4 if hidden_size <= SMALL_HIDDEN_SIZE else 1e-4), 0.8


def layer_multiplier(name: str, layers: int, decay: float, *, even: bool = False) -> float:
    """The factor on the learning rate for a parameter: `decay ** (layers + 2 - depth)`; 1 for the head.

    depth: 0 for the embeddings and their projection, i + 1 for encoder layer i. The exponent is Google's
    (model/optimization.py): the encoder's last layer has decay squared, as if a layer stood between it and the head.
    `even`: one less, so that it has decay to the first, and every layer is slower by the same factor than the next.
    """
    found = re.search(r"\bencoder\.layer\.(\d+)\.", name)
    if found:
        depth = int(found[1]) + 1
    elif re.search(r"\bembeddings(_project)?\.", name):
        depth = 0
    else:
        return 1.0
    return decay ** (layers + (1 if even else 2) - depth)
