"""Small model folders that both libraries read, with weights of order one, and texts of very different lengths."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.parity.twins import SIZES, redraw

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "new",
    "york",
    "is",
    "big",
    "##er",
    "##ing",
    "ann",
    "paris",
    "and",
    "in",
]
PIECES = [p for letter in string.ascii_lowercase for p in (letter, "##" + letter)]
VOCABULARY = list(dict.fromkeys(SPECIAL + WORDS + list(".,!?-'0123456789") + PIECES))
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
LONGEST = 24

TEXTS = [
    "Ann sat on the mat.",
    "cat",
    "The big cat is bigger, and the biggest cat is in New York - is Ann in Paris?",
    "",
    "singing Zürich 日本 in new york",
    "a a a a a a a a a a a a a a a a a a a a",
]
LONG_TEXT = "Ann and the cat sat on a mat in New York , bigger than Paris ! " * 5

QUESTIONS = ["Where is Ann?", "Is the bigger cat in New York, or is it on the mat?", "a"]
# each of its words is one token, and no two stretches of it are the same
WHOLE_WORDS = [word for word in WORDS if "#" not in word]
LONG_CONTEXT = " ".join(WHOLE_WORDS[(i * i + i // 5) % len(WHOLE_WORDS)] for i in range(150))


def make_folder(folder: Path, architecture: str, **fields: Any) -> Path:
    """A model folder as transformers writes it."""
    values = {**SIZES, "vocab_size": len(VOCABULARY), "max_position_embeddings": LONGEST, **fields}
    model = getattr(transformers, architecture)(transformers.ElectraConfig(**values))
    lively(redraw(model)).save_pretrained(folder)
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    longest = values["max_position_embeddings"]
    transformers.ElectraTokenizer(vocab=vocabulary, model_max_length=longest).save_pretrained(folder)
    return folder


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Small biases, little mixing of tokens and a loud head, so that tokens differ in what is said of them."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("bias", "attention.output.dense.weight")):
                parameter.mul_(0.1)
            elif name in (
                "classifier.weight",
                "qa_outputs.weight",
                "discriminator_predictions.dense_prediction.weight",
            ):
                parameter.mul_(4)
    return model


def fake(run: Callable[[Any], Any], longest: int = LONGEST) -> torch.nn.Module:
    """A model that answers a ragged batch with `run(batch)`."""

    class Fake(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.batches: list[tuple[int, ...]] = []

        def forward(self, batch: Any) -> Any:
            assert not self.training
            self.batches.append(batch.layout.lengths)
            return run(batch)

    return Fake()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(before)


def assert_same(ours: Any, theirs: Any, tolerance: float = 1e-5, where: str = "") -> None:
    """The same nesting, keys, strings and whole numbers; fractions to `tolerance`; plain Python throughout."""
    if isinstance(theirs, dict):
        assert type(ours) is dict, where
        assert list(ours) == list(theirs), where
        for key in theirs:
            assert_same(ours[key], theirs[key], tolerance, f"{where}.{key}")
    elif isinstance(theirs, (list, tuple)):
        assert type(ours) is list, where
        assert len(ours) == len(theirs), f"{where}: {ours} {theirs}"
        for i, pair in enumerate(zip(ours, theirs, strict=True)):
            assert_same(*pair, tolerance, f"{where}[{i}]")
    elif isinstance(theirs, (str, int)):
        assert type(ours) is type(theirs), where
        assert ours == theirs, where
    else:
        assert type(ours) is float, where
        difference = abs(ours - float(theirs)) / max(1.0, abs(float(theirs)))
        assert difference <= tolerance, f"{where}: {ours} and {theirs}"
