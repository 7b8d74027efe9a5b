"""Google's checkpoints for tests: those of the fixture, converted, and small ones of every kind that its code writes.

The names are written out as Google's code has them (reference/recipe.md, 5.1), not made by the code under test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from electra.google.tensorflow.bundle import write_bundle

FIXTURE = "fixtures/tf1"

WORDS, PLACES, LAYERS = 37, 24, 2


def torch_name(name: str) -> tuple[str, str]:
    """A TensorFlow variable's place: ("discriminator" or "generator", parameter name). Kernels are transposed."""
    network = "generator" if name.startswith("generator") else "discriminator"
    name = re.sub(r"^generator/", "electra/", name).replace("layer_", "layer.")
    name = name.replace("generator_predictions/output_bias", "generator_lm_head/bias")
    name = name.replace("discriminator_predictions/dense_1", "discriminator_predictions/dense_prediction")
    name = re.sub(r"_embeddings$", "_embeddings/weight", name)
    for theirs, ours in (("kernel", "weight"), ("gamma", "weight"), ("beta", "bias")):
        name = re.sub(f"/{theirs}$", f"/{ours}", name)
    return network, name.replace("/", ".")


def oriented(name: str, value: np.ndarray) -> np.ndarray:
    """A kernel is [in, out] there and [out, in] here."""
    return value.T if name.endswith("kernel") else value


def dense(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/LayerNorm/gamma": (width,), f"{name}/LayerNorm/beta": (width,)}


def embeddings(scope: str, width: int, words: int = WORDS, places: int = PLACES) -> dict[str, tuple[int, ...]]:
    tables = {"word_embeddings": words, "position_embeddings": places, "token_type_embeddings": 2}
    shapes = {f"{scope}/embeddings/{name}": (rows, width) for name, rows in tables.items()}
    return {**shapes, **norm(f"{scope}/embeddings", width)}


def encoder(scope: str, embedding: int, width: int, inner: int, layers: int = LAYERS) -> dict[str, tuple[int, ...]]:
    shapes = dense(f"{scope}/embeddings_project", embedding, width) if embedding != width else {}
    for number in range(layers):
        layer = f"{scope}/encoder/layer_{number}"
        for part in ("query", "key", "value"):
            shapes |= dense(f"{layer}/attention/self/{part}", width, width)
        shapes |= dense(f"{layer}/attention/output/dense", width, width) | norm(f"{layer}/attention/output", width)
        shapes |= dense(f"{layer}/intermediate/dense", width, inner) | dense(f"{layer}/output/dense", inner, width)
        shapes |= norm(f"{layer}/output", width)
    return shapes


def discriminator_head(width: int) -> dict[str, tuple[int, ...]]:
    name = "discriminator_predictions"
    return dense(f"{name}/dense", width, width) | dense(f"{name}/dense_1", width, 1)


def generator_head(
    width: int, embedding: int, name: str = "generator_predictions", words: int = WORDS
) -> dict[str, tuple[int, ...]]:
    return dense(f"{name}/dense", width, embedding) | norm(name, embedding) | {f"{name}/output_bias": (words,)}


def fine_tuned(task: str, **layers: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """An encoder 16 wide with a head of these layers."""
    shapes = embeddings("electra", 16) | encoder("electra", 16, 16, 20)
    for name, (inputs, outputs) in layers.items():
        shapes |= dense(f"task_specific/{task}/{name}", inputs, outputs)
    return shapes


_DISCRIMINATOR = embeddings("electra", 12) | encoder("electra", 12, 16, 20) | discriminator_head(16)

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "pair": _DISCRIMINATOR | encoder("generator", 12, 8, 32) | generator_head(8, 12),
    "generator as wide": _DISCRIMINATOR | encoder("generator", 12, 16, 64) | generator_head(16, 12),
    "generator not as deep": _DISCRIMINATOR | encoder("generator", 12, 8, 32, 1) | generator_head(8, 12),
    "untied embeddings": _DISCRIMINATOR
    | embeddings("generator", 8)
    | encoder("generator", 8, 8, 32)
    | generator_head(8, 8),
    "one encoder": _DISCRIMINATOR | generator_head(16, 12),
    "no generator": _DISCRIMINATOR,
    "masked language model": embeddings("electra", 12) | encoder("electra", 12, 16, 20) | generator_head(16, 12),
    "encoder": embeddings("electra", 12) | encoder("electra", 12, 16, 20),
    "electric": _DISCRIMINATOR
    | encoder("generator_ltr", 12, 8, 32)
    | encoder("generator_rtl", 12, 8, 32)
    | generator_head(16, 12, "cloze_predictions"),
    "mnli": fine_tuned("mnli", dense=(16, 3)),
    "sts": fine_tuned("sts", dense=(16, 1)),
    "chunk": fine_tuned("chunk", dense=(16, 9)),
    "squadv1 joint": fine_tuned("squadv1", dense=(16, 1), qa_hidden=(32, 11), dense_1=(11, 1)),
    "squadv1 apart": fine_tuned("squadv1", dense=(16, 1), dense_1=(16, 1)),
    "two tasks": fine_tuned("mnli", dense=(16, 3)) | fine_tuned("chunk", dense=(16, 9)),
}
"""The variables of a checkpoint of each kind, by name."""


def drawn(shapes: Mapping[str, tuple[int, ...]], *, slots: bool = False, step: int = 7) -> dict[str, np.ndarray]:
    """Values of order one, which follow from a variable's name; with `global_step`, and moments if asked for."""
    values: dict[str, np.ndarray] = {"global_step": np.array(step, np.int64)}
    for name, shape in shapes.items():
        for slot in ("", *(("/adam_m", "/adam_v") if slots else ())):
            numbers = np.random.default_rng(list((name + slot).encode()))
            values[name + slot] = numbers.standard_normal(shape, np.float32)
    return values


def write_checkpoint(folder: Path, values: Mapping[str, np.ndarray]) -> Path:
    """A checkpoint in `folder`; returns its prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = folder / f"model.ckpt-{int(values['global_step'])}"
    write_bundle(prefix, sorted(values.items()))
    return prefix
