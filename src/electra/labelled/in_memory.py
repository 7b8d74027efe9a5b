"""Tables in memory (pandas, polars, pyarrow, `datasets`, lists) -> records; none of these libraries is imported"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from electra.files.lines import Refuse, Row
from electra.labelled.json_records import as_values, is_train_data


def memory_rows(source: Any, refuse_row: Refuse) -> Iterator[Row]:
    """The rows of a table, numbered from 1.

    Args:
        source: a frame of pandas or polars, a table of pyarrow, a `datasets.Dataset`, a dict of columns, or an iterable
            of dicts, of texts, or of spaCy's pairs of a text and its annotations.
        refuse_row: called with the complaint about a row that is none of these.

    Raises:
        ValueError: it is none of these.
    """
    name = type(source).__name__
    for number, row in enumerate(_rows(source), 1):
        if isinstance(row, str):
            row = {"text": row}
        if isinstance(row, Mapping) or is_train_data(row):
            values = {str(key): _plain(value) for key, value in as_values(row).items()}
            yield Row(number, values)
        else:
            refuse_row(f"{name}, row {number}: {row!r:.60} is neither a dict nor a text")


def _rows(source: Any) -> Iterator[Any]:
    if hasattr(source, "iter_rows"):  # polars
        return iter(source.iter_rows(named=True))
    if hasattr(source, "itertuples"):  # pandas
        names = [str(name) for name in source.columns]
        return (dict(zip(names, row, strict=True)) for row in source.itertuples(index=False, name=None))
    if hasattr(source, "to_pylist"):  # pyarrow
        return iter(source.to_pylist())
    if isinstance(source, Mapping) and hasattr(source, "num_rows"):  # a DatasetDict: which split is meant?
        raise ValueError(f"it has the splits {', '.join(source)}: give one of them, as in data[{next(iter(source))!r}]")
    if isinstance(source, Mapping):
        columns = {name: list(values) for name, values in source.items()}
        if len({len(values) for values in columns.values()}) > 1:
            raise ValueError(f"the columns have {sorted({len(v) for v in columns.values()})} values: give each as many")
        return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    if isinstance(source, Iterable) and not isinstance(source, (str, bytes)):
        classes = _class_names(source)
        return (_named(row, classes) for row in source)
    raise ValueError(f"examples are a path, a table or a list of dicts or texts, not {type(source).__name__}")


def _class_names(source: Any) -> dict[str, list[str]]:
    """The names of a Dataset's class numbers, by column."""
    features = getattr(source, "features", None)
    if not isinstance(features, Mapping):
        return {}
    inner: dict[str, Any] = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
    return {name: list(feature.names) for name, feature in inner.items() if hasattr(feature, "names")}


def _named(row: Any, classes: Mapping[str, list[str]]) -> Any:
    if not classes:
        return row
    return {name: named_classes(value, classes[name]) if name in classes else value for name, value in row.items()}


def named_classes(value: Any, classes: Sequence[str]) -> Any:
    """The name of a class by its number, or of each in a list; -1 (no label, in the `datasets` library) is None."""
    if isinstance(value, list):
        return [named_classes(one, classes) for one in value]
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return classes[value] if 0 <= value < len(classes) else None


def _plain(value: Any) -> Any:
    """Python's own types: lists in place of arrays, None in place of pandas' missing values."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    return value
