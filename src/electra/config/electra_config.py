"""ElectraConfig: the sizes and options of a network, in transformers' field names, read from and written to files."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from electra.config.config_checks import check
from electra.config.config_compat import CompatibilityMethods
from electra.config.config_fields import FIELD_NAMES
from electra.config.label_names import numbered_labels, numbers_of, of_file, with_all_labels
from electra.config.presets import PRESETS
from electra.files.atomic import write_text
from electra.files.json_objects import object_text, read_object
from electra.hub.hub_names import find_file
from electra.validation import is_whole, require, require_one_of, require_type, shown

PathLike = str | os.PathLike[str]


class ElectraConfig(CompatibilityMethods):
    """The configuration of an ELECTRA network, field by field transformers' ElectraConfig.

    Keywords that are not fields are kept as attributes; these and attributes that are set later are saved. Old names
    are read: `torch_dtype`, `_name_or_path`. Of `num_labels`, `id2label` and `label2id` one is enough.

    Example:
        >>> from electra import ElectraConfig
        >>> config = ElectraConfig(hidden_size=768, num_attention_heads=12, num_labels=3)
        >>> config.id2label
        {0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2'}
        >>> ElectraConfig.preset("small").num_hidden_layers
        12
    """

    model_type: ClassVar[str] = "electra"

    def __init__(self, **values: Any) -> None:
        """A configuration from its fields; those that are not given have transformers' defaults.

        Args:
            **values: fields by name, `num_labels`, `attn_implementation` ("sdpa" or "eager"), and further keys.

        Raises:
            ValueError: a field has the wrong type or an invalid value, or a key cannot be kept; the message names it.
        """
        fields, further = _divided(_current_names(values))
        super().__init__(**fields)
        self._attn_implementation: str = further.pop("attn_implementation", None) or "sdpa"
        for name, value in further.items():
            _check_further(name, value)
            setattr(self, name, value)
        self.validate()

    def validate(self) -> None:
        """Check all fields, as at construction: for fields that were set one by one.

        Raises:
            ValueError: a field has the wrong type or an invalid value; the message names it.
        """
        if isinstance(self.dtype, str):
            self.dtype = _dtype(self.dtype)
        check(self, self._attn_implementation)

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
        values = {name: copy.deepcopy(getattr(self, name)) for name in FIELD_NAMES}
        values |= {name: copy.deepcopy(value) for name, value in vars(self).items() if self._is_further(name)}
        values["dtype"] = None if self.dtype is None else str(self.dtype).removeprefix("torch.")
        values["id2label"] = {str(i): name for i, name in self.id2label.items()}
        values["model_type"] = self.model_type
        if values.pop("name_or_path"):
            values["_name_or_path"] = self.name_or_path
        return dict(sorted((k, v) for k, v in values.items() if v is not None or k in _KEPT_WHEN_NONE))

    def _is_further(self, name: str) -> bool:
        return not name.startswith("_") and name not in FIELD_NAMES

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
        """A configuration from the content of a config.json.

        Args:
            values: the content. Labels that contradict one another are settled by `id2label`, with a warning.
            **overrides: fields to change.

        Raises:
            ValueError: it is that of another kind of model, or a field is invalid.
        """
        return cls._from_values(values, overrides, "the configuration")

    @classmethod
    def _from_values(cls, values: Mapping[str, Any], overrides: Mapping[str, Any], source: str) -> ElectraConfig:
        kind = values.get("model_type", "electra")
        if kind != "electra":
            raise ValueError(
                f"this is the configuration of a {shown(kind)} model, and only 'electra' models can be read here: "
                f"load it with transformers"
            )
        values, overrides = _renamed(values), _renamed(overrides)
        return cls(**{**of_file(values, overrides, source), **overrides})

    @classmethod
    def from_json_file(cls, path: str | os.PathLike[str]) -> ElectraConfig:
        """A configuration from a file.

        Raises:
            ValueError: it is not valid JSON, or `from_dict` refuses its content; the message names the file.
        """
        return cls._from_file(Path(path), {})

    @classmethod
    def _from_file(cls, file: Path, overrides: Mapping[str, Any]) -> ElectraConfig:
        values = read_object(file)
        try:
            return cls._from_values(values, overrides, str(file))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error

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
        """Read config.json from a folder, a file or a repository on the Hugging Face Hub.

        Args:
            pretrained_model_name_or_path: the folder, the file, or a name like "google/electra-small-discriminator".
            subfolder: as in `find_file`.
            revision: as `subfolder`.
            cache_dir: as `subfolder`.
            token: as `subfolder`.
            local_files_only: as `subfolder`.
            force_download: as `subfolder`.
            return_unused_kwargs: return (configuration, those of the overrides that are no fields of it).
            **overrides: fields to change.

        Raises:
            OSError: there is no such folder or repository, or no config.json in it.
            ValueError: the file is not an ELECTRA's configuration, or a field is invalid; the message names both.
        """
        name_or_path = pretrained_model_name_or_path
        path = Path(name_or_path).expanduser()
        file: Path | None = path if path.is_file() else None
        if file is None:
            file = find_file(
                name_or_path,
                "config.json",
                subfolder=subfolder,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                force_download=force_download,
            )
        if file is None:
            raise OSError(_no_config(str(name_or_path), path))
        values = read_object(file) if return_unused_kwargs else {}
        unused = {k: v for k, v in overrides.items() if return_unused_kwargs and not _is_field(k, values)}
        overrides = {k: v for k, v in overrides.items() if k not in unused}
        config = cls._from_file(file, {"name_or_path": str(name_or_path), **overrides})
        # the pair is what transformers' auto classes ask for; the type is that of every other call
        return (config, unused) if return_unused_kwargs else config  # type: ignore[return-value]

    def save_pretrained(
        self, save_directory: PathLike, push_to_hub: bool = False, *, repo_id: str | None = None, **push: Any
    ) -> None:
        """Write config.json into a folder.

        Args:
            save_directory: the folder, which is created if it is not there.
            push_to_hub: upload it too.
            repo_id: the repository to upload to. Default: the folder's name.
            **push: further arguments of `push_to_hub`.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        # in full: servers want the labels' names also where they are the usual ones
        self.to_json_file(folder / "config.json", use_diff=False)
        if push_to_hub:
            self.push_to_hub(repo_id or folder.name, **push)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several fields; all are checked together, and nothing is changed if one of them is invalid."""
        present = {**self.to_dict(), "attn_implementation": self._attn_implementation}
        self.__dict__ = type(self).from_dict(present, **values).__dict__

    # -- sizes ----------------------------------------------------------------------------------------------------

    @classmethod
    def preset(cls, size: str, **overrides: Any) -> ElectraConfig:
        """The discriminator's configuration by its size (paper, table 6).

        Args:
            size: tiny (for laptops and tests), small, small++ (the published small one), base or large.
            **overrides: fields to change. Heads and feed-forward size follow from `hidden_size`.
        """
        require_one_of("size", size, PRESETS)
        hidden = overrides.get("hidden_size", PRESETS[size]["hidden_size"])
        derived = {"num_attention_heads": max(1, hidden // 64), "intermediate_size": 4 * hidden}
        return cls(**{**PRESETS[size], **derived, **overrides})

    def generator(self, fraction: float | None = None) -> ElectraConfig:
        """The configuration of the generator that goes with this discriminator.

        The embeddings are shared, so their size stays; depth stays; heads = max(1, hidden // 64), FFN = 4 x hidden
        (google-research/electra run_pretraining.py, get_generator_config).

        Args:
            fraction: the generator's `hidden_size` as a fraction of this one's. Default: `generator_hidden_size`, as
                the preset or the file has it, else 1/4.
        """
        if fraction is None:
            # Google's files have the name of the second
            stored = getattr(self, "generator_hidden_size", getattr(self, "generator_size", 0.25))
            try:
                fraction = float(stored)
            except (TypeError, ValueError):
                fraction = stored
        in_range = isinstance(fraction, float | int) and 0 < fraction <= 1
        require(in_range, "generator_hidden_size", fraction, "a fraction of hidden_size, above 0 and up to 1")
        hidden = round(self.hidden_size * fraction)
        values = {name: value for name, value in self.to_dict().items() if name not in _OF_THE_DISCRIMINATOR}
        values |= {
            "hidden_size": hidden,
            "num_attention_heads": max(1, hidden // 64),
            "intermediate_size": 4 * hidden,
            "attn_implementation": self._attn_implementation,
        }
        return type(self).from_dict(values)

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
"""Fields that are written as null, as transformers does."""
_OF_EVERY_MODEL = frozenset(
    {
        *("output_hidden_states", "output_attentions", "return_dict", "dtype", "chunk_size_feed_forward"),
        *("is_encoder_decoder", "id2label", "label2id", "problem_type", "architectures", "_name_or_path"),
    }
)
"""Fields that transformers writes only where they differ from the default."""
_OLD_NAMES = {
    "torch_dtype": "dtype",
    "_name_or_path": "name_or_path",
    "_attn_implementation": "attn_implementation",
}
_OF_THE_DISCRIMINATOR = frozenset({"architectures", "generator_hidden_size", "generator_size", "_name_or_path"})
_FLAGS = frozenset({"output_hidden_states", "output_attentions", "return_dict", "use_cache", "is_decoder"})
_FLAGS |= {"add_cross_attention", "tie_word_embeddings", "is_encoder_decoder", "chunk_size_feed_forward"}
_FURTHER: dict[str, Any] = {"summary_first_dropout": float, "name_or_path": str}
"""Keys that are no fields and that are read all the same."""
_DEEPEST = 100


def _no_config(name: str, folder: Path) -> str:
    """The error for a folder without config.json; a run's folder holds models in folders of their own."""
    inside = [half for half in ("discriminator", "generator") if (folder / half / "config.json").is_file()]
    if inside:
        choice = " or ".join(str(folder / half) for half in inside)
        return f"{name} has no config.json: it is the folder of a pretraining run. Its models are {choice}"
    return f"{name} has no config.json: it is not a model folder"


def _current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Old names of fields, and what follows from a part of the labels, in today's form."""
    kept = {name: value for name, value in values.items() if name not in ("model_type", "transformers_version")}
    return with_all_labels(_renamed(kept))


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under today's names; one that is given under both counts as it is under today's."""
    old = {new: values[name] for name, new in _OLD_NAMES.items() if name in values}
    return old | {name: value for name, value in values.items() if name not in _OLD_NAMES}


def _divided(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields, and further keys. None asks for the default of a flag, as in transformers."""
    fields = {name: value for name, value in values.items() if name in FIELD_NAMES}
    fields = {name: value for name, value in fields.items() if not (value is None and name in _FLAGS)}
    # NumPy's whole numbers, which JSON files cannot hold, become Python's
    fields = {name: int(value) if is_whole(value) else value for name, value in fields.items()}
    return fields, {name: value for name, value in values.items() if name not in FIELD_NAMES}


def _check_further(name: str, value: Any) -> None:
    """Refuse a key that would hide a method, or that no file can hold."""
    if name.startswith("__") or hasattr(ElectraConfig, name):
        raise ValueError(f"{shown(name)} is no field of a configuration, but the name of a method: rename or remove it")
    if name in _FURTHER:
        require_type(name, value, _FURTHER[name])
    _check_depth(name, value, 0)


def _check_depth(name: str, value: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"{shown(name)} is nested more than {_DEEPEST} deep: a configuration is not")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_depth(name, inner, depth + 1)


def _is_field(name: str, values: Mapping[str, Any]) -> bool:
    spellings = {"torch_dtype", "num_labels", "attn_implementation"}
    return name in spellings or name in values or name in FIELD_NAMES


def _dtype(name: str) -> torch.dtype:
    dtype = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"dtype is {shown(name)}: it must be one of torch's, such as float32, float16 or bfloat16")
    return dtype
