"""Methods of the models that are there for transformers' callers only, its Trainer and PEFT among them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


class CompatibilityMethods(nn.Module):
    """Names that transformers' models have, and that nothing in this package uses."""

    supports_gradient_checkpointing = True
    main_input_name = "input_ids"
    _require_grads_hook: RemovableHandle | None = None

    @property
    def dummy_inputs(self) -> dict[str, torch.Tensor]:
        """A call that every network of at least ten tokens takes: ids int64 [2, 5]."""
        return {"input_ids": torch.tensor([[1, 2, 3, 4, 5], [9, 8, 7, 6, 0]])}

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """How many bytes the parameters take, and the buffers."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: dict[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """`gradient_checkpointing_enable` under its name since transformers 5.23, by which its Trainer calls it.

        Raises:
            ValueError: every_n_layers or offload is not its default.
        """
        if every_n_layers != 1 or offload:
            raise ValueError(
                f"every_n_layers={every_n_layers}, offload={offload}: every layer is computed again, and what is kept "
                "stays where it is; leave them at 1 and False"
            )
        self.gradient_checkpointing_enable(activation_checkpointing_kwargs)

    def activation_checkpointing_disable(self) -> None:
        """`gradient_checkpointing_disable` under its newer name."""
        self.gradient_checkpointing_disable()

    @property
    def is_activation_checkpointing(self) -> bool:
        """`is_gradient_checkpointing` under its newer name."""
        return self.is_gradient_checkpointing

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Recompute layers in the backward pass."""
        raise NotImplementedError

    def gradient_checkpointing_disable(self) -> None:
        """Keep what layers compute."""
        raise NotImplementedError

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether layers are recomputed."""
        raise NotImplementedError

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings."""
        raise NotImplementedError

    def enable_input_require_grads(self) -> None:
        """Let the output of the word embeddings require a gradient, even if everything before it is frozen."""
        self.disable_input_require_grads()
        self._require_grads_hook = self.get_input_embeddings().register_forward_hook(_require_grad)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        if self._require_grads_hook is not None:
            self._require_grads_hook.remove()
        self._require_grads_hook = None


def _require_grad(_: nn.Module, __: Any, output: torch.Tensor) -> None:
    output.requires_grad_(True)
