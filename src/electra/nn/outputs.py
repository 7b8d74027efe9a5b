"""What a forward pass returns: fields by name, by key and by index, in transformers' names and order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from electra.hardware.torch_internals import register_container
from electra.nn.cache import KeyValueCache

Tensors = tuple[Tensor, ...]


class ModelOutput(OrderedDict[str, Any]):
    """A dataclass that is also a dictionary, and a tuple when indexed by number. Fields that are None are not in it."""

    def __init_subclass__(cls) -> None:
        register_container(
            cls,
            lambda output: (list(output.values()), list(output.keys())),
            lambda values, names: cls(**dict(zip(names, values, strict=True))),
        )

    def __post_init__(self) -> None:
        first, *others = (field.name for field in fields(self))  # type: ignore[arg-type]
        value = getattr(self, first)
        if isinstance(value, Mapping) and all(getattr(self, name) is None for name in others):
            # other libraries, such as accelerate, rebuild an output from a dictionary of its fields
            type(self).__init__(self, **value)
            return
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if value is not None:
                super().__setitem__(field.name, value)

    def __getitem__(self, key: str | int | slice) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else self.to_tuple()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.keys() and value is not None:
            super().__setitem__(name, value)
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _rebuild, (type(self), dict(self))

    def to_tuple(self) -> tuple[Any, ...]:
        """All fields that are not None."""
        return tuple(self.values())


def _rebuild(kind: type[ModelOutput], values: dict[str, Any]) -> ModelOutput:
    return kind(**values)


@dataclass
class BaseModelOutputWithPastAndCrossAttentions(ModelOutput):
    """`last_hidden_state` [B, L, H]."""

    last_hidden_state: Tensor | None = None
    past_key_values: KeyValueCache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class ElectraForPreTrainingOutput(ModelOutput):
    """`logits` [B, L]: above 0, the token was replaced."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MaskedLMOutput(ModelOutput):
    """`logits` [B, L, V]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class CausalLMOutputWithCrossAttentions(ModelOutput):
    """`logits` [B, L, V]; those of the last tokens alone if `logits_to_keep` asks for them."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    past_key_values: KeyValueCache | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
    cross_attentions: Tensors | None = None


@dataclass
class SequenceClassifierOutput(ModelOutput):
    """`logits` [B, K]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class TokenClassifierOutput(ModelOutput):
    """`logits` [B, L, K]."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class QuestionAnsweringModelOutput(ModelOutput):
    """`start_logits`, `end_logits` [B, L]."""

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


@dataclass
class MultipleChoiceModelOutput(ModelOutput):
    """`logits` [B, C]: one for each choice."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None
