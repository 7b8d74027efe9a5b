"""Padding of rows that are encoded already: columns of ids, or examples as a data loader collects them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Padding:
    """`kind` of truncation.PADDINGS, `length` in tokens for "max_length", what fills a row up and on which side."""

    kind: str
    length: int | None
    multiple_of: int | None
    side: str
    token: str
    token_id: int
    type_id: int

    def target(self, lengths: Sequence[int]) -> int | None:
        """The length that rows of these lengths are padded to, or None for no padding."""
        if self.kind == "do_not_pad" or not lengths:
            return None
        length = max(lengths) if self.kind == "longest" or self.length is None else self.length
        return length + -length % self.multiple_of if self.multiple_of else length


def collect(examples: Any) -> dict[str, Any]:
    """A list of examples (mappings) as one mapping of columns; a mapping as it is."""
    if isinstance(examples, Mapping):
        return dict(examples)
    if isinstance(examples, (list, tuple)) and all(isinstance(example, Mapping) for example in examples):
        names = list(examples[0]) if examples else []
        for number, example in enumerate(examples):
            if set(example) != set(names):
                raise ValueError(f"example {number} has the columns {list(example)}, the first one has {names}")
        return {name: [example[name] for example in examples] for name in names}
    raise ValueError(f"give a mapping of columns or a list of mappings to pad, not {type(examples).__name__}")


def pad_columns(columns: dict[str, Any], padding: Padding, with_mask: bool) -> dict[str, Any]:
    """Fill up the rows of `input_ids`, `token_type_ids`, `attention_mask` and `special_tokens_mask`.

    Other columns (labels, for one) stay as they are. `with_mask` adds an attention mask where there is none.
    """
    rows: list[list[int]] = columns["input_ids"]
    for name, column in columns.items():
        if len(column) != len(rows):
            raise ValueError(f"the column {name!r} has {len(column)} rows, 'input_ids' has {len(rows)}")
    if with_mask and "attention_mask" not in columns:
        columns["attention_mask"] = [[1] * len(row) for row in rows]
    target = padding.target([len(row) for row in rows])
    if target is None:
        return columns
    fillers = {"token_type_ids": padding.type_id, "special_tokens_mask": 1, "input_ids": padding.token_id}
    if with_mask:
        fillers["attention_mask"] = 0
    lengths = [len(row) for row in rows]
    for name in fillers.keys() & columns.keys():
        columns[name] = [
            _fill(row, fillers[name], target - length, padding.side)
            for row, length in zip(columns[name], lengths, strict=True)
        ]
    return columns


def pad_row(columns: Mapping[str, Any], padding: Padding, with_mask: bool) -> dict[str, Any]:
    """`pad_columns` for the columns of one row."""
    padded = pad_columns({name: [column] for name, column in columns.items()}, padding, with_mask)
    return {name: column[0] for name, column in padded.items()}


def _fill(row: list[int], filler: int, count: int, side: str) -> list[int]:
    filling = [filler] * count
    return [*row, *filling] if side == "right" else [*filling, *row]
