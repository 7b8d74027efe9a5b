"""AutoConfig, AutoTokenizer, AutoModel, AutoModelFor*: transformers' names for "whatever is in that folder".

Here that is always an ELECTRA; the folder of another kind of model is an error that says which kind it is.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Generic, TypeVar

import torch

from electra.config import ElectraConfig
from electra.hub.hub_names import Location, find_file
from electra.models import (
    ElectraForCausalLM,
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForPreTraining,
    ElectraForQuestionAnswering,
    ElectraForSequenceClassification,
    ElectraForTokenClassification,
    ElectraModel,
    ElectraPreTrainedModel,
)
from electra.text.tokenizer import ElectraTokenizer

Network = TypeVar("Network", bound=ElectraPreTrainedModel)
PathLike = str | os.PathLike[str]


class _NotBuilt:
    """A name with class methods only."""

    def __init__(self, *_: Any, **__: Any) -> None:
        name = type(self).__name__
        raise TypeError(f"{name} is not built itself: use {name}.from_pretrained(name_or_path)")


class AutoConfig(_NotBuilt):
    """The configuration of a folder or hub name."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **options: Any) -> ElectraConfig:
        """What `ElectraConfig.from_pretrained` does; `ValueError` for another kind of model, naming it."""
        options.pop("trust_remote_code", None)  # nothing remote is ever run
        return ElectraConfig.from_pretrained(pretrained_model_name_or_path, **options)

    @classmethod
    def for_model(cls, model_type: str, **fields: Any) -> ElectraConfig:
        """`ElectraConfig(**fields)`, for `model_type` "electra"."""
        return ElectraConfig.from_dict({"model_type": model_type}, **fields)


class AutoTokenizer(_NotBuilt):
    """The tokenizer of a folder or hub name."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **options: Any) -> ElectraTokenizer:
        """What `ElectraTokenizer.from_pretrained` does; `ValueError` where config.json is another kind of model's."""
        name_or_path = os.fspath(pretrained_model_name_or_path)
        for without_effect in ("use_fast", "trust_remote_code"):
            options.pop(without_effect, None)
        location = {name: options[name] for name in Location.__annotations__ if name in options}
        if not os.path.isfile(name_or_path) and find_file(name_or_path, "config.json", **location):
            try:
                ElectraConfig.from_pretrained(name_or_path, **location)
            except ValueError as error:
                raise ValueError(
                    f"{error}. Its tokenizer is read by ElectraTokenizer.from_pretrained, if it is BERT's WordPiece."
                ) from error
        return ElectraTokenizer.from_pretrained(name_or_path, **options)


class _AutoModel(_NotBuilt, Generic[Network]):
    network: ClassVar[type[ElectraPreTrainedModel]]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **options: Any) -> Network:
        """What the class's `from_pretrained` does; `ValueError` for another kind of model, naming it."""
        network: Any = cls.network
        found: Network = network.from_pretrained(pretrained_model_name_or_path, **options)
        return found

    @classmethod
    def from_config(
        cls,
        config: ElectraConfig,
        *,
        dtype: str | torch.dtype | None = None,
        torch_dtype: str | torch.dtype | None = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
    ) -> Network:
        """A new network with random weights, in training mode.

        dtype: of its parameters. Default: the configuration's, else torch's own. `torch_dtype` is its older name.
        """
        kind = getattr(config, "model_type", type(config).__name__)
        if not isinstance(config, ElectraConfig):
            raise ValueError(
                f"config is that of a {kind!r} model; only 'electra' models, by ElectraConfig, are built here."
            )
        network: Any = cls.network
        dtype = torch_dtype if dtype is None else dtype
        built: Network = network._from_config(config, dtype=dtype, attn_implementation=attn_implementation)
        return built


class AutoModel(_AutoModel[ElectraModel]):
    """The encoder alone."""

    network = ElectraModel


class AutoModelForTextEncoding(_AutoModel[ElectraModel]):
    """The encoder alone."""

    network = ElectraModel


class AutoModelForPreTraining(_AutoModel[ElectraForPreTraining]):
    """The discriminator: which tokens were replaced."""

    network = ElectraForPreTraining


class AutoModelForMaskedLM(_AutoModel[ElectraForMaskedLM]):
    """The generator: what stood at the masked tokens."""

    network = ElectraForMaskedLM


class AutoModelForCausalLM(_AutoModel[ElectraForCausalLM]):
    """The next token."""

    network = ElectraForCausalLM


class AutoModelForSequenceClassification(_AutoModel[ElectraForSequenceClassification]):
    """A label or a number for a text or pair."""

    network = ElectraForSequenceClassification


class AutoModelForMultipleChoice(_AutoModel[ElectraForMultipleChoice]):
    """Which choice."""

    network = ElectraForMultipleChoice


class AutoModelForTokenClassification(_AutoModel[ElectraForTokenClassification]):
    """A label for each token."""

    network = ElectraForTokenClassification


class AutoModelForQuestionAnswering(_AutoModel[ElectraForQuestionAnswering]):
    """Where the answer starts and ends."""

    network = ElectraForQuestionAnswering
