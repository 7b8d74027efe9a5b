"""Recognise a file that has not changed, without reading all of it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from electra.files.text_files import COMPRESSED, kind_of

ENDS_BYTES = 2**16

Source = dict[str, str | int]


def describe_sources(files: Iterable[Path]) -> list[Source]:
    """For each file its size in bytes, its time of change in nanoseconds and a hash of its first and last 64 KiB.

    Names are left out: a folder that was moved holds the same text. But what a suffix says of how a file is read is
    told, where that is not as plain text.
    """
    return [_describe(file) for file in files]


def _describe(path: Path) -> Source:
    with open(path, "rb") as file:
        state = os.fstat(file.fileno())
        ends = hashlib.sha256(file.read(ENDS_BYTES))
        file.seek(max(0, state.st_size - ENDS_BYTES))
        ends.update(file.read(ENDS_BYTES))
    kind = read_as(path)
    return {
        "bytes": state.st_size,
        "changed_ns": state.st_mtime_ns,
        "ends_sha256": ends.hexdigest(),
        **({} if kind == "text" else {"kind": kind}),
    }


def read_as(path: Path) -> str:
    """What a file is read as, by its suffix: text, jsonl.gz, …"""
    return f"{kind_of(path)}{path.suffix if path.suffix in COMPRESSED else ''}"
