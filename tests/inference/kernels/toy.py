"""Small models and batches, and every set of kernels by name."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import nn

import electra
from electra.batch import Batch, Row
from electra.inference.kernel_library import KernelSet, Library

SETS = [
    ("amx", "bfloat16"),
    ("amx", "int8"),
    ("avx512", "float32"),
    ("avx512", "int8"),
    ("avx2_vnni", "int8"),
    ("avx2", "float32"),
    ("avx2", "int8"),
    ("neon", "float32"),
    ("neon", "int8"),
]
"""Instruction sets and precisions; those that a processor lacks are skipped by `kernel_set`."""

BOUNDS = {"float32": 1e-5, "bfloat16": 0.05, "int8": 0.25}
"""How far hidden states of small random networks may be from torch's in float32."""


def kernel_set(library: Library, name: str) -> KernelSet:
    found = [kernels for kernels in library.sets if kernels.name == name]
    if not found:
        pytest.skip(f"this processor has no {name}")
    return found[0]


def config(**values: Any) -> electra.ElectraConfig:
    small = {
        "vocab_size": 97,
        "embedding_size": 64,
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 192,
        "max_position_embeddings": 600,
    }
    return electra.ElectraConfig(**(small | values))


def model(kind: str = "ElectraModel", seed: int = 0, **values: Any) -> nn.Module:
    """A network with weights large enough for its answers to depend on them."""
    torch.manual_seed(seed)
    with torch.inference_mode(False):
        made = getattr(electra, kind)(config(**values)).eval()
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                if name.endswith("weight") and parameter.dim() == 2:
                    parameter.normal_(0, parameter.shape[1] ** -0.5)
                elif "LayerNorm" in name or name.endswith("bias"):
                    parameter.add_(torch.randn_like(parameter) * 0.1)
    return made


def batch(lengths: list[int], seed: int = 0, vocabulary: int = 97) -> Batch:
    return Batch.from_rows(rows(lengths, seed, vocabulary))


def rows(lengths: list[int], seed: int = 0, vocabulary: int = 97) -> list[Row]:
    draw = random.Random(seed)
    return [Row([draw.randrange(vocabulary) for _ in range(n)], [int(i > n // 2) for i in range(n)]) for n in lengths]
