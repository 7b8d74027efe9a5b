"""GenerationConfig: what `generate` is asked for, in transformers' names, and generation_config.json."""

from __future__ import annotations

import copy
import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from electra.files.atomic import write_text
from electra.files.json_objects import object_text, read_object
from electra.generation.option_checks import check
from electra.hub.hub_names import find_file

FILE = "generation_config.json"


@dataclass(kw_only=True, eq=False)
class _Fields:
    """Every option that is taken. None: not said, so the model's own value counts, then `DEFAULTS`."""

    # -- how long
    max_length: int | None = None
    """Of the whole text, prompt included, in tokens."""
    max_new_tokens: int | None = None
    """Of what is added. Wins over `max_length`."""
    min_length: int | None = None
    min_new_tokens: int | None = None
    """Wins over `min_length`."""
    early_stopping: bool | str | None = None
    """Beams. True: stop at `num_beams` finished texts; False: when a better one is unlikely; "never": impossible."""
    max_time: float | None = None
    """Seconds; the token that is being computed is finished."""
    stop_strings: str | list[str] | None = None
    """Stop after any of these; needs `generate(tokenizer=…)`."""

    # -- how to choose
    do_sample: bool | None = None
    """Draw the next token, in place of taking the likeliest."""
    num_beams: int | None = None
    """How many continuations are kept at a time; 1: no beam search."""
    num_return_sequences: int | None = None
    """Answers for each prompt."""
    use_cache: bool | None = None
    """Keep keys and values, so that a step computes one token."""

    # -- what may be sampled
    temperature: float | None = None
    """Scores are divided by it: below 1 sharper, above 1 flatter."""
    top_k: int | None = None
    """The likeliest so many tokens; 0: all."""
    top_p: float | None = None
    """The likeliest tokens that have this probability together (Holtzman et al. 2020)."""
    min_p: float | None = None
    """Tokens at least this share as likely as the likeliest (Nguyen et al. 2024)."""
    typical_p: float | None = None
    """Tokens whose surprise is nearest to the expected one, up to this probability (Meister et al. 2022)."""
    epsilon_cutoff: float | None = None
    """Tokens at least this likely (Hewitt et al. 2022)."""
    eta_cutoff: float | None = None
    """The same, lower where the distribution is flat (Hewitt et al. 2022)."""

    # -- what is wanted more and less
    repetition_penalty: float | None = None
    """Above 1: tokens that the text has already become less likely (Keskar et al. 2019)."""
    length_penalty: float | None = None
    """Beams: a text's log probability is divided by its new tokens to this power."""
    no_repeat_ngram_size: int | None = None
    """No so many tokens in a row twice."""
    bad_words_ids: list[list[int]] | None = None
    sequence_bias: dict[tuple[int, ...], float] | list[list[Any]] | None = None
    """What is added to a token's score where it completes one of these sequences."""
    forced_bos_token_id: int | None = None
    forced_eos_token_id: int | list[int] | None = None
    """The last token of a text that reaches `max_length`."""
    suppress_tokens: list[int] | None = None
    begin_suppress_tokens: list[int] | None = None
    """Never the first new token."""
    exponential_decay_length_penalty: tuple[int, float] | None = None
    """From so many new tokens on, the end becomes likelier by this factor with each."""
    remove_invalid_values: bool | None = None
    renormalize_logits: bool | None = None
    """Make log probabilities of the scores when all else is done."""

    # -- what is returned
    output_attentions: bool | None = None
    output_hidden_states: bool | None = None
    output_scores: bool | None = None
    output_logits: bool | None = None
    return_dict_in_generate: bool | None = None
    """A `GenerateDecoderOnlyOutput` or `GenerateBeamDecoderOnlyOutput`, in place of the token ids alone."""

    # -- tokens with a role
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    """What a text without a prompt begins with."""
    eos_token_id: int | list[int] | None = None
    """What ends a text."""


FIELDS = tuple(field.name for field in fields(_Fields))

# transformers 5.23, for what neither the call nor the model says
DEFAULTS: dict[str, Any] = {
    "max_length": 20,
    "min_length": 0,
    "early_stopping": False,
    "do_sample": False,
    "num_beams": 1,
    "num_return_sequences": 1,
    "use_cache": True,
    "temperature": 1.0,
    "top_k": 50,
    "top_p": 1.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "length_penalty": 1.0,
    "no_repeat_ngram_size": 0,
}


class GenerationConfig(_Fields):
    """The options of `generate`, field by field those of transformers' GenerationConfig that are taken here.

    `GenerationConfig(do_sample=True, top_p=0.9, max_new_tokens=40)`. Values that cannot be meant are a ValueError, and
    so is an unknown name; what a file holds besides (transformers' options that are not taken here) is kept and written
    again, and is a ValueError in `generate` if it would change anything.
    """

    def __init__(self, **values: Any) -> None:
        refuse_unknown(values, "GenerationConfig")
        super().__init__(**values)
        self._further: dict[str, Any] = {}
        check(self)

    @property
    def further(self) -> dict[str, Any]:
        """What a file held besides the fields."""
        return dict(self._further)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> GenerationConfig:
        """From a generation_config.json's content; `overrides` win."""
        known = {name: value for name, value in values.items() if name in FIELDS}
        made = cls(**{**known, **overrides})
        made._further = {
            name: value
            for name, value in values.items()
            if name not in FIELDS and name not in _ABOUT_THE_FILE and value is not None
        }
        return made

    @classmethod
    def of(cls, config: Any) -> GenerationConfig:
        """A GenerationConfig as it is, and one of transformers' as ours; anything else is a ValueError."""
        if isinstance(config, cls):
            return config
        if not hasattr(config, "to_diff_dict"):
            raise ValueError(f"generation_config is a {type(config).__name__}: it must be a GenerationConfig")
        return cls.from_dict(config.to_diff_dict())

    @classmethod
    def from_model_config(cls, config: Any) -> GenerationConfig:
        """What a model's configuration says about generating: its special tokens, and options in old config.json."""
        said = {name: value for name in FIELDS if (value := getattr(config, name, None)) is not None}
        if said.get("pad_token_id", 0) < 0:
            said["pad_token_id"] += config.vocab_size  # an embedding counts from its end, a text cannot
        if said.get("output_attentions") or said.get("output_hidden_states"):
            said["return_dict_in_generate"] = True
        return cls(**said)

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
        """Read generation_config.json from a folder or a hub name. `overrides`: fields to change.

        Raises OSError where there is no such file, and ValueError, naming it, where it holds what cannot be meant.
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
        check(self)
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_text(Path(folder) / config_file_name, self.to_json_string())

    def to_dict(self) -> dict[str, Any]:
        """Every field, None where nothing is said, and every further key, as JSON can hold them."""
        values = {name: copy.deepcopy(getattr(self, name)) for name in FIELDS}
        if isinstance(self.sequence_bias, dict):
            values["sequence_bias"] = [[list(ids), bias] for ids, bias in self.sequence_bias.items()]
        return {**values, **copy.deepcopy(self._further)}

    def to_diff_dict(self) -> dict[str, Any]:
        """What is said: the fields that are not None."""
        return {name: value for name, value in sorted(self.to_dict().items()) if value is not None}

    def to_json_string(self) -> str:
        return object_text(self.to_diff_dict())

    def update(self, **values: Any) -> None:
        """Set several fields; all are checked together."""
        changed = type(self).from_dict(self.to_dict(), **values)
        self.__dict__ = changed.__dict__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GenerationConfig) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string().rstrip()}"


_ABOUT_THE_FILE = ("transformers_version", "_from_model_config", "_commit_hash")


def refuse_unknown(given: Iterable[str], what: str, *also: str) -> None:
    """A name that is no option is a ValueError with a suggestion."""
    allowed = [*FIELDS, *also]
    for name in given:
        if name not in allowed:
            close = difflib.get_close_matches(name, allowed, 1)
            meant = f": did you mean {close[0]!r}?" if close else f". There is {', '.join(sorted(allowed))}."
            raise ValueError(f"{what} has no option {name!r}{meant}")
