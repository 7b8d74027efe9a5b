"""JSON objects, from files and as text: configurations, options, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """The object in a file; a `ValueError` that names the file where it holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}. Download it or save it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a JSON {type(values).__name__}, and it must be an object")
    return values


def object_text(values: Mapping[str, Any]) -> str:
    """Indented, every character as itself, with a line break at the end."""
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
