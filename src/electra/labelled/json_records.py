"""JSON files of labelled examples: SQuAD's, arrays of objects, pandas' tables, exports of annotation tools"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from electra.files.encodings import Decoding
from electra.files.json_lines import parse_object
from electra.files.json_objects import RepeatedNameError, unique_object
from electra.files.lines import Line, Refuse, Row
from electra.labelled import squad

SHAPES = (
    "SQuAD's (data: a list of articles with paragraphs, each with its context and qas), an array of objects, a table "
    "as pandas writes it, or an export of Label Studio or spaCy's TRAIN_DATA"
)


def rows(path: Path, lines: Iterable[Line], decoding: Decoding, refuse_row: Refuse) -> Iterator[Row]:
    """The records of a JSON file, numbered from 1; of a file of JSON lines with this suffix, by their lines.

    Args:
        path: for messages.
        lines: of the file.
        decoding: decides about half surrogate pairs.
        refuse_row: called with the complaint about a record that is not an object.

    Raises:
        ValueError: the file is not JSON, or has none of the shapes that are understood.
    """
    text = [(line.number, line.text) for line in lines]
    try:
        content = json.loads("".join(line for _, line in text), object_pairs_hook=unique_object)
    except RepeatedNameError as error:
        raise ValueError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        if _is_json_lines(text, decoding):
            return _json_lines(path, text, decoding, refuse_row)
        raise ValueError(f"{path}: not JSON ({error}): save it again, or as JSON lines (.jsonl)") from error
    if isinstance(content, Mapping) and isinstance(content.get("data"), list):
        content = _split_table(content) or content["data"]
    elif isinstance(content, Mapping):
        content = _pandas_table(content) or content
    if isinstance(content, list) and any(isinstance(item, Mapping) and "paragraphs" in item for item in content):
        return squad.questions(path, content, refuse_row)
    if not isinstance(content, list) or not all(isinstance(item, Mapping) or is_train_data(item) for item in content):
        raise ValueError(f"{path}: a .json file must be one of these: {SHAPES}")
    if not content:
        return iter(())
    cleaned = (decoding.clean_values(item)[0] for item in content)
    return (Row(number, as_values(item)) for number, item in enumerate(cleaned, 1))


def is_train_data(item: Any) -> bool:
    """Whether it is an example of spaCy's TRAIN_DATA: a text, and a dict of what is known of it."""
    return (
        isinstance(item, Sequence)
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], Mapping)
        and not {"entities", "spans", "cats"}.isdisjoint(item[1])
    )


def as_values(item: Any) -> dict[str, Any]:
    """A record's values, also from an example of TRAIN_DATA."""
    if isinstance(item, Mapping):
        return dict(item)
    text, known = item
    values = {"text": text, **{key: value for key, value in known.items() if key != "cats"}}
    if isinstance(known.get("cats"), Mapping):
        values["label"] = [name for name, value in known["cats"].items() if float(value) >= 0.5]
    return values


def _is_json_lines(text: Sequence[tuple[int, str]], decoding: Decoding) -> bool:
    """Whether the first line that is not blank is an object by itself, and not the last one."""
    lines = [line for _, line in text if line.strip()]
    try:
        parse_object(lines[0], decoding)
    except (ValueError, IndexError):
        return False
    return len(lines) > 1


def _json_lines(path: Path, text: Sequence[tuple[int, str]], decoding: Decoding, refuse_row: Refuse) -> Iterator[Row]:
    for number, line in text:
        if line.strip():
            try:
                yield Row(number, *parse_object(line, decoding))
            except ValueError as error:
                refuse_row(f"{path}, line {number}: {error}")


def _split_table(content: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """pandas' `orient="split"` (and "table"): the rows beside the names of their columns."""
    names, data = content.get("columns"), content["data"]
    if not isinstance(names, list) or not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return [dict(zip(map(str, names), row, strict=True)) for row in data]


def _pandas_table(content: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """pandas' `orient="columns"`, its default: for each column an object with the value of each row."""
    columns = list(content.values())
    if not columns or not all(isinstance(column, Mapping) for column in columns):
        return None
    index = list(dict.fromkeys(chain.from_iterable(columns)))
    if not all(list(column) == index for column in columns):
        return None
    return [{name: column[key] for name, column in content.items()} for key in index]
