"""A task that tiny models learn in seconds: is the word `red` in the text?"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch

from electra.commands.finetune import FinetuneConfig
from electra.config import ElectraConfig
from electra.models import ElectraForPreTraining
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import train_vocabulary

WORDS = ["red", "green", "blue", "grey", "tree", "house", "river", "stone", "cloud", "road"]
SIZES = {"hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def examples(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Sentences of a few words, labelled by whether `red` is among them; tags mark it."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = draw.choices(WORDS[1:], k=draw.randint(2, 9))
        if number % 2:
            words[draw.randrange(len(words))] = "red"
        tags = ["B-RED" if word == "red" else "O" for word in words]
        made.append(
            {"text": " ".join(words), "label": "yes" if "red" in words else "no", "tokens": words, "tags": tags}
        )
    return made


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def words() -> ElectraTokenizer:
    return train_vocabulary([" ".join(WORDS)] * 9, size=100)


def discriminator(path: Path, tokenizer: ElectraTokenizer, **changes: Any) -> Path:
    """A folder with a discriminator of random weights."""
    torch.manual_seed(0)
    sizes = {**SIZES, "intermediate_size": 64, "max_position_embeddings": 24, **changes}
    ElectraForPreTraining(ElectraConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def settings(folder: Path, tmp_path: Path, **changes: Any) -> FinetuneConfig:
    values: dict[str, Any] = {
        "model": str(folder),
        "task": "text-classification",
        "train": tmp_path / "train.jsonl",
        "eval": tmp_path / "eval.jsonl",
        "output": tmp_path / "out",
        "epochs": 6,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "layer_decay": 1.0,
        "device": "cpu",
        "quiet": True,
    }
    values |= changes
    for name, count, seed in (("train", 200, 0), ("eval", 60, 1)):
        if not values[name].exists():
            write(values[name], examples(count, seed))
    return FinetuneConfig(**values)
