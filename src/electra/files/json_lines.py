"""JSON lines: a record to a line, each a JSON object"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from electra.files.encodings import Decoding, NotTextError
from electra.files.json_objects import RepeatedNameError, unique_object
from electra.files.lines import BytesRead, Refuse, Row, read_whole_lines, refuse


def read_json_lines(
    path: Path,
    decoding: Decoding | None = None,
    *,
    refuse_row: Refuse = refuse,
    on_bytes: BytesRead | None = None,
) -> Iterator[Row]:
    """The object on every line; blank lines are no records.

    Args:
        path: decompressed by its suffix.
        decoding: how bytes become text; UTF-8 by default.
        refuse_row: called with the complaint about a line that is not a JSON object.
        on_bytes: see `read_lines`.

    Raises:
        ValueError: by `refuse_row`, with file and line; and what `read_lines` refuses.
    """
    decoding = decoding or Decoding()
    for number, line, replaced in read_whole_lines(path, decoding, on_bytes=on_bytes):
        if not line.strip():
            continue
        try:
            values, more = parse_object(line, decoding)
        except ValueError as error:
            refuse_row(f"{path}:{number}: {error}")
        else:
            yield Row(number, values, replaced + more)


def parse_object(line: str, decoding: Decoding) -> tuple[dict[str, Any], int]:
    """The object on a line, and in how many places of it half a surrogate pair was replaced.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    try:
        values = json.loads(line, object_pairs_hook=unique_object)
    except RecursionError as error:
        raise ValueError("not JSON (nested too deeply): every line must be a JSON object") from error
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
        raise ValueError(f"not JSON ({reason}): every line must be a JSON object") from error
    except RepeatedNameError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise ValueError(f"JSON that cannot be used ({error}): shorten it") from error
    if not isinstance(values, dict):
        raise ValueError(f"a JSON {type(values).__name__}: every line must be a JSON object")
    # Only an escape can bring half a surrogate pair into text that was decoded.
    if "\\ud" not in line and "\\uD" not in line:
        return values, 0
    try:
        return decoding.clean_values(values)
    except NotTextError as error:
        raise ValueError(str(error)) from error
