"""Tiny models and a problem that they learn in a few steps: does the word `cat` stand in the text?"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers

import electra
from tests.parity.twins import SIZES, redraw
from tests.tasks.tiny import LONGEST, VOCABULARY, WORDS
from tests.tasks.tiny import lively as different_tokens

FIELDS: dict[str, Any] = {
    **SIZES,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": LONGEST,
    "num_hidden_layers": 2,
    "initializer_range": 0.1,
}
CAT = VOCABULARY.index("cat")


def tokenizer(library: Any = electra) -> Any:
    return library.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=LONGEST)


def build(name: str, seed: int = 0, **fields: Any) -> Any:
    """One of our models as it is before training."""
    torch.manual_seed(seed)
    return getattr(electra, name)(electra.ElectraConfig(**FIELDS, **fields))


def lively(name: str, seed: int = 0, **fields: Any) -> Any:
    """One of our models with weights of order one, so that what is lost shows."""
    return different_tokens(redraw(build(name, **fields), seed)).eval()


def theirs(model: Any) -> Any:
    """transformers' model of the same class, configuration and weights."""
    config = transformers.ElectraConfig(**model.config.to_dict())
    other = getattr(transformers, type(model).__name__)(config)
    other.load_state_dict(model.state_dict(), strict=True)
    return other.train(model.training)


def save(model: Any, folder: Path) -> Path:
    """A whole model folder of ours."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def texts(count: int, seed: int = 0) -> list[str]:
    drawn = random.Random(seed)
    return [" ".join(drawn.choices(WORDS[:6], k=drawn.randint(2, 8))) for _ in range(count)]


def examples(task: str, count: int = 64, seed: int = 0) -> datasets.Dataset:
    """Tokenized texts with what a task learns from: `classes`, `tokens` (which is `cat`?) or `words` (nothing more)."""
    written = texts(count, seed)
    rows = datasets.Dataset.from_dict(dict(tokenizer()(written)))
    if task == "classes":
        return rows.add_column("label", [int("cat" in text.split()) for text in written])
    if task == "tokens":
        return rows.add_column("labels", [[int(i == CAT) for i in ids] for ids in rows["input_ids"]])
    assert task == "words"
    return rows
