"""Cells of tables: lists and dicts that a program wrote into them, and several labels in one cell"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_ITEM = re.compile(rf"\s*({_STRING}|{_NUMBER}|True|False|None|nan)(?=[\s,\]]|$)")
_ARRAY = re.compile(r"array\(\s*(\[.*?\])\s*(?:,\s*dtype=[^)]*)?\)", re.DOTALL)
_TUPLE = re.compile(r"\(\s*['\"].*\)|\{\s*['\"].*\}", re.DOTALL)
"""A tuple or a set of strings, as Python writes them; a dict has more than strings in it."""
_BARE = re.compile(r"[^\[\]{}'\",\s]+")


def read_cell(cell: str) -> Any:
    """A list or a dict that a program wrote into a cell, or the cell itself.

    JSON, Python's lists (`['John', 'lives']`), tuples and sets of strings, and dicts,
    NumPy's arrays (`['John' 'lives']`, `[0 1]`) and names without
    quotes (`[B-PER, O]`) are lists.

    Raises:
        ValueError: a list that was cut short as NumPy does with long ones (`...`), or that cannot be read.
    """
    text = cell.strip()
    if _TUPLE.fullmatch(text) and (items := _items(text[1:-1].strip().removesuffix(","))) is not None:
        return items
    if text[:1] == "{" and text[-1:] == "}":
        return _dict(text) if ":" in text else cell
    if not (text[:1] == "[" and text[-1:] == "]"):
        return cell
    try:
        values = json.loads(text)
        return values if isinstance(values, list) else cell
    except (ValueError, RecursionError):
        pass
    inner = text[1:-1].strip()
    items = _items(inner)
    if items is not None:
        return items
    if inner[:1] in "([{":
        try:
            return list(ast.literal_eval(text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return cell
    if inner[:1] in "'\"" or "..." in inner:
        cut = ": the list was cut short when it was written" if "..." in inner else ""
        raise ValueError(f"the cell {cell!r:.80} cannot be read as a list{cut}: write lists as JSON")
    parts = [part.strip() for part in inner.split(",")]
    if len(parts) > 1 and all(_BARE.fullmatch(part) for part in parts):
        return parts
    if not inner:
        return []
    return [inner] if _BARE.fullmatch(inner) and not text.startswith("[ ") else cell


def _items(inner: str) -> list[Any] | None:
    """Strings and numbers with commas between them, or white space alone; None where it is something else.

    `ast.literal_eval` would put two strings without a comma together, as Python does.
    """
    items: list[Any] = []
    position = 0
    while position < len(inner):
        match = _ITEM.match(inner, position)
        if match is None:
            return None
        item = match[1]
        items.append(float("nan") if item == "nan" else _literal(item))
        position = match.end()
        rest = re.compile(r"\s*,\s*|\s+|$").match(inner, position)
        if rest is None:
            return None
        position = rest.end()
    return items


def _literal(item: str) -> Any:
    try:
        return ast.literal_eval(item)
    except (ValueError, SyntaxError):
        return float(item) if item.strip("+-.0123456789eE") == "" else item  # 007


def _dict(text: str) -> Any:
    """A dict of JSON or Python, in which NumPy's arrays are lists."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        try:
            values = ast.literal_eval(_ARRAY.sub(lambda match: repr(read_cell(match[1])), text))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return text
    return values if isinstance(values, dict) else text


SURE_SEPARATORS = ("|", ";")
LIKELY_SEPARATORS = (",", "/", "&", "+")
STRICT_SEPARATORS = (" ", "#", "_", "-", "\n")
"""They stand in the names of classes (very positive): they count where every part comes alone."""


def split_labels(label: str, separator: str) -> list[str]:
    """The labels of a cell; none of an empty one."""
    return [part.strip() for part in label.split(separator) if part.strip()]


def looks_like_several(labels: Collection[Any]) -> tuple[str, str] | None:
    """A label that looks like several ones, and the separator: `joy|love`.

    Vertical bars and semicolons are seldom in the name of a class. Commas, slashes and the like count where parts come
    alone or in several combinations.
    """
    names = sorted({label for label in labels if isinstance(label, str)})
    for separator in SURE_SEPARATORS:
        for name in names:
            if len(split_labels(name, separator)) > 1:
                return name, separator
    for separator in LIKELY_SEPARATORS:
        combined = [name for name in names if len(split_labels(name, separator)) > 1]
        parts = [part for name in combined for part in set(split_labels(name, separator))]
        alone = set(names) - set(combined)
        if any(part in alone for part in parts) and all(_recurs(name, separator, parts, alone) for name in combined):
            return combined[0], separator
    for separator in STRICT_SEPARATORS:
        for name in names:
            parts = split_labels(name, separator)
            if len(parts) > 1 and all(part in names for part in parts):
                return name, separator
    return None


def _recurs(name: str, separator: str, parts: Sequence[str], alone: set[str]) -> bool:
    """Whether each part of a name comes alone, or in another name too."""
    return all(part in alone or parts.count(part) > 1 for part in split_labels(name, separator))
