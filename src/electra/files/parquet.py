"""Parquet files: their rows in batches, and what their schema says about columns of classes"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from electra.files.encodings import Decoding, NotTextError
from electra.files.lines import BytesRead, Refuse, Row, place_in, refuse
from electra.validation import import_extra

BATCH_ROWS = 1024  # decoded at once out of a row group
PURPOSE = "reading .parquet files"


def read_parquet(
    path: Path,
    decoding: Decoding | None = None,
    *,
    columns: Sequence[str] | None = None,
    refuse_row: Refuse = refuse,
    on_bytes: BytesRead | None = None,
) -> Iterator[Row]:
    """The rows, read row group by row group.

    Args:
        path: of a Parquet file.
        decoding: how bytes become text; strings that are not UTF-8 are refused by default.
        columns: which ones to read; all by default.
        refuse_row: called with the complaint about a row with a value that cannot be used.
        on_bytes: called after each row group with its part of the file's size.

    Raises:
        ValueError: it names the file, and the row where there is one: a file that is not Parquet or damaged, a missing
            column, by `refuse_row` a value that is not text or that Python has no value for.
    """
    decoding = decoding or Decoding()
    size = os.stat(path).st_size
    row = 1
    with _opened(path) as file:
        names = file.schema_arrow.names
        if missing := [name for name in columns or () if name not in names]:
            raise ValueError(f"{path}: there is no column {missing[0]!r}, only {', '.join(names)}")
        groups = file.num_row_groups
        for group in range(groups):
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                values = [_values(column, decoding) for column in batch.columns]
                for cells in zip(*values, strict=True):
                    bad = [(name, cell) for name, cell in zip(batch.schema.names, cells, strict=True) if _is_bad(cell)]
                    if bad:
                        refuse_row(f"{place_in(path, row)}: {bad[0][0]!r} cannot be read ({bad[0][1].reason})")
                    else:
                        replaced = sum(cell.replaced for cell in cells if isinstance(cell, _Replaced))
                        plain = (cell.text if isinstance(cell, _Replaced) else cell for cell in cells)
                        yield Row(row, dict(zip(batch.schema.names, plain, strict=True)), replaced)
                    row += 1
            if on_bytes is not None:
                on_bytes(size * (group + 1) // groups - size * group // groups)
    if os.stat(path).st_size != size:
        raise ValueError(f"{path} changed while it was read: start again when nothing writes to it")


def column_types(path: Path) -> dict[str, str]:
    """The columns and their types as Arrow writes them: string, int64, list<element: string>, …"""
    with _opened(path) as file:
        return {field.name: str(field.type) for field in file.schema_arrow}


def class_names(path: Path) -> dict[str, list[str]]:
    """The names behind columns of class numbers, as the `datasets` library writes them into a file's schema.

    Returns:
        By column, the names in the order of the numbers; columns without such names are not in it. For a column of
        lists of numbers, the names of the numbers in the lists.
    """
    with _opened(path) as file:
        metadata = file.schema_arrow.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        found = {name: _names_of(feature) for name, feature in features.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # the metadata of another program under the same key
    return {name: names for name, names in found.items() if names}


def _names_of(feature: Any) -> list[str] | None:
    """The class names of a feature, or of what it is a list of: `[feature]`, or an object with a `feature` in it."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names_of(feature[0])
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        names = feature.get("names")
        return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
    return _names_of(feature.get("feature"))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    parquet = import_extra("pyarrow.parquet", "data", PURPOSE)
    damage = import_extra("pyarrow", "data", PURPOSE).ArrowException
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (damage, OSError) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise ValueError(f"{path} is damaged or no Parquet file ({error}): make or copy it again") from error


class _Bad:
    """A value that cannot be used, and why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Replaced:
    """Text in which places that are not text were replaced."""

    def __init__(self, text: str, replaced: int) -> None:
        self.text, self.replaced = text, replaced


def _is_bad(cell: Any) -> bool:
    return isinstance(cell, _Bad)


def _values(column: Any, decoding: Decoding) -> list[Any]:
    """A column's values in Python's types. Strings are decoded here, because pyarrow does not say where one is not."""
    arrow = import_extra("pyarrow", "data", PURPOSE)
    kind = column.type.value_type if arrow.types.is_dictionary(column.type) else column.type
    if not (arrow.types.is_string(kind) or arrow.types.is_large_string(kind)):
        return [_value(value) for value in column]
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return [_text(value, decoding) for value in column.cast(arrow.large_binary()).to_pylist()]


def _value(value: Any) -> Any:
    try:
        return value.as_py()
    except (ValueError, OverflowError, NotImplementedError, ImportError) as error:
        # a date before the year 1, nanoseconds without pandas, lists with strings that are not UTF-8
        return _Bad(str(error))


def _text(value: bytes | None, decoding: Decoding) -> Any:
    if value is None:
        return None
    try:
        text, replaced = decoding.decode(value)
    except NotTextError as error:
        return _Bad(str(error))
    return _Replaced(text, replaced) if replaced else text
