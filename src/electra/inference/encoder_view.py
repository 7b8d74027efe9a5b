"""A model's encoder as heads see it, computed by an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from electra.inference.head_kernels import HeadKernels, with_kernels
from electra.models import ElectraModel


class EngineEncoder(ElectraModel):
    """An ElectraModel that shares another's modules, and asks an engine first."""

    _engine: Any

    def encode(self, batch: Any, inputs_embeds: Tensor | None = None, way: Any = None) -> Tensor:
        if inputs_embeds is None and _is_plain(way):
            first = way is not None and way.narrowed is not None
            hidden: Tensor | None = self._engine.encode(batch, first=first)
            if hidden is not None:
                return hidden
        return super().encode(batch, inputs_embeds, way)


def _is_plain(way: Any) -> bool:
    """Whether a forward pass gives hidden states of the last layer and nothing else."""
    if way is None:
        return True
    asks = way.causal or way.cache is not None or way.memory is not None or way.keep_weights or way.keep_hidden
    return not asks and not way.plainly


def view_of(
    model: nn.Module, encoder: nn.Module, engine: Any, heads: HeadKernels | None, threads: Callable[[], int]
) -> Any:
    """A model that shares the given one's attributes and modules; its encoder and its heads compute by kernels."""
    fast = EngineEncoder.__new__(EngineEncoder)
    vars(fast).update(vars(encoder))
    vars(fast)["_engine"] = engine
    if model is encoder:
        return fast
    view = type(model).__new__(type(model))
    vars(view).update(vars(model))
    vars(view)["_modules"] = {
        name: fast if m is encoder else m if m is None or heads is None else with_kernels(m, heads, threads)
        for name, m in model._modules.items()
    }
    return view
