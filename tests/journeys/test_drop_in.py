"""The code that transformers' ELECTRA page shows, with the import changed; through transformers it says the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from tests.parity.twins import SIZES, redraw

TEXT = "the a restaurant has amazing food short text this is much longer that needs padding great bad"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of three feelings, with a vocabulary of whole words."""
    path = tmp_path_factory.mktemp("emotion")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "!", *TEXT.split()]
    (path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    labels = {"id2label": {0: "joy", 1: "anger", 2: "love"}}
    config = electra.ElectraConfig(**{**SIZES, "vocab_size": len(pieces), **labels})
    redraw(electra.ElectraForSequenceClassification(config)).save_pretrained(path)
    electra.read_vocabulary(path / "vocab.txt").save_pretrained(path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_pipeline(folder: Path, dtype: torch.dtype) -> None:
    def run(library: Any) -> Any:
        classifier = library.pipeline(task="text-classification", model=str(folder), dtype=dtype, device=-1)
        return classifier("This restaurant has amazing food!")

    ours, theirs = run(electra), run(transformers)
    assert ours[0]["label"] == theirs[0]["label"]
    assert ours[0]["score"] == pytest.approx(theirs[0]["score"], abs=1e-5 if dtype == torch.float32 else 2e-2)


def test_the_model_with_padding(folder: Path) -> None:
    def run(library: Any) -> Any:
        tokenizer = library.AutoTokenizer.from_pretrained(folder)
        model = library.AutoModelForSequenceClassification.from_pretrained(folder)
        inputs = tokenizer("This is great!", return_tensors="pt")
        with torch.no_grad():
            outputs = model(**inputs)
        label = model.config.id2label[outputs.logits.argmax(dim=-1).item()]
        several = tokenizer(
            ["Short text", "This is a much longer text that needs padding"], padding=True, return_tensors="pt"
        )
        assert several["attention_mask"].sum(1).tolist() == [4, 11]
        with torch.no_grad():
            return outputs.logits, model(**several).logits, label

    ours, theirs = run(electra), run(transformers)
    assert torch.allclose(ours[0], theirs[0], atol=1e-5)
    assert torch.allclose(ours[1], theirs[1], atol=1e-5)
    assert ours[2] == theirs[2]
    assert (ours[1][0] - ours[1][1]).abs().max() > 0.1
