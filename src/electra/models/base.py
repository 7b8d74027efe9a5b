"""What all ELECTRA models share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from electra.config import ElectraConfig
from electra.config.config_checks import require_attention
from electra.hub.pretrained import Pretrained
from electra.nn.initialize import initialize_module
from electra.nn.resize_embeddings import resize_bias, resize_embedding, resize_outputs

if TYPE_CHECKING:
    from electra.models.electra_model import ElectraModel


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
        self.name_or_path = config.name_or_path  # an attribute of its own: PEFT looks for it in `__dict__`
        self.model_tags: list[str] = []
        self._require_grads_hook: RemovableHandle | None = None

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it has `generate`."""
        return False

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
    def _keys_to_ignore_on_save(self) -> list[str]:
        """What a saved network lacks, as it repeats another tensor. transformers' Trainer asks when it goes on."""
        return list(self._tied_weights_keys) if self.config.tie_word_embeddings else []

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

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Give the vocabulary so many tokens (None: as many as now), rounded up to a multiple; returns the embeddings.

        New tokens' vectors are drawn around the mean of the old ones, or, with mean_resizing=False, as those of a new
        network; in an output layer their bias is 0. `config.vocab_size` follows.
        """
        embeddings = self.get_input_embeddings()
        tokens = _rounded_up("new_num_tokens", new_num_tokens, embeddings.num_embeddings, pad_to_multiple_of)
        deviation = None if mean_resizing else self.config.initializer_range
        head = self.get_output_embeddings()
        tied = head is not None and head.weight is embeddings.weight
        resize_embedding(embeddings, tokens, deviation)
        if head is not None and tied:
            head.weight = embeddings.weight
            resize_bias(head, tokens)
        elif head is not None:
            resize_outputs(head, tokens, deviation)
        self.config.vocab_size = tokens
        return embeddings

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """Let the network read rows of so many tokens; the vectors of new positions are drawn as those of a new one."""
        positions = self.get_position_embeddings()
        rows = _rounded_up("new_num_position_embeddings", new_num_position_embeddings, 1, None)
        resize_embedding(positions, rows, self.config.initializer_range)
        self.config.max_position_embeddings = rows

    def get_position_embeddings(self) -> nn.Embedding:
        return self.base_model.embeddings.position_embeddings

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """`sdpa`: the fastest kernel for the input. `eager`: written out, for comparisons."""
        require_attention(attn_implementation)
        self.config._attn_implementation = attn_implementation

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Compute layers again in the backward pass in place of keeping what they computed.

        gradient_checkpointing_kwargs: those of transformers. `use_reentrant` changes nothing, since the way without
        re-entry, which needs no gradient of the inputs, is always taken.
        """
        for name in gradient_checkpointing_kwargs or {}:
            if name != "use_reentrant":
                raise ValueError(f"gradient_checkpointing_kwargs has {name!r}: only 'use_reentrant' is allowed")
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        self.base_model.encoder.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        return self.base_model.encoder.gradient_checkpointing

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: dict[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """`gradient_checkpointing_enable` under its name since transformers 5.23, by which its Trainer calls it."""
        if every_n_layers != 1 or offload:
            raise ValueError(
                f"every_n_layers={every_n_layers}, offload={offload}: every layer is computed again, and what is kept "
                "stays where it is; leave them at 1 and False"
            )
        self.gradient_checkpointing_enable(activation_checkpointing_kwargs)

    def activation_checkpointing_disable(self) -> None:
        self.gradient_checkpointing_disable()

    @property
    def is_activation_checkpointing(self) -> bool:
        return self.is_gradient_checkpointing

    def enable_input_require_grads(self) -> None:
        """Let the word embeddings' output require a gradient, also where all that comes before it is frozen."""
        self.disable_input_require_grads()
        self._require_grads_hook = self.get_input_embeddings().register_forward_hook(_require_grad)

    def disable_input_require_grads(self) -> None:
        if self._require_grads_hook is not None:
            self._require_grads_hook.remove()
        self._require_grads_hook = None

    def init_weights(self) -> None:
        """Draw all weights anew."""
        self.post_init()

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """How many bytes the parameters take, and the buffers."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def dummy_inputs(self) -> dict[str, torch.Tensor]:
        """A call that every network of at least ten tokens takes."""
        return {"input_ids": torch.tensor([[1, 2, 3, 4, 5], [9, 8, 7, 6, 0]])}

    def add_model_tags(self, tags: str | Sequence[str]) -> None:
        """Tags for the model card that `push_to_hub` writes."""
        self.model_tags += [tag for tag in ([tags] if isinstance(tags, str) else tags) if tag not in self.model_tags]

    @classmethod
    def _from_config(cls, config: ElectraConfig, **overrides: Any) -> Self:
        """A new network with random weights, in training mode, in the configuration's number type (None: torch's).

        `overrides`: fields of the configuration to change; the caller's own object stays as it is.
        """
        config = copy.deepcopy(config)
        config.update({name: value for name, value in overrides.items() if value is not None})
        built = cls(config)
        return built if config.dtype is None else built.to(config.dtype)


def _rounded_up(name: str, wanted: int | None, now: int, multiple: int | None) -> int:
    """How many rows a table is to have."""
    for what, value in ((name, wanted), ("pad_to_multiple_of", multiple)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ValueError(f"{what} is {value!r}: it must be a whole number above 0")
    rows = now if wanted is None else wanted
    return rows if multiple is None else -(-rows // multiple) * multiple


def _require_grad(_: nn.Module, __: Any, output: torch.Tensor) -> None:
    output.requires_grad_(True)
