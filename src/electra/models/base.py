"""What all ELECTRA models share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn

from electra.config import ElectraConfig
from electra.config.checks import require_attention
from electra.hub.pretrained import Pretrained
from electra.nn.initialize import initialize_module

if TYPE_CHECKING:
    from electra.models.encoder import ElectraModel


class ElectraPreTrainedModel(Pretrained, nn.Module):
    """What all ELECTRA models share. Abstract: build one of those below."""

    config_class = ElectraConfig
    base_model_prefix = "electra"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _tied_weights_keys: ClassVar[dict[str, str]] = {}
    _keys_to_ignore_on_load: ClassVar[tuple[str, ...]] = (r"(^|\.)embeddings\.(position_ids|token_type_ids)$",)

    config: ElectraConfig

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.config = config

    def post_init(self) -> None:
        """Draw fresh weights, and tie those that are one."""
        self.apply(self._init_weights)
        self.tie_weights()

    def _init_weights(self, module: nn.Module) -> None:
        initialize_module(module, self.config.initializer_range)

    def tie_weights(self) -> None:
        """Make one parameter of those that `_tied_weights_keys` names."""
        for name, of in self._tied_weights_keys.items() if self.config.tie_word_embeddings else ():
            path, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(path), leaf, self.get_parameter(of))

    @property
    def base_model(self) -> ElectraModel:
        base: ElectraModel = getattr(self, self.base_model_prefix, self)  # type: ignore[arg-type]
        return base

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def get_input_embeddings(self) -> nn.Embedding:
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.base_model.embeddings.word_embeddings = value
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | None:
        return getattr(self, "generator_lm_head", None)

    def set_output_embeddings(self, value: nn.Linear) -> None:
        if self.get_output_embeddings() is None:
            raise ValueError(f"{type(self).__name__} has no output embeddings to replace")
        self.generator_lm_head = value

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the model is made of; a tied parameter counts once."""
        embeddings = {id(p) for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        return sum(
            p.numel()
            for p in self.parameters()
            if not (only_trainable and not p.requires_grad) and not (exclude_embeddings and id(p) in embeddings)
        )

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """`sdpa`: the fastest kernel for the input. `eager`: written out, for comparisons."""
        require_attention(attn_implementation)
        self.config._attn_implementation = attn_implementation

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Compute layers again in the backward pass in place of keeping what they computed."""
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        self.base_model.encoder.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        return self.base_model.encoder.gradient_checkpointing

    @classmethod
    def _from_config(cls, config: ElectraConfig, **overrides: Any) -> Self:
        return cls(ElectraConfig.from_dict(config.to_dict(), **overrides) if overrides else config)
