"""Methods of a configuration that are there for transformers' callers only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import torch

from electra.config.config_fields import ConfigFields


class CompatibilityMethods(ConfigFields):
    """Names that transformers' configurations have, and that nothing in this package uses."""

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Self:
        """The configuration itself: only models of several kinds of input have another one for text."""
        return self

    @property
    def torch_dtype(self) -> torch.dtype | str | None:
        """An older name of `dtype`."""
        return self.dtype

    @torch_dtype.setter
    def torch_dtype(self, dtype: torch.dtype | str | None) -> None:
        self.dtype = dtype

    @property
    def use_return_dict(self) -> bool:
        """An older name of `return_dict`."""
        return self.return_dict

    def update_from_string(self, update_str: str) -> None:
        """Set several fields from text: "hidden_dropout_prob=0.2,use_cache=false". Each keeps its type.

        Raises:
            ValueError: a part is no `field=value`, or the value is not of the field's type.
        """
        pairs = [part.partition("=") for part in update_str.split(",")]
        for name, equals, _ in pairs:
            if not equals or name not in vars(self):
                raise ValueError(f"{name + equals!r} is no 'field=value' of this configuration, in {update_str!r}")
        self.update({name: _typed(name, value, getattr(self, name)) for name, _, value in pairs})

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Every field."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CompatibilityMethods) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]


def _typed(name: str, text: str, present: Any) -> Any:
    """A value written as text, in the type of the present one."""
    if isinstance(present, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{name} is {text!r}: it must be true or false")
        return text.lower() in ("true", "1")
    if isinstance(present, (int, float)):
        try:
            return type(present)(text)
        except ValueError as error:
            raise ValueError(f"{name} is {text!r}: it must be a number, as {present} is") from error
    return text
