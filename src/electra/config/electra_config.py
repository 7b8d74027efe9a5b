"""ElectraConfig: what a network is made of, in transformers' field names; the presets of the paper."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import torch

from electra.config.config_checks import check
from electra.config.label_names import numbered_labels, numbers_of, with_all_labels, without_stale_labels
from electra.config.presets import PRESETS
from electra.files.atomic import write_text
from electra.files.json_objects import object_text, read_object
from electra.hub.hub_names import find_file
from electra.hub.push import Pushed

PathLike = str | os.PathLike[str]


@dataclass(kw_only=True, eq=False)
class _Fields(Pushed):
    """The fields that transformers 5.23 gives an ElectraConfig, with its defaults."""

    vocab_size: int = 30522
    """Rows of the word embeddings and of the generator's output layer."""
    embedding_size: int = 128
    """Width of the three embedding tables; projected to `hidden_size` where the two differ."""
    hidden_size: int = 256
    """Width of the encoder."""
    num_hidden_layers: int = 12
    num_attention_heads: int = 4
    """Must divide `hidden_size`."""
    intermediate_size: int = 1024
    """Width of the feed-forward network inside a layer."""
    hidden_act: str = "gelu"
    """Activation of the feed-forward networks and of the discriminator's head."""
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    """The longest row, in tokens."""
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    """Standard deviation of fresh weights."""
    layer_norm_eps: float = 1e-12
    summary_type: str = "first"
    """Multiple choice only: which token stands for the row (first, last, mean, cls_index)."""
    summary_use_proj: bool = True
    summary_activation: str | None = "gelu"
    summary_last_dropout: float = 0.1
    pad_token_id: int | None = 0
    use_cache: bool = True
    """Decoders only: return keys and values for the next call."""
    classifier_dropout: float | None = None
    """Dropout before a classifier; None: `hidden_dropout_prob`."""
    is_decoder: bool = False
    add_cross_attention: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = True
    architectures: list[str] | None = None
    output_hidden_states: bool = False
    output_attentions: bool = False
    return_dict: bool = True
    dtype: torch.dtype | str | None = None
    chunk_size_feed_forward: int = 0
    is_encoder_decoder: bool = False
    id2label: dict[int, str] = field(default_factory=lambda: numbered_labels(2))
    label2id: dict[str, int] = field(default_factory=lambda: numbers_of(numbered_labels(2)))
    problem_type: str | None = None
    name_or_path: str = ""


_FIELD_NAMES = tuple(field.name for field in fields(_Fields))


class ElectraConfig(_Fields):
    """The configuration of an ELECTRA network, field by field transformers' ElectraConfig.

    `ElectraConfig(hidden_size=768, num_labels=3)`. Keywords that are not fields are kept as attributes; these and
    attributes that are set later are saved.
    Old spellings are read: `torch_dtype`, `_name_or_path`. A value that no network can be built from is a ValueError
    that names the field.
    """

    model_type: ClassVar[str] = "electra"

    def __init__(self, **values: Any) -> None:
        values = _modern_spelling(values)
        own, unknown = _divide(values)
        super().__init__(**own)
        self._attn_implementation: str = unknown.pop("attn_implementation", None) or "sdpa"
        for name, value in unknown.items():
            setattr(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        if isinstance(self.dtype, str):
            self.dtype = _dtype(self.dtype)
        check(self)

    # -- labels -------------------------------------------------------------------------------------------------

    @property
    def num_labels(self) -> int:
        """How many labels a classifier tells apart."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self.id2label = numbered_labels(count)
            self.label2id = numbers_of(self.id2label)

    # -- dictionaries and files -----------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Every field and every further key, as JSON can hold them."""
        values = {name: copy.deepcopy(getattr(self, name)) for name in _FIELD_NAMES}
        values |= {name: copy.deepcopy(value) for name, value in vars(self).items() if self._is_further(name)}
        values["dtype"] = None if self.dtype is None else str(self.dtype).removeprefix("torch.")
        values["id2label"] = {str(i): name for i, name in self.id2label.items()}
        values["model_type"] = self.model_type
        if values.pop("name_or_path"):
            values["_name_or_path"] = self.name_or_path
        return dict(sorted((k, v) for k, v in values.items() if v is not None or k in _KEPT_WHEN_NONE))

    def _is_further(self, name: str) -> bool:
        return not name.startswith("_") and name not in _FIELD_NAMES

    def to_diff_dict(self) -> dict[str, Any]:
        """`to_dict` without the fields that every model of transformers has, where they are at their defaults."""
        values, usual = self.to_dict(), type(self)().to_dict()
        return {k: v for k, v in values.items() if k not in _OF_EVERY_MODEL or v != usual.get(k)}

    def to_json_string(self, use_diff: bool = True) -> str:
        """Ends with a line break. use_diff: `to_diff_dict` in place of `to_dict`."""
        return object_text(self.to_diff_dict() if use_diff else self.to_dict())

    def to_json_file(self, json_file_path: PathLike, use_diff: bool = True) -> None:
        """Write `to_json_string` into a file, whole or not at all."""
        write_text(Path(json_file_path), self.to_json_string(use_diff))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> ElectraConfig:
        """From a config.json's content; `overrides` win."""
        kind = values.get("model_type", "electra")
        if kind != "electra":
            raise ValueError(
                f"this is the configuration of a {kind!r} model, and only 'electra' models can be read here"
            )
        values, overrides = _renamed(values), _renamed(overrides)
        return cls(**{**without_stale_labels(values, overrides), **overrides})

    @classmethod
    def from_json_file(cls, path: str | os.PathLike[str]) -> ElectraConfig:
        return cls.from_dict(read_object(Path(path)))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: PathLike,
        *,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        return_unused_kwargs: bool = False,
        **overrides: Any,
    ) -> ElectraConfig:
        """Read config.json from a folder, a file or a hub name. `overrides`: fields to change.

        return_unused_kwargs: return (configuration, those of the overrides that are no fields of it).
        A folder without config.json is an OSError; a file that is no ELECTRA configuration a ValueError naming it.
        """
        name_or_path = pretrained_model_name_or_path
        path = Path(name_or_path).expanduser()
        found: Path | None = path if path.is_file() else None
        if found is None:
            found = find_file(
                name_or_path,
                "config.json",
                subfolder=subfolder,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
            )
        if found is None:
            raise OSError(f"{name_or_path} has no config.json: it is not a model folder")
        values = read_object(found)
        unused = {k: v for k, v in overrides.items() if return_unused_kwargs and not _is_field(k, values)}
        overrides = {k: v for k, v in overrides.items() if k not in unused}
        try:
            config = cls.from_dict(values, **{"name_or_path": str(name_or_path), **overrides})
        except ValueError as error:
            raise ValueError(f"{found}: {error}") from error
        # the pair is what transformers' auto classes ask for; the type is that of every other call
        return (config, unused) if return_unused_kwargs else config  # type: ignore[return-value]

    def save_pretrained(
        self, save_directory: PathLike, push_to_hub: bool = False, *, repo_id: str | None = None, **push: Any
    ) -> None:
        """Write config.json into a folder, which is made if need be.

        push_to_hub: upload it as well, to the repository `repo_id` (default: of the folder's name); `push` are further
        arguments of `push_to_hub`.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        # in full: servers want the labels' names also where they are the usual ones
        self.to_json_file(folder / "config.json", use_diff=False)
        if push_to_hub:
            self.push_to_hub(repo_id or folder.name, **push)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields; all are checked together."""
        present = {**self.to_dict(), "attn_implementation": self._attn_implementation}
        self.__dict__ = type(self).from_dict(present, **values).__dict__

    def update_from_string(self, update_str: str) -> None:
        """Set several fields from text: "hidden_dropout_prob=0.2,use_cache=false". Each keeps its type."""
        pairs = [part.partition("=") for part in update_str.split(",")]
        for name, equals, _ in pairs:
            if not equals or name not in vars(self):
                raise ValueError(f"{name + equals!r} is no 'field=value' of this configuration, in {update_str!r}")
        self.update({name: _typed(name, value, getattr(self, name)) for name, _, value in pairs})

    # -- sizes ----------------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, size: str, **overrides: Any) -> ElectraConfig:
        """The discriminator of a size: tiny, small, small++, base, large (paper, table 6); `overrides` win."""
        if size not in PRESETS:
            hint = difflib.get_close_matches(size, PRESETS, 1)
            raise ValueError(
                f"unknown size {size!r}: the sizes are {', '.join(PRESETS)}" + (f"; meant {hint[0]}?" if hint else "")
            )
        hidden = overrides.get("hidden_size", PRESETS[size]["hidden_size"])
        derived = {"num_attention_heads": max(1, hidden // 64), "intermediate_size": 4 * hidden}
        return cls(**{**PRESETS[size], **derived, **overrides})

    def generator(self, fraction: float | None = None) -> ElectraConfig:
        """The generator's configuration that goes with this discriminator.

        fraction: of `hidden_size`; by default `generator_hidden_size` as the preset or the file set it, else 1/4.
        The embeddings are shared, so their size stays; depth stays; heads = max(1, hidden // 64), FFN = 4 x hidden
        (google-research/electra run_pretraining.py, get_generator_config).
        """
        if fraction is None:
            given = getattr(self, "generator_hidden_size", getattr(self, "generator_size", 0.25))
            fraction = float(given)
        if not 0 < fraction <= 1:
            raise ValueError(
                f"generator_hidden_size is {fraction}: it is the share of hidden_size, above 0 and up to 1"
            )
        hidden = round(self.hidden_size * fraction)
        values = {name: value for name, value in self.to_dict().items() if name not in _OF_THE_DISCRIMINATOR}
        values |= {
            "hidden_size": hidden,
            "num_attention_heads": max(1, hidden // 64),
            "intermediate_size": 4 * hidden,
            "attn_implementation": self._attn_implementation,
        }
        return type(self).from_dict(values)

    # -- small habits of transformers' configs ------------------------------------------------------------------------

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> ElectraConfig:
        return self

    def validate(self) -> None:
        """Refuse what no network can be built from, as at construction: for fields that were set one by one."""
        check(self)

    @property
    def torch_dtype(self) -> torch.dtype | str | None:
        """An older name of `dtype`."""
        return self.dtype

    @torch_dtype.setter
    def torch_dtype(self, dtype: torch.dtype | str | None) -> None:
        self.dtype = dtype

    @property
    def use_return_dict(self) -> bool:
        return self.return_dict

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ElectraConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"


_KEPT_WHEN_NONE = frozenset(
    {
        "classifier_dropout",
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
        "dtype",
        "architectures",
        "summary_activation",
    }
)
# what transformers writes only where it differs from the default
_OF_EVERY_MODEL = frozenset(
    {
        *("output_hidden_states", "output_attentions", "return_dict", "dtype", "chunk_size_feed_forward"),
        *("is_encoder_decoder", "id2label", "label2id", "problem_type", "architectures", "_name_or_path"),
    }
)
_OLD_NAMES = {
    "torch_dtype": "dtype",
    "_name_or_path": "name_or_path",
    "_attn_implementation": "attn_implementation",
}
_OF_THE_DISCRIMINATOR = frozenset({"architectures", "generator_hidden_size", "generator_size", "_name_or_path"})


def _modern_spelling(values: dict[str, Any]) -> dict[str, Any]:
    """Old names of fields, and values that only older files hold, in today's form."""
    kept = {name: value for name, value in values.items() if name not in ("model_type", "transformers_version")}
    return with_all_labels(_renamed(kept))


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under today's names; one that is given under both counts as it is under today's."""
    old = {new: values[name] for name, new in _OLD_NAMES.items() if name in values}
    return old | {name: value for name, value in values.items() if name not in _OLD_NAMES}


def _divide(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    own = {name: value for name, value in values.items() if name in _FIELD_NAMES}
    return own, {name: value for name, value in values.items() if name not in _FIELD_NAMES}


def _is_field(name: str, values: Mapping[str, Any]) -> bool:
    spellings = {"torch_dtype", "num_labels", "attn_implementation"}
    return name in spellings or name in values or name in _FIELD_NAMES


def _typed(name: str, text: str, present: Any) -> Any:
    """A value written as text, in the type of the one that is there."""
    if isinstance(present, bool):
        if text.lower() not in ("true", "false", "1", "0"):
            raise ValueError(f"{name}={text}: it must be true or false")
        return text.lower() in ("true", "1")
    if isinstance(present, (int, float)):
        try:
            return type(present)(text)
        except ValueError as error:
            raise ValueError(f"{name}={text}: it must be a number, as {present} is") from error
    return text


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype is {name!r}: it must be one of torch's, such as float32, float16 or bfloat16")
    return found
