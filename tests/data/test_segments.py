"""The example builder equals Google's, id for id."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tokenizers.implementations import BertWordPieceTokenizer

from electra.data.dataset.batches import token_types
from electra.data.preparation.segments import ExampleBuilder, examples_of

CLS, SEP = 101, 102
CASES = 5


def build(folder: Path, case: dict[str, Any]) -> list[list[int]]:
    """What the fixture's note says was done with the original."""
    tokenizer = BertWordPieceTokenizer(str(folder / "data/vocab.txt"))
    special = {name: tokenizer.token_to_id(f"[{name.upper()}]") for name in ("cls", "sep")}
    builder = ExampleBuilder(
        length=case["max_length"],
        cls_token_id=special["cls"],
        sep_token_id=special["sep"],
        random=Random(case["seed"]),
    )
    examples = []
    for file in sorted((folder / "data/corpus").iterdir()):
        for line in file.read_text("utf-8").splitlines():
            if line.strip():
                examples.append(builder.add(tokenizer.encode(line.strip(), add_special_tokens=False).ids))
            elif case["blanks_separate_docs"]:
                examples.append(builder.end_document())
        examples.append(builder.end_document())
    return [example for example in examples if example is not None]


@pytest.mark.parametrize("number", range(CASES))
def test_the_examples_are_the_originals(shared: Path, number: int) -> None:
    folder = shared / "fixtures/tf1"
    cases = json.loads((folder / "reference/example_builder.json").read_text())["cases"]
    assert len(cases) == CASES
    expected = cases[number]["examples"]
    examples = build(folder, cases[number])
    assert examples == [example["input_ids"] for example in expected]
    sep = examples[0][-1]
    types = token_types(np.concatenate(examples), [len(example) for example in examples], sep)
    assert types.tolist() == [kind for example in expected for kind in example["segment_ids"]]


def test_a_document_depends_on_seed_and_number_alone() -> None:
    sentences = [list(range(200 + 10 * i, 200 + 10 * i + i % 9)) for i in range(80)]

    def made(seed: int, document: int) -> list[list[int]]:
        return list(examples_of(sentences, length=32, cls_token_id=CLS, sep_token_id=SEP, seed=seed, document=document))

    assert made(1, 7) == made(1, 7)
    assert made(1, 7) not in [made(7, 1), made(2, 7), made(1, 8)]
    for example in made(1, 7):
        assert example[0] == CLS
        assert example[-1] == SEP
        assert len(example) <= 32


def test_the_first_target_of_a_document_may_be_short_too() -> None:
    """Else a corpus of short documents would never see a short target."""
    sentences = [[5]] * 127
    counts = [
        len(list(examples_of(sentences, length=128, cls_token_id=1, sep_token_id=2, seed=0, document=document)))
        for document in range(2000)
    ]
    assert 0.03 < np.mean(np.array(counts) > 1) < 0.07


def test_a_document_without_tokens_gives_no_example() -> None:
    assert list(examples_of([[], []], length=8, cls_token_id=1, sep_token_id=2, seed=0, document=0)) == []


def test_a_length_without_room_for_an_example() -> None:
    with pytest.raises(ValueError, match="length=4"):
        ExampleBuilder(length=4, cls_token_id=1, sep_token_id=2, random=Random(0))
