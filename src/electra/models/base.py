"""ElectraPreTrainedModel: what all ELECTRA models share."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import nn

from electra.config import ElectraConfig
from electra.config.config_checks import require_attention
from electra.hub.pretrained import Pretrained
from electra.models.model_compat import CompatibilityMethods
from electra.nn.initialize import initialize_module
from electra.nn.resize_embeddings import resize_bias, resize_embedding, resize_outputs
from electra.validation import require_count


class ElectraPreTrainedModel(Pretrained, CompatibilityMethods):
    """What all ELECTRA models share: loading, saving, initial weights, embeddings. Abstract: build one of its
    subclasses, such as `ElectraModel`.
    """

    config_class = ElectraConfig
    base_model_prefix = "electra"
    _tied_weights_keys: ClassVar[dict[str, str]] = {}
    # buffers of transformers 4, which hold nothing but 0, 1, 2, …
    _keys_to_ignore_on_load: ClassVar[tuple[str, ...]] = (r"(^|\.)embeddings\.(position_ids|token_type_ids)$",)

    config: ElectraConfig

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__()
        self.config = config
        self.name_or_path = config.name_or_path  # an attribute of its own: PEFT looks for it in `__dict__`
        self.model_tags: list[str] = []
        self.tied_inside = ""
        """The class of the model around this encoder whose output layer shares its word embeddings; "": none."""

    @classmethod
    def can_generate(cls) -> bool:
        """Whether it has `generate`."""
        return False

    # -- weights ---------------------------------------------------------------------------------------------------

    def post_init(self) -> None:
        """Initialise all weights, and tie those that are shared."""
        self.apply(self._init_weights)
        self.tie_weights()

    def init_weights(self) -> None:
        """Initialise all weights again."""
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        initialize_module(module, self.config.initializer_range)

    def tie_weights(self) -> None:
        """Let the parameters in `_tied_weights_keys` share their tensor, if `config.tie_word_embeddings`."""
        for name, source in self._tied_weights_keys.items() if self.config.tie_word_embeddings else ():
            path, _, leaf = name.rpartition(".")
            setattr(self.get_submodule(path), leaf, self.get_parameter(source))

    @property
    def _keys_to_ignore_on_save(self) -> list[str]:
        """What a saved network lacks, as it repeats another tensor. transformers' Trainer asks when it resumes."""
        return list(self._tied_weights_keys) if self.config.tie_word_embeddings else []

    @property
    def base_model(self) -> Any:
        """The ElectraModel inside; the network itself if it is one."""
        return getattr(self, self.base_model_prefix, self)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next(self.parameters()).dtype

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many numbers the parameters hold; a tied parameter counts once.

        Args:
            only_trainable: count those that require a gradient.
            exclude_embeddings: leave out the embedding tables.
        """
        embeddings = {id(p) for m in self.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        return sum(
            p.numel()
            for p in self.parameters()
            if not (only_trainable and not p.requires_grad) and not (exclude_embeddings and id(p) in embeddings)
        )

    # -- embeddings ------------------------------------------------------------------------------------------------

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings, [vocab_size, embedding_size]."""
        embeddings: nn.Embedding = self.base_model.embeddings.word_embeddings
        return embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the word embeddings; an output layer that shares them follows.

        Raises:
            ValueError: this encoder is inside a model whose output layer shares them.
        """
        self._refuse_if_tied_inside("set_input_embeddings")
        self.base_model.embeddings.word_embeddings = value
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | None:
        """The layer that scores the vocabulary; None if there is none."""
        return getattr(self, "generator_lm_head", None)

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the layer that scores the vocabulary.

        Raises:
            ValueError: there is none.
        """
        if self.get_output_embeddings() is None:
            raise ValueError(f"{type(self).__name__} has no output embeddings to replace")
        self.generator_lm_head = value

    def get_position_embeddings(self) -> nn.Embedding:
        """The position embeddings, [max_position_embeddings, embedding_size]."""
        embeddings: nn.Embedding = self.base_model.embeddings.position_embeddings
        return embeddings

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Resize the vocabulary: the word embeddings, and the output layer if there is one.

        Args:
            new_num_tokens: how many tokens. None: as many as now.
            pad_to_multiple_of: round the number up to a multiple of this.
            mean_resizing: sample new vectors around the mean of the old ones; False: as those of a new network. New
                biases of an output layer are 0.

        Returns:
            The word embeddings. `config.vocab_size` is their number of rows.

        Raises:
            ValueError: a number is not a whole number above 0, or this encoder is inside a model whose output layer
                shares the embeddings.
        """
        self._refuse_if_tied_inside("resize_token_embeddings")
        embeddings = self.get_input_embeddings()
        tokens = _rounded_up("new_num_tokens", new_num_tokens, embeddings.num_embeddings, pad_to_multiple_of)
        std = None if mean_resizing else self.config.initializer_range
        head = self.get_output_embeddings()
        tied = head is not None and head.weight is embeddings.weight
        resize_embedding(embeddings, tokens, std)
        if head is not None and tied:
            head.weight = embeddings.weight
            resize_bias(head, tokens)
        elif head is not None:
            resize_outputs(head, tokens, std)
        self.config.vocab_size = tokens
        return embeddings

    def _refuse_if_tied_inside(self, method: str) -> None:
        """The model around an encoder has to change its output layer with the embeddings."""
        if self.tied_inside and self.config.tie_word_embeddings:
            raise ValueError(
                f"{method}: these word embeddings are shared with the output layer of the {self.tied_inside} around "
                f"this encoder; call {method} of that model"
            )

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """Let the network read longer or shorter sequences.

        Args:
            new_num_position_embeddings: tokens of the longest sequence. Vectors of new positions are sampled as those
                of a new network.

        Raises:
            ValueError: it is not a whole number above 0.
        """
        positions = self.get_position_embeddings()
        rows = _rounded_up("new_num_position_embeddings", new_num_position_embeddings, 1, None)
        resize_embedding(positions, rows, self.config.initializer_range)
        self.config.max_position_embeddings = rows

    # -- how it computes -------------------------------------------------------------------------------------------

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """Choose how to attend.

        Args:
            attn_implementation: "sdpa", the fastest kernel for the input, or "eager", the reference implementation.
        """
        require_attention(attn_implementation)
        self.config._attn_implementation = attn_implementation

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, Any] | None = None) -> None:
        """Recompute layers in the backward pass in place of keeping what they computed: less memory, more time.

        Args:
            gradient_checkpointing_kwargs: as in transformers. `use_reentrant` changes nothing: the implementation
                without re-entry, which needs no gradient of the inputs, is always used.

        Raises:
            ValueError: it has another key.
        """
        for name in gradient_checkpointing_kwargs or {}:
            if name != "use_reentrant":
                raise ValueError(f"gradient_checkpointing_kwargs has {name!r}: only 'use_reentrant' is allowed")
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep what layers compute until the backward pass."""
        self.base_model.encoder.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether layers are recomputed in the backward pass."""
        return bool(self.base_model.encoder.gradient_checkpointing)

    def add_model_tags(self, tags: str | Sequence[str]) -> None:
        """Add tags to the model card that `push_to_hub` writes."""
        self.model_tags += [tag for tag in ([tags] if isinstance(tags, str) else tags) if tag not in self.model_tags]

    @classmethod
    def _from_config(cls, config: ElectraConfig, **overrides: Any) -> Self:
        """A new network with random weights, in training mode, in the configuration's dtype (None: torch's).

        `overrides`: fields of the configuration to change; the caller's own object stays as it is.
        """
        config = copy.deepcopy(config)
        config.update({name: value for name, value in overrides.items() if value is not None})
        model = cls(config)
        return model if config.dtype is None else model.to(config.dtype)


def _rounded_up(name: str, number: int | None, present: int, multiple: int | None) -> int:
    """How many rows a table is to have."""
    for argument, value in ((name, number), ("pad_to_multiple_of", multiple)):
        if value is not None:
            require_count(argument, value)
    rows = present if number is None else number
    return rows if multiple is None else -(-rows // multiple) * multiple
