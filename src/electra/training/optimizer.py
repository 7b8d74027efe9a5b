"""Google's Adam and its learning rate schedule, with which ELECTRA is pretrained and fine-tuned"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adamw import adamw

# optimization.py of google-research/electra recognises them by name, wherever in the network they are
NAMES_WITHOUT_DECAY = ("LayerNorm", "layer_norm", "bias")

# torch's AdamW divides m by 1 - beta1^t and v by 1 - beta2^t. Google's Adam does not. With a step count this large
# both are exactly 1 for betas up to 0.99999. A float32 can count on from here; that it stops at 2^24 does no harm.
UNCORRECTED = 2.0**23


def linear_schedule(step: int, *, rate: float, steps: int, warmup_steps: int = 0, power: float = 1.0) -> float:
    """The learning rate of update `step`, from 0: `rate * (1 - step / steps)^power * min(1, step / warmup_steps)`.

    Warm-up and decay multiply, as in Google's optimization.py, so with a warm-up the first update has learning rate 0,
    and the highest is `rate * (1 - warmup_steps / steps)`. From step `steps` on it is 0.
    """
    decay: float = (1.0 - min(step, steps) / steps) ** power
    warmup = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return rate * decay * warmup


def decays(name: str) -> bool:
    """Whether weight decay applies to the parameter of this name: not to biases and LayerNorms."""
    return not any(part in name for part in NAMES_WITHOUT_DECAY)


@dataclass
class _Group:
    """Parameters with the same decay and factor on the learning rate, their moments and torch's step counts."""

    weight_decay: float
    factor: float
    parameters: list[Parameter] = field(default_factory=list)
    m: list[Tensor] = field(default_factory=list)
    v: list[Tensor] = field(default_factory=list)
    counts: list[Tensor] = field(default_factory=list)

    def add(self, parameter: Parameter) -> None:
        self.parameters.append(parameter)
        self.m.append(torch.zeros_like(parameter, memory_format=torch.preserve_format))
        self.v.append(torch.zeros_like(parameter, memory_format=torch.preserve_format))
        self.counts.append(torch.full((), UNCORRECTED, dtype=torch.float32, device=parameter.device))


class Adam:
    """Adam without bias correction, as Google trains ELECTRA, computed by torch's own fused AdamW.

    For every parameter p with gradient g, all in the parameter's dtype:

        m <- beta1 m + (1 - beta1) g        v <- beta2 v + (1 - beta2) g^2
        p <- p - rate (m / (sqrt(v) + epsilon) + weight_decay p)

    There is no decay for biases and LayerNorms (`decays`). A parameter without a gradient is not changed.

    Args:
        named_parameters: `module.named_parameters()`, in which a shared parameter comes once.
        betas: the decay rates of m and of v.
        epsilon: added to the square root of v, not under it.
        weight_decay: multiplied by the learning rate.
        multiplier: name -> the factor on that parameter's learning rate (for layer-wise learning rates); default 1.

    Raises:
        ValueError: no parameter has requires_grad=True.
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
        self._betas, self._epsilon = betas, epsilon
        self._groups: dict[tuple[float, float], _Group] = {}
        for name, parameter in self.parameters.items():
            key = (weight_decay if decays(name) else 0.0, multiplier(name))
            self._groups.setdefault(key, _Group(*key)).add(parameter)

    def clip(self, norm: float) -> Tensor:
        """Scale all gradients so that their global norm is at most `norm`; the norm before, [], on the device."""
        return torch.nn.utils.clip_grad_norm_(self.parameters.values(), norm)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update every parameter once, with this learning rate."""
        for group in self._groups.values():
            used = [i for i, parameter in enumerate(group.parameters) if parameter.grad is not None]
            # Not the class torch.optim.AdamW, because making one imports torch's compiler: a second of CPU.
            adamw(
                [group.parameters[i] for i in used],
                [grad for parameter in group.parameters if (grad := parameter.grad) is not None],
                [group.m[i] for i in used],
                [group.v[i] for i in used],
                [],
                [group.counts[i] for i in used],
                fused=True,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=rate * group.factor,
                weight_decay=group.weight_decay,
                eps=self._epsilon,
                maximize=False,
            )

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def moments(self) -> dict[str, Tensor]:
        """The state to save, `<parameter>.m` and `<parameter>.v` by name; the optimizer's own tensors, not copies."""
        names = {id(parameter): name for name, parameter in self.parameters.items()}
        tensors: dict[str, Tensor] = {}
        for group in self._groups.values():
            for parameter, m, v in zip(group.parameters, group.m, group.v, strict=True):
                tensors |= {f"{names[id(parameter)]}.m": m, f"{names[id(parameter)]}.v": v}
        return tensors

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
                f"this optimizer state is of another model: missing {_some(missing)}, unknown {_some(unknown)}"
            )
        for name, tensor in own.items():
            if tensor.shape != moments[name].shape:
                raise ValueError(
                    f"the optimizer state {name} has shape {list(moments[name].shape)}, "
                    f"the parameter has {list(tensor.shape)}"
                )
            tensor.copy_(moments[name])


def _some(names: list[str], most: int = 5) -> str:
    shown = ", ".join(names[:most]) or "nothing"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
