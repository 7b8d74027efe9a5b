"""hparams.json: what Google's scripts are given with --hparams, as far as it says how a network is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# of model_hparam_overrides, which takes the fields of the BertConfig in Google's modeling.py
_SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
_NOT_IN_SHAPES = ("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
_NAMED_SIZES = {(12, 256): "small", (12, 768): "base", (24, 1024): "large"}


def read_settings(file: Path, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What the file says; {} where there is none. `fields`: those of the discriminator, which must agree with it.

    Raises:
        ValueError: the file is no JSON object, or of another network; the message names the file.
    """
    if not file.is_file():
        return {}
    try:
        settings = dict(json.loads(file.read_text(encoding="utf-8")))
        overrides = dict(settings.get("model_hparam_overrides") or {})
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{file} does not hold the --hparams of Google's scripts ({error}): remove or mend it."
        ) from error
    for name, value in overrides.items():
        if fields.get(name, value) != value:
            raise ValueError(
                f"{file} is of another network: {name} is {value} there, and {fields[name]} in the variables. Remove "
                "it if it does not belong to this checkpoint."
            )
    return settings


def overrides(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a configuration that shapes do not show, as far as the settings have them."""
    given = settings.get("model_hparam_overrides") or {}
    return {name: given[name] for name in _NOT_IN_SHAPES if name in given}


def heads(settings: Mapping[str, Any]) -> int | None:
    """How many attention heads the discriminator has, if the settings say so."""
    given = (settings.get("model_hparam_overrides") or {}).get("num_attention_heads")
    return None if given is None else int(given)


def settings_of(
    fields: Mapping[str, Any], *, generator: Mapping[str, Any] | None = None, task: str | None = None
) -> str:
    """The file for a network with these `fields` of a configuration, with which Google's scripts build it.

    generator: the fields of the generator beside it, if there is one. task: what it was fine-tuned for.
    """
    size = _NAMED_SIZES.get((fields["num_hidden_layers"], fields["hidden_size"]), "small")
    values: dict[str, Any] = {
        "model_size": size,
        "vocab_size": fields["vocab_size"],
        "embedding_size": fields["embedding_size"],
        **({"task_names": [task]} if task is not None else {}),
        **({} if generator is None else _fractions(generator, fields)),
        "model_hparam_overrides": {name: fields[name] for name in (*_SIZES, *_NOT_IN_SHAPES)},
    }
    return json.dumps(values, indent=1) + "\n"


def _fractions(generator: Mapping[str, Any], discriminator: Mapping[str, Any]) -> dict[str, float]:
    """A generator's sizes as shares of the discriminator's, which is how Google's code has them."""
    names = {"generator_hidden_size": "hidden_size", "generator_layers": "num_hidden_layers"}
    return {name: generator[field] / discriminator[field] for name, field in names.items()}
