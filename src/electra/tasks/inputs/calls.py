"""What a pipeline is called with: an example, several of them, or the parts of an example under their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def read_call(
    task: str, parts: Sequence[str], given: Sequence[Any], named: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """A call's positional and named arguments -> its inputs, and its options.

    One positional argument, or `inputs=…`, is an example or many. Where an example has `parts`, these can be given
    instead, by position or by name: the inputs are then a dict of them. Too many, none, or one that comes twice is a
    `ValueError`.
    """
    options = dict(named)
    by_name = {part: options.pop(part) for part in parts if part in options}
    if len(given) == 1 and not by_name:
        return given[0], options
    if not given and not by_name and "inputs" in options:
        return options.pop("inputs"), options
    allowed = f"an example or many, or {' and '.join(parts)}" if parts else "an example or many"
    if len(given) > len(parts):
        raise ValueError(f"{task} is called with {allowed}; it was given {len(given)} arguments")
    by_place = dict(zip(parts, given, strict=False))
    for part in by_place.keys() & by_name.keys():
        raise ValueError(f"{task} was given {part!r} twice, by its place and by its name")
    if not by_place and not by_name:
        raise ValueError(f"{task} was given nothing to work on: call it with {allowed}")
    return by_place | by_name, options


def spread(columns: Mapping[str, Any]) -> Any:
    """A dict in which some values are lists -> a dict for each of their items, the other values repeated.

    A dict without lists is returned as it is; lists of different lengths are a `ValueError`.
    """
    lists = {name: value for name, value in columns.items() if isinstance(value, (list, tuple))}
    if not lists:
        return columns
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        shown = " and ".join(f"{count} of {name!r}" for name, count in lengths.items())
        raise ValueError(f"there are {shown}: give equally many, or one for all")
    (count,) = set(lengths.values())
    return [{**columns, **{name: value[i] for name, value in lists.items()}} for i in range(count)]
