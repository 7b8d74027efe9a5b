"""Sixty small documents, a vocabulary for them, and what is prepared of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from electra.data.dataset.shards import Shards

WORDS = ["the", "cat", "sat", "on", "mat", "[", "]", "sep", "mask", ".", "##s"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
DOCUMENTS = 60


def lines(document: int) -> list[str]:
    return ["the " * document + "mat " * (line + 1) for line in range(1 + document % 6)]


def ids(shards: Shards) -> list[list[int]]:
    return [sequence.tolist() for sequence in shards]


def settings(**changed: Any) -> dict[str, Any]:
    return {"length": 32, "seed": 5, "held_out_fraction": 0.1, **changed}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}
