"""The documents of `toy` in a file, and their tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from electra.text.tokenizer import ElectraTokenizer
from tests.data.toy import DOCUMENTS, SPECIAL, WORDS, lines


@pytest.fixture
def tokenizer() -> ElectraTokenizer:
    return ElectraTokenizer([*SPECIAL, *WORDS])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Documents of 1 to 6 lines; line j of document i says "the" i times and then "mat" j times."""
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join("".join(f"{line}\n" for line in lines(i)) for i in range(DOCUMENTS)))
    return path
