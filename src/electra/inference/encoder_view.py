"""A model's encoder as heads see it, computed by an engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from electra.inference.head_kernels import HeadKernels, with_kernels
from electra.models import ElectraModel
from electra.nn.encoder import ForwardContext

if TYPE_CHECKING:
    from electra.batch import Batch


class EngineEncoder(ElectraModel):
    """An ElectraModel that shares another's modules, and asks an engine first."""

    _engine: Any

    def encode(
        self, batch: Batch, inputs_embeds: Tensor | None = None, context: ForwardContext | None = None
    ) -> Tensor:
        """As ElectraModel.encode: by kernels if the engine can compute what is asked for, else by torch."""
        if inputs_embeds is None and _is_plain(context):
            first = context is not None and context.first_token_layer is not None
            hidden: Tensor | None = self._engine.encode(batch, first=first)
            if hidden is not None:
                return hidden
        return super().encode(batch, inputs_embeds, context)


def _is_plain(context: ForwardContext | None) -> bool:
    """Whether a forward pass gives the last layer's hidden states and records nothing else."""
    if context is None:
        return True
    recorded = context.keep_attentions or context.keep_hidden_states
    return not (context.causal or context.eager or context.needs_padded or recorded)


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
