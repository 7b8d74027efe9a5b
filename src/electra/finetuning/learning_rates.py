"""Learning rates: by the size of the model, by layer, by step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from electra.training.optimizer import linear_schedule

# up to the first width the paper's values of the small model apply, from the second one those of the large model
SMALL_HIDDEN_SIZE, LARGE_HIDDEN_SIZE = 256, 1024


@dataclass(frozen=True)
class Rates:
    """The learning rate of each layer at each step.

    Attributes:
        rate: the peak learning rate, that of the head.
        layer_decay: factor on the learning rate from each layer to the one below.
        even: the encoder's last layer has the decay once; False: twice, as in Google's code.
        warmup: the fraction of the steps over which the learning rate rises.
        warmup_steps: the number of these steps, in place of the fraction.
    """

    rate: float
    layer_decay: float = 1.0
    even: bool = False
    warmup: float = 0.1
    warmup_steps: int | None = None

    def of_layer(self, name: str, layers: int) -> float:
        """The factor on the learning rate for a parameter.

        Args:
            name: the parameter's name.
            layers: how many layers the encoder has.
        """
        return layer_multiplier(name, layers, self.layer_decay, even=self.even)

    def schedule(self, steps: int) -> Callable[[int], float]:
        """The learning rate of a step, counted from 0, in a fit of `steps`."""
        warmup_steps = round(self.warmup * steps) if self.warmup_steps is None else self.warmup_steps
        return partial(linear_schedule, rate=self.rate, steps=steps, warmup_steps=warmup_steps)

    def at(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, out of `steps`."""
        return self.schedule(steps)(step)


def usual_rates(hidden_size: int) -> tuple[float, float]:
    """The learning rate and the layer decay for a model of this width (Clark et al. 2020, table 7).

    Google's configure_finetuning.py has the same, but 1e-4 for the small model too.
    """
    if hidden_size >= LARGE_HIDDEN_SIZE:
        return 5e-5, 0.9
    return (3e-4 if hidden_size <= SMALL_HIDDEN_SIZE else 1e-4), 0.8


def layer_multiplier(name: str, layers: int, decay: float, *, even: bool = False) -> float:
    """The factor on the learning rate for a parameter: `decay ** (layers + 2 - depth)`; 1 for the head.

    Args:
        name: the parameter's name; it decides the depth: 0 for the embeddings and their projection, i + 1 for encoder
            layer i.
        layers: how many layers the encoder has.
        decay: factor from each layer to the one below.
        even: the exponent is one less, so that the encoder's last layer has the decay once and every layer is slower
            by the same factor than the next. By default it is Google's (model/optimization.py): the last layer has the
            decay squared, as if a layer stood between it and the head.
    """
    layer = re.search(r"\bencoder\.layer\.(\d+)\.", name)
    if layer:
        depth = int(layer[1]) + 1
    elif re.search(r"\bembeddings(_project)?\.", name):
        depth = 0
    else:
        return 1.0
    return decay ** (layers + (1 if even else 2) - depth)
