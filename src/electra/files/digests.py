"""Digests of files: of the whole file, or of its size, time and ends, which recognise an unchanged file quickly"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from electra.files.text_files import COMPRESSED, kind_of

ENDS_BYTES = 2**16
"""How much of the beginning and of the end of a file its quick description reads."""

Source = dict[str, str | int]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_sources(files: Iterable[Path]) -> list[Source]:
    """Describe files so that a changed one is recognised without reading all of it.

    Args:
        files: of text; hundreds of gigabytes are not read again at every start.

    Returns:
        For each file its size in bytes, its time of change in nanoseconds and the SHA-256 of its first and last 64 KiB;
        with `kind` where its suffix says that it is not plain text. Names are left out: a folder that was moved holds
        the same text.
    """
    return [_describe(file) for file in files]


def _describe(path: Path) -> Source:
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())
        ends = hashlib.sha256(file.read(ENDS_BYTES))
        file.seek(max(0, state.st_size - ENDS_BYTES))
        ends.update(file.read(ENDS_BYTES))
    kind = format_of(path)
    return {
        "bytes": state.st_size,
        "changed_ns": state.st_mtime_ns,
        "ends_sha256": ends.hexdigest(),
        **({} if kind == "text" else {"kind": kind}),
    }


def format_of(path: Path) -> str:
    """The format that a file is read as, by its suffixes: text, jsonl.gz, …"""
    return f"{kind_of(path)}{path.suffix if path.suffix in COMPRESSED else ''}"
