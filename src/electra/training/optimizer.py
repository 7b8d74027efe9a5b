"""Google's Adam and its learning rate: what ELECTRA was trained with, here and in fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

# optimization.py of google-research/electra: these are recognised by name, wherever in the network they are
NAMES_WITHOUT_DECAY = ("LayerNorm", "layer_norm", "bias")

# torch's AdamW divides m by 1 - beta1^t and v by 1 - beta2^t. Google's Adam does not. With a count of steps this large
# both are exactly 1 for betas up to 0.99999, and a float32 counts on from here (or stands still at 2^24: no harm).
UNCORRECTED = 2.0**23


def linear_schedule(step: int, *, rate: float, steps: int, warmup_steps: int = 0, power: float = 1.0) -> float:
    """The learning rate of update `step`, from 0: `rate * (1 - step / steps)^power * min(1, step / warmup_steps)`.

    Warm-up and decay multiply, as in Google's optimization.py, so the first update has rate 0 when there is a warm-up,
    and the highest rate is `rate * (1 - warmup_steps / steps)`. From step `steps` on it is 0.
    """
    decay: float = (1.0 - min(step, steps) / steps) ** power
    warmup = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return rate * decay * warmup


def decays(name: str) -> bool:
    """Whether weight decay applies to the parameter of this name: not to biases and LayerNorms."""
    return not any(part in name for part in NAMES_WITHOUT_DECAY)


class Adam:
    """Adam without bias correction, as Google trains ELECTRA, computed by torch's own (fused) AdamW.

    For every parameter p with gradient g, all in the parameter's dtype:

        m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
        p <- p - rate (m / (sqrt(v) + epsilon) + weight_decay p)

    The decay term is left out for biases and LayerNorms (`decays`). A parameter without a gradient is left as it is.

    Args:
        named_parameters: what `module.named_parameters()` gives: a shared parameter comes once.
        betas: how much of m and of v is kept from one step to the next.
        epsilon: added to the root of v, not under it.
        weight_decay: multiplied by the learning rate.
        multiplier: name -> the factor on the learning rate of that parameter (for layer-wise rates); by default 1.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Parameter]],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-6,
        weight_decay: float = 0.01,
        multiplier: Callable[[str], float] = lambda name: 1.0,
    ) -> None:
        self.parameters = {name: parameter for name, parameter in named_parameters if parameter.requires_grad}
        if not self.parameters:
            raise ValueError("there is nothing to train: no parameter has requires_grad=True")
        groups: dict[tuple[float, float], list[Parameter]] = {}
        for name, parameter in self.parameters.items():
            groups.setdefault((weight_decay if decays(name) else 0.0, multiplier(name)), []).append(parameter)
        self._multipliers = [factor for _, factor in groups]
        self._adam = torch.optim.AdamW(
            [{"params": members, "weight_decay": decay} for (decay, _), members in groups.items()],
            lr=0.0,
            betas=betas,
            eps=epsilon,
            fused=True,
        )
        for parameter in self.parameters.values():
            self._adam.state[parameter] = {
                "step": torch.full((), UNCORRECTED, dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }

    def clip(self, norm: float) -> Tensor:
        """Scale all gradients so that their global norm is at most `norm`; the norm before, [], on the device."""
        return torch.nn.utils.clip_grad_norm_(self.parameters.values(), norm)

    def step(self, rate: float) -> None:
        """Change every parameter by one update at this learning rate."""
        for group, factor in zip(self._adam.param_groups, self._multipliers, strict=True):
            group["lr"] = rate * factor
        self._adam.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._adam.zero_grad(set_to_none=True)

    def moments(self) -> dict[str, Tensor]:
        """All there is to save: `<parameter>.m` and `<parameter>.v` by name; the optimizer's own tensors, no copies."""
        found: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            found[f"{name}.m"] = self._adam.state[parameter]["exp_avg"]
            found[f"{name}.v"] = self._adam.state[parameter]["exp_avg_sq"]
        return found

    @torch.no_grad()
    def load_moments(self, moments: Mapping[str, Tensor]) -> None:
        """Set m and v of every parameter from tensors named as `moments` names them, each of its parameter's shape.

        Raises:
            ValueError: a tensor is missing, unknown or of another shape; the message names it.
        """
        own = self.moments()
        missing, unknown = sorted(own.keys() - moments.keys()), sorted(moments.keys() - own.keys())
        if missing or unknown:
            raise ValueError(
                "this optimizer state is of another model: "
                f"missing {missing or 'nothing'}, unknown {unknown or 'nothing'}"
            )
        for name, tensor in own.items():
            if tensor.shape != moments[name].shape:
                raise ValueError(
                    f"the optimizer state {name} has shape {list(moments[name].shape)}, "
                    f"the parameter has {list(tensor.shape)}"
                )
            tensor.copy_(moments[name])
