"""GenerationConfig: the options of `generate` that a model brings, in transformers' names and files."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from electra.files.atomic import write_text
from electra.files.json_objects import object_text, read_object
from electra.generation.generation_options import FIELDS, Options, check_options, refuse_unknown
from electra.hub.hub_names import find_file

FILE = "generation_config.json"
_ABOUT_THE_FILE = ("transformers_version", "_from_model_config", "_commit_hash")


class GenerationConfig(Options):
    """The options of `generate`, field by field those of transformers' GenerationConfig that are supported.

    >>> GenerationConfig(do_sample=True, top_p=0.9, max_new_tokens=40).top_p
    0.9

    What a file holds besides (transformers' options that are not supported) is kept and written again; `generate`
    refuses it if it would change anything.

    Raises:
        ValueError: an unknown name, or a value that is not allowed.
    """

    def __init__(self, **values: Any) -> None:
        refuse_unknown(values, "GenerationConfig")
        super().__init__(**values)
        self._further: dict[str, Any] = {}
        check_options(self)

    @property
    def further(self) -> dict[str, Any]:
        """What a file held besides the options."""
        return dict(self._further)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> GenerationConfig:
        """From the content of a generation_config.json; `overrides` win."""
        config = cls(**{**{name: value for name, value in values.items() if name in FIELDS}, **overrides})
        other = {name: value for name, value in values.items() if name not in (*FIELDS, *_ABOUT_THE_FILE)}
        config._further = {name: value for name, value in other.items() if value is not None}
        return config

    @classmethod
    def of(cls, config: Any) -> GenerationConfig:
        """A GenerationConfig as it is, and one of transformers' as ours."""
        if isinstance(config, cls):
            return config
        if not hasattr(config, "to_diff_dict"):
            raise ValueError(f"generation_config is a {type(config).__name__}: it must be a GenerationConfig")
        return cls.from_dict(config.to_diff_dict())

    @classmethod
    def from_model_config(cls, config: Any) -> GenerationConfig:
        """What a model's configuration says of generating: its special tokens, and options in old config.json."""
        values = {name: value for name in FIELDS if (value := getattr(config, name, None)) is not None}
        if values.get("pad_token_id", 0) < 0:
            values["pad_token_id"] += config.vocab_size  # an embedding counts from its end, a text cannot
        if values.get("output_attentions") or values.get("output_hidden_states"):
            values["return_dict_in_generate"] = True
        return cls(**values)

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name: str | os.PathLike[str],
        config_file_name: str = FILE,
        *,
        subfolder: str = "",
        revision: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **overrides: Any,
    ) -> GenerationConfig:
        """Read generation_config.json from a folder or a hub name; `overrides` are options that win over the file.

        Raises:
            OSError: there is no such file.
            ValueError: it is damaged, or holds a value that is not allowed; the message names it.
        """
        path = find_file(
            pretrained_model_name,
            config_file_name,
            subfolder=subfolder,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        if path is None:
            raise OSError(f"{pretrained_model_name} has no {config_file_name}")
        values = read_object(path)
        try:
            return cls.from_dict(values, **overrides)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def save_pretrained(self, folder: str | os.PathLike[str], config_file_name: str = FILE) -> None:
        """Write generation_config.json into `folder`, which is made if need be."""
        check_options(self)
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_text(Path(folder) / config_file_name, self.to_json_string())

    def to_dict(self) -> dict[str, Any]:
        """Every option, None where it is not set, and every further key, as JSON can hold them."""
        values = {name: copy.deepcopy(getattr(self, name)) for name in FIELDS}
        if isinstance(self.sequence_bias, dict):
            values["sequence_bias"] = [[list(ids), bias] for ids, bias in self.sequence_bias.items()]
        return {**values, **copy.deepcopy(self._further)}

    def to_diff_dict(self) -> dict[str, Any]:
        """The options that are set, and every further key."""
        return {name: value for name, value in sorted(self.to_dict().items()) if value is not None}

    def to_json_string(self) -> str:
        """The content of generation_config.json."""
        return object_text(self.to_diff_dict())

    def update(self, **values: Any) -> None:
        """Set several options; all are checked together."""
        self.__dict__ = type(self).from_dict(self.to_dict(), **values).__dict__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"
