"""`tokenizers.Encoding`s to the columns of a BatchEncoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenizers import Encoding

from electra.text.encode.padding import Padding


@dataclass(frozen=True)
class Wanted:
    """Which columns a call returns beside `input_ids`."""

    token_type_ids: bool = True
    attention_mask: bool = True
    overflow: bool = False
    special_tokens_mask: bool = False
    offsets: bool = False
    length: bool = False


def windows_of(encodings: list[Encoding], overflow: bool) -> tuple[list[Encoding], list[int]]:
    """The rows of the result, and for each the number of the text it is of; with `overflow` every window is a row."""
    if not overflow:
        return encodings, list(range(len(encodings)))
    rows, samples = [], []
    for number, encoding in enumerate(encodings):
        windows = [encoding, *encoding.overflowing]
        rows += windows
        samples += [number] * len(windows)
    return rows, samples


def pad_encodings(rows: list[Encoding], padding: Padding) -> None:
    """Pad in place."""
    target = padding.target([len(row) for row in rows])
    if target is None:
        return
    for row in rows:
        row.pad(
            target,
            direction=padding.side,
            pad_id=padding.token_id,
            pad_type_id=padding.type_id,
            pad_token=padding.token,
        )


def to_columns(rows: list[Encoding], samples: list[int], wanted: Wanted) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"input_ids": [row.ids for row in rows]}
    if wanted.token_type_ids:
        columns["token_type_ids"] = [row.type_ids for row in rows]
    if wanted.attention_mask:
        columns["attention_mask"] = [row.attention_mask for row in rows]
    if wanted.special_tokens_mask:
        columns["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
    if wanted.offsets:
        columns["offset_mapping"] = [row.offsets for row in rows]
    if wanted.length:
        columns["length"] = [len(row) for row in rows]
    if wanted.overflow:
        columns["overflow_to_sample_mapping"] = samples
    return columns
