"""The names of Google's variables, from the names of our parameters, which are Hugging Face's.

| parameter                                               | variable                                              |
|---------------------------------------------------------|-------------------------------------------------------|
| electra.embeddings.word_embeddings.weight               | electra/embeddings/word_embeddings                    |
| electra.embeddings.LayerNorm.{weight,bias}              | electra/embeddings/LayerNorm/{gamma,beta}             |
| electra.encoder.layer.0.output.dense.{weight,bias}      | electra/encoder/layer_0/output/dense/{kernel,bias}    |
| discriminator_predictions.dense_prediction.*            | discriminator_predictions/dense_1/*                   |
| generator_predictions.*                                 | generator_predictions/*                               |
| generator_lm_head.bias                                  | generator_predictions/output_bias                     |

A generator has its encoder under `generator/`, and its embeddings are the discriminator's, unless they are untied.
A kernel is [inputs, outputs], and a weight [outputs, inputs].
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import Tensor

SLOTS = {"m": "adam_m", "v": "adam_v"}
"""The optimizer's moments of a variable: what stands behind its name, by our name for them."""

STEP = "global_step"


@dataclass(frozen=True)
class Scopes:
    """Under which names a network's encoder and its embeddings are."""

    encoder: str = "electra"
    embeddings: str = "electra"


def variable_name(parameter: str, scopes: Scopes) -> str:
    """The variable of a parameter of a network of pretraining, or of an encoder with a head."""
    if parameter == "generator_lm_head.bias":
        return "generator_predictions/output_bias"
    name = re.sub(r"\blayer\.(\d+)\.", r"layer_\1/", parameter).replace(".", "/")
    name = re.sub(r"^electra/embeddings/", f"{scopes.embeddings}/embeddings/", name)
    name = re.sub(r"^electra/(?=embeddings_project/|encoder/)", f"{scopes.encoder}/", name)
    name = name.replace("discriminator_predictions/dense_prediction/", "discriminator_predictions/dense_1/")
    if name.endswith("LayerNorm/weight"):
        return name.removesuffix("weight") + "gamma"
    if name.endswith("LayerNorm/bias"):
        return name.removesuffix("bias") + "beta"
    if name.endswith("_embeddings/weight"):
        return name.removesuffix("/weight")
    return re.sub("/weight$", "/kernel", name)


def turned(variable: str, values: Tensor) -> Tensor:
    """A kernel is a weight the other way round; all else is the same in both. A view, not a copy."""
    return values.T if re.search(r"/kernel(/adam_[mv])?$", variable) else values


def slot(variable: str, moment: str) -> str:
    """The variable that holds a moment ("m" or "v") of another."""
    return f"{variable}/{SLOTS[moment]}"


def is_kept(variable: str) -> bool:
    """Whether a variable is of a network: neither a moment nor the count of steps."""
    return variable != STEP and not variable.endswith(tuple(f"/{name}" for name in SLOTS.values()))
