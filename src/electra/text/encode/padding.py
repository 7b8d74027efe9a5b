"""Padding of rows that are encoded already: columns of ids, or examples as a data loader collects them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from electra.text.encode.call_options import Padding


def collect(examples: Any) -> dict[str, Any]:
    """A list of examples (mappings) as one mapping of columns; a mapping as it is.

    Raises:
        ValueError: it is neither, or the examples differ in their columns.
    """
    if isinstance(examples, Mapping):
        return dict(examples)
    if isinstance(examples, (list, tuple)) and all(isinstance(example, Mapping) for example in examples):
        names = list(examples[0]) if examples else []
        for number, example in enumerate(examples):
            if set(example) != set(names):
                raise ValueError(f"example {number} has the columns {list(example)}, the first one has {names}")
        return {name: [example[name] for example in examples] for name in names}
    raise ValueError(
        f"encoded_inputs is a {type(examples).__name__}: it must be a mapping of columns or a list of mappings"
    )


def pad_columns(columns: dict[str, Any], padding: Padding, with_mask: bool) -> dict[str, Any]:
    """Pad the rows of `input_ids`, `token_type_ids`, `attention_mask` and `special_tokens_mask`.

    Other columns (labels, for one) stay as they are.

    Args:
        columns: lists of rows by name.
        padding: the length and what rows are padded with.
        with_mask: add an attention mask where there is none.
    """
    rows: list[list[int]] = columns["input_ids"]
    for name, column in columns.items():
        if len(column) != len(rows):
            raise ValueError(f"the column {name!r} has {len(column)} rows, 'input_ids' has {len(rows)}")
    if with_mask and "attention_mask" not in columns:
        columns["attention_mask"] = [[1] * len(row) for row in rows]
    lengths = [len(row) for row in rows]
    target = padding.target(lengths)
    if target is None:
        return columns
    values = {"token_type_ids": padding.type_id, "special_tokens_mask": 1, "input_ids": padding.token_id}
    if with_mask:
        values["attention_mask"] = 0
    for name in values.keys() & columns.keys():
        columns[name] = [
            _fill(row, values[name], target - length, padding.side)
            for row, length in zip(columns[name], lengths, strict=True)
        ]
    return columns


def pad_row(columns: Mapping[str, Any], padding: Padding, with_mask: bool) -> dict[str, Any]:
    """`pad_columns` for the columns of one row."""
    padded = pad_columns({name: [column] for name, column in columns.items()}, padding, with_mask)
    return {name: column[0] for name, column in padded.items()}


def _fill(row: list[int], value: int, count: int, side: str) -> list[int]:
    filling = [value] * count
    return [*row, *filling] if side == "right" else [*filling, *row]
