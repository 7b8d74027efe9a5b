"""ElectraConfig: what a network is made of, in transformers' field names; the presets of the paper."""

from __future__ import annotations

import copy
import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import torch

from electra.hub.files import write_text
from electra.hub.names import find_file

# Each has its function in nn/activations.py.
ACTIVATIONS = (
    *("gelu", "gelu_python", "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"),
    *("quick_gelu", "relu", "relu2", "relu6", "leaky_relu", "silu", "swish", "hardswish", "mish"),
    *("sigmoid", "tanh", "linear"),
)
SUMMARY_TYPES = ("first", "last", "mean", "cls_index")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")

# Table 6 of the paper and google-research/electra util/training_utils.py: heads = hidden / 64, FFN = 4 x hidden.
# `tiny` is ours, for laptops, tests and the quickstart. Its weights start wider: at 128 units, 0.02 leaves attention
# uniform for so long that a run of a few thousand steps learns next to nothing from context.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "num_hidden_layers": 4,
        "hidden_size": 128,
        "embedding_size": 64,
        "generator_hidden_size": 0.25,
        "initializer_range": 0.05,
    },
    "small": {"num_hidden_layers": 12, "hidden_size": 256, "embedding_size": 128, "generator_hidden_size": 0.25},
    "base": {"num_hidden_layers": 12, "hidden_size": 768, "embedding_size": 768, "generator_hidden_size": 1 / 3},
    "large": {"num_hidden_layers": 24, "hidden_size": 1024, "embedding_size": 1024, "generator_hidden_size": 0.25},
}


@dataclass(kw_only=True, eq=False)
class _Fields:
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
    id2label: dict[int, str] = field(default_factory=lambda: _numbered_labels(2))
    label2id: dict[str, int] = field(default_factory=lambda: {name: i for i, name in _numbered_labels(2).items()})
    problem_type: str | None = None
    name_or_path: str = ""


class ElectraConfig(_Fields):
    """The configuration of an ELECTRA network, field by field transformers' ElectraConfig.

    `ElectraConfig(hidden_size=768, num_labels=3)`. Keywords that are not fields are kept as attributes and saved.
    Old spellings are read: `torch_dtype`, `_name_or_path`. A value that no network can be built from is a ValueError
    that names the field.
    """

    model_type: ClassVar[str] = "electra"

    def __init__(self, **values: Any) -> None:
        values = _modern_spelling(values)
        own, unknown = _divide(values)
        super().__init__(**own)
        self._attn_implementation: str = unknown.pop("attn_implementation", None) or "sdpa"
        self._further: tuple[str, ...] = tuple(unknown)
        for name, value in unknown.items():
            setattr(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        if isinstance(self.dtype, str):
            self.dtype = _dtype(self.dtype)
        _check(self)

    # -- labels -------------------------------------------------------------------------------------------------

    @property
    def num_labels(self) -> int:
        """How many labels a classifier tells apart."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self.id2label = _numbered_labels(count)
            self.label2id = {name: i for i, name in self.id2label.items()}

    # -- dictionaries and files -----------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Every field and every further key, as JSON can hold them."""
        values = {f.name: copy.deepcopy(getattr(self, f.name)) for f in fields(_Fields)}
        values |= {name: copy.deepcopy(getattr(self, name)) for name in self._further}
        values["dtype"] = None if self.dtype is None else str(self.dtype).removeprefix("torch.")
        values["id2label"] = {str(i): name for i, name in self.id2label.items()}
        values["model_type"] = self.model_type
        if values.pop("name_or_path"):
            values["_name_or_path"] = self.name_or_path
        return dict(sorted((k, v) for k, v in values.items() if v is not None or k in _KEPT_WHEN_NONE))

    def to_json_string(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def to_json_file(self, path: str | os.PathLike[str]) -> None:
        write_text(Path(path), self.to_json_string())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> ElectraConfig:
        """From a config.json's content; `overrides` win."""
        kind = values.get("model_type", "electra")
        if kind != "electra":
            raise ValueError(
                f"this is the configuration of a {kind!r} model, and only 'electra' models can be read here"
            )
        return cls(**{**_without_stale_labels(values, overrides), **overrides})

    @classmethod
    def from_json_file(cls, path: str | os.PathLike[str]) -> ElectraConfig:
        return cls.from_dict(_read_json(Path(path)))

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **overrides: Any,
    ) -> ElectraConfig:
        """Read config.json from a folder, a file or a hub name. `overrides`: fields to change.

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
        values = _read_json(found)
        try:
            return cls.from_dict(values, **{"name_or_path": str(name_or_path), **overrides})
        except ValueError as error:
            raise ValueError(f"{found}: {error}") from error

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json into `folder`, which is made if need be."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.to_json_file(Path(folder) / "config.json")

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields; all are checked together."""
        changed = type(self).from_dict(self.to_dict(), **values)
        changed._attn_implementation = self._attn_implementation
        self.__dict__ = changed.__dict__

    # -- sizes ----------------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, size: str, **overrides: Any) -> ElectraConfig:
        """The discriminator of one of the sizes tiny, small, base and large (paper, table 6); `overrides` win."""
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
        }
        return type(self).from_dict(values)

    # -- small habits of transformers' configs ------------------------------------------------------------------------

    def get_text_config(self) -> ElectraConfig:
        return self

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
_OF_THE_DISCRIMINATOR = frozenset({"architectures", "generator_hidden_size", "generator_size", "_name_or_path"})


def _numbered_labels(count: int) -> dict[int, str]:
    return {i: f"LABEL_{i}" for i in range(count)}


def _modern_spelling(values: dict[str, Any]) -> dict[str, Any]:
    """Old names of fields, and values that only older files hold, in today's form."""
    values = {name: value for name, value in values.items() if name not in ("model_type", "transformers_version")}
    for old, new in (("torch_dtype", "dtype"), ("_name_or_path", "name_or_path")):
        if old in values:
            given = values.pop(old)
            values.setdefault(new, given)
    if "_attn_implementation" in values:
        values["attn_implementation"] = values.pop("_attn_implementation")
    count = values.pop("num_labels", None)
    if values.get("id2label") is not None:
        values["id2label"] = {int(i): str(name) for i, name in values["id2label"].items()}
        values.setdefault("label2id", {name: i for i, name in values["id2label"].items()})
        if count is not None and count != len(values["id2label"]):
            raise ValueError(
                f"num_labels is {count} and id2label names {len(values['id2label'])} labels: give one of them"
            )
    elif values.get("label2id") is not None:
        values["id2label"] = {int(i): str(name) for name, i in values["label2id"].items()}
    elif count is not None:
        _require(isinstance(count, int) and count > 0, "num_labels", count, "a whole number above 0")
        values["id2label"] = _numbered_labels(count)
        values["label2id"] = {name: i for i, name in values["id2label"].items()}
    return {name: value for name, value in values.items() if not (name in ("id2label", "label2id") and value is None)}


def _divide(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    names = {f.name for f in fields(_Fields)}
    own = {name: value for name, value in values.items() if name in names}
    return own, {name: value for name, value in values.items() if name not in names}


def _without_stale_labels(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """What describes the labels is of one piece: where an override has part of it, the rest follows from that."""
    about_labels = {"id2label", "label2id", "num_labels"}
    return {k: v for k, v in values.items() if not (k in about_labels and about_labels & overrides.keys())}


def _dtype(name: str) -> torch.dtype:
    found = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype is {name!r}: it must be one of torch's, such as float32, float16 or bfloat16")
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a JSON {type(values).__name__}, and a configuration is an object")
    return values


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}: it must be {allowed}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check(config: ElectraConfig) -> None:
    """Refuse what no network can be built from, naming the field."""
    for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        _require_count(config, name)
    for name in ("intermediate_size", "max_position_embeddings", "type_vocab_size"):
        _require_count(config, name)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "summary_last_dropout", "classifier_dropout"):
        value = getattr(config, name)
        unset = value is None and name == "classifier_dropout"
        _require(unset or (_is_number(value) and 0 <= value <= 1), name, value, "a probability from 0 to 1")
    for name in ("initializer_range", "layer_norm_eps"):
        value = getattr(config, name)
        _require(_is_number(value) and value >= 0, name, value, "a number, 0 or above")
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"num_attention_heads is {config.num_attention_heads}, "
            f"which does not divide hidden_size {config.hidden_size}"
        )
    _require(config.hidden_act in ACTIVATIONS, "hidden_act", config.hidden_act, f"one of {', '.join(ACTIVATIONS)}")
    _require(config.summary_type in SUMMARY_TYPES, "summary_type", config.summary_type, f"one of {SUMMARY_TYPES}")
    summary = config.summary_activation
    _require(not summary or summary in ACTIVATIONS, "summary_activation", summary, f"one of {', '.join(ACTIVATIONS)}")
    kind = config.problem_type
    _require(kind is None or kind in PROBLEM_TYPES, "problem_type", kind, f"one of {', '.join(PROBLEM_TYPES)}, or None")
    _require(
        config._attn_implementation in ("sdpa", "eager"),
        "attn_implementation",
        config._attn_implementation,
        "'sdpa' or 'eager'",
    )
    pad = config.pad_token_id
    inside = pad is None or (isinstance(pad, int) and -config.vocab_size <= pad < config.vocab_size)
    _require(inside, "pad_token_id", pad, f"a token id below vocab_size {config.vocab_size}, or None")
    if config.add_cross_attention and not config.is_decoder:
        raise ValueError("add_cross_attention is True, which needs is_decoder=True as well")
    if sorted(config.id2label) != sorted(config.label2id.values()):
        raise ValueError(f"label2id {config.label2id} is not the inverse of id2label {config.id2label}")
    if kind == "single_label_classification" and config.num_labels == 1:
        raise ValueError(
            "problem_type is 'single_label_classification', which needs num_labels of at least 2, and it is 1"
        )


def _require_count(config: ElectraConfig, name: str) -> None:
    value = getattr(config, name)
    whole = isinstance(value, int) and not isinstance(value, bool)
    _require(whole and value > 0, name, value, "a whole number above 0")
