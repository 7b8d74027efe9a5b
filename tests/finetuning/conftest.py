"""A tiny pretrained model."""

from __future__ import annotations

from pathlib import Path

import pytest

from electra.text.tokenizer import ElectraTokenizer
from tests.finetuning import toy


@pytest.fixture(scope="package")
def tokenizer() -> ElectraTokenizer:
    return toy.words()


@pytest.fixture(scope="package")
def folder(tokenizer: ElectraTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A discriminator with random weights."""
    return toy.discriminator(tmp_path_factory.mktemp("discriminator"), tokenizer)
