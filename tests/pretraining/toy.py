"""A language of a few words, and runs of seconds on it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from electra.commands.pretrain import PretrainConfig

WORDS = {
    "who": ["cat", "dog", "bird", "fish", "king", "queen"],
    "does": ["sees", "eats", "likes", "finds", "follows"],
    "how": ["big", "small", "old", "young", "red"],
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(WORDS[kind]) for kind in ("how", "who", "does", "how", "who")) + "."


def write_text(path: Path, documents: int = 60, seed: int = 0) -> Path:
    draw = random.Random(seed)
    texts = ("\n".join(sentence(draw) for _ in range(draw.randint(1, 8))) for _ in range(documents))
    path.write_text("\n\n".join(texts) + "\n")
    return path


def write_vocab(path: Path) -> Path:
    words = [word for kind in WORDS.values() for word in kind]
    path.write_text("\n".join([*SPECIAL, ".", *words]) + "\n")
    return path


def toy(folder: Path, **changes: Any) -> PretrainConfig:
    """12 steps of 4 examples of up to 24 tokens; the files are made in `folder`, the run is `folder/run`."""
    folder.mkdir(exist_ok=True, parents=True)
    settings: dict[str, Any] = {
        "files": (str(write_text(folder / "text.txt")),),
        "vocab": write_vocab(folder / "vocab.txt"),
        "output": folder / "run",
        "size": "tiny",
        "steps": 12,
        "batch_size": 4,
        "max_length": 24,
        "report_every": 4,
        "evaluate_every": 6,
        "evaluate_examples": 4,
        "save_every": 6,
        "held_out_fraction": 0.1,
        "device": "cpu",
        "quiet": True,
    }
    return PretrainConfig(**(settings | changes))
