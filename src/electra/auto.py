"""AutoConfig, AutoTokenizer, AutoModel, AutoModelFor*: transformers' names for "the class that a folder is of".

Here that is always ELECTRA's; the folder of another kind of model is an error that says which kind it is.
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
    """A class with class methods only."""

    def __init__(self, *_: Any, **__: Any) -> None:
        name = type(self).__name__
        raise TypeError(f"{name} is not built itself: use {name}.from_pretrained(name_or_path)")


class AutoConfig(_NotBuilt):
    """The configuration of a folder or hub name."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **options: Any) -> ElectraConfig:
        """As `ElectraConfig.from_pretrained`.

        Args:
            pretrained_model_name_or_path: a folder, a file or a hub name.
            **options: its options and fields to change.

        Raises:
            OSError: there is no configuration.
            ValueError: it is another kind of model's, which is named, or invalid.
        """
        options.pop("trust_remote_code", None)  # nothing remote is ever run
        return ElectraConfig.from_pretrained(pretrained_model_name_or_path, **options)

    @classmethod
    def for_model(cls, model_type: str, **fields: Any) -> ElectraConfig:
        """`ElectraConfig(**fields)`; a ValueError if `model_type` is not "electra"."""
        return ElectraConfig.from_dict({"model_type": model_type}, **fields)


class AutoTokenizer(_NotBuilt):
    """The tokenizer of a folder or hub name."""

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **options: Any) -> ElectraTokenizer:
        """As `ElectraTokenizer.from_pretrained`.

        Args:
            pretrained_model_name_or_path: a folder, a file or a hub name.
            **options: its options; `use_fast` and `trust_remote_code` change nothing.

        Raises:
            OSError: there is no tokenizer.
            ValueError: config.json is that of another kind of model, which is named.
        """
        name_or_path = os.fspath(pretrained_model_name_or_path)
        for without_effect in ("use_fast", "trust_remote_code"):
            options.pop(without_effect, None)
        location = {name: options[name] for name in Location.__annotations__ if name in options}
        if not os.path.isfile(name_or_path) and find_file(name_or_path, "config.json", **location):
            try:
                ElectraConfig.from_pretrained(name_or_path, **location)
            except ValueError as error:
                if "only 'electra' models" not in str(error):  # a damaged file is no other kind of model
                    raise
                raise ValueError(
                    f"{error}. Its tokenizer is read by ElectraTokenizer.from_pretrained, if it is BERT's WordPiece."
                ) from error
        return ElectraTokenizer.from_pretrained(name_or_path, **options)


class _AutoModel(_NotBuilt, Generic[Network]):
    """The network of a folder or hub name, of one class. Abstract."""

    network: ClassVar[type[ElectraPreTrainedModel]]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: PathLike, **options: Any) -> Network:
        """As the `from_pretrained` of the class; a ValueError names another kind of model."""
        network: Any = cls.network
        model: Network = network.from_pretrained(pretrained_model_name_or_path, **options)
        return model

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

        Args:
            config: its sizes; copied.
            dtype: of its parameters. Default: the configuration's, else torch's default.
            torch_dtype: an older name of `dtype`.
            attn_implementation: "sdpa" or "eager". Default: the configuration's.
            trust_remote_code: has no effect; nothing remote is run.

        Raises:
            ValueError: the configuration is another kind of model's.
        """
        kind = getattr(config, "model_type", type(config).__name__)
        if not isinstance(config, ElectraConfig):
            raise ValueError(
                f"config is that of a {kind!r} model; only 'electra' models, by ElectraConfig, are built here."
            )
        network: Any = cls.network
        dtype = torch_dtype if dtype is None else dtype
        model: Network = network._from_config(config, dtype=dtype, attn_implementation=attn_implementation)
        return model


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
