"""Google's checkpoints with a vocabulary beside them, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from electra.commands.convert import convert
from electra.google.convert_config import ConvertConfig
from tests.parity.google import SHAPES, drawn, write_checkpoint

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_vocab(path: Path, tokens: list[str]) -> Path:
    path.write_text("\n".join([*SPECIAL, *tokens]) + "\n", encoding="utf-8")
    return path


def checkpoint(folder: Path, kind: str = "pair", **options: Any) -> Path:
    """A checkpoint with a vocabulary beside it; returns its folder."""
    write_checkpoint(folder, drawn(SHAPES[kind], **options))
    write_vocab(folder / "vocab.txt", ["sea", "##s"])
    return folder


def refused(source: Path, output: Path, match: str, error: type[Exception] = ValueError, **options: Any) -> None:
    """The error says so, and nothing is written."""
    before = sorted(output.parent.iterdir())
    with pytest.raises(error, match=match):
        convert(ConvertConfig(source, output, **options))
    assert sorted(output.parent.iterdir()) == before
