"""JSON objects, from files and as text: configurations, options, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEEPEST = 100
"""How deep objects and lists may be nested: what is written and copied needs a call for each level."""
MOST_DIGITS = 1000


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds something else, is nested more than 100 deep, or holds a number of more than 1,000 digits;
            the message names the file, and the key.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError(f"{path} is not valid JSON: it is nested too deep. Download it or save it again") from error
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}. Download it or save it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a JSON {type(values).__name__}, and it must be an object")
    for key, value in values.items():
        _check(path, key, value)
    return values


class RepeatedNameError(ValueError):
    """An object has one name twice: which value is meant cannot be known."""


def unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these pairs, for `object_pairs_hook` of `json.loads`, which would keep the last value of a name.

    Raises:
        RepeatedNameError: a name occurs twice; the message names it.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in values if names.count(name) > 1)
        raise RepeatedNameError(
            f"the name {twice!r} occurs {names.count(twice)} times in one object: give it one value"
        )
    return values


class _TooManyDigits(int):
    """In place of a number that Python refuses to read."""


def _whole_number(digits: str) -> int:
    return int(digits) if len(digits) <= MOST_DIGITS else _TooManyDigits()


def _check(path: Path, key: str, value: object, depth: int = 1) -> None:
    if isinstance(value, _TooManyDigits):
        raise ValueError(f"{path}: {key[:80]} holds a number of more than {MOST_DIGITS} digits")
    if depth > DEEPEST:
        raise ValueError(f"{path}: {key[:80]} is nested more than {DEEPEST} deep")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check(path, key, inner, depth + 1)


def object_text(values: Mapping[str, Any]) -> str:
    """Indented, every character as itself, with a line break at the end."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
