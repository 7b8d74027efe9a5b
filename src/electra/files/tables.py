"""Files whose records have a field of text (JSON lines, CSV, TSV, Parquet) -> those texts, one record at a time."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from electra.files.encodings import Decoding, NotTextError
from electra.files.lines import LONGEST_RECORD_BYTES, BytesRead, Line, read_whole_lines
from electra.files.text_files import needed

PARQUET_ROWS = 1024  # taken at once out of a row group


class Text(NamedTuple):
    """The text of one record, the line (of a Parquet file: the row) on which it begins, and its replaced places."""

    line: int
    text: str
    replaced: int = 0


def read_json_lines(path: Path, field: str, decoding: Decoding, on_bytes: BytesRead | None) -> Iterator[Text]:
    """The field `field` of every line, each a JSON object; blank lines are no records.

    Raises `ValueError` with file and line for a line that is no JSON object, has no such field, or none that is text.
    """
    for number, line, replaced in read_whole_lines(path, decoding, on_bytes=on_bytes):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}:{number}: not JSON ({error}): every line is to be a JSON object") from error
        if not isinstance(values, dict):
            raise ValueError(f"{path}:{number}: a JSON {type(values).__name__}, where every line is to be an object")
        if field not in values:
            raise ValueError(_missing(f"{path}:{number}", field, values))
        text, more = _text(values[field], f"{path}:{number}", field, decoding)
        yield Text(number, text, replaced + more)


def read_table(
    path: Path, field: str, decoding: Decoding, on_bytes: BytesRead | None, *, tabs: bool = False
) -> Iterator[Text]:
    """The column `field` of a CSV file, or of a TSV file (`tabs`), in which quotes are ordinary characters.

    The first line names the columns. Raises `ValueError` with file and line for a missing column, a row with too few or
    too many, and quotes that are not closed.
    """
    csv.field_size_limit(sys.maxsize)  # the default, 128 kB, is shorter than many a text
    source = _RecordLines(path, decoding, on_bytes)
    dialect: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
    rows = csv.reader(source, strict=True, **dialect)
    try:
        header = next(rows, [])
        if header and field not in header:
            raise ValueError(_missing(f"{path}:1", field, header))
        column = header.index(field) if header else 0
        first, replaced = source.taken()
        for row in rows:
            first, replaced = source.taken()
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(f"{path}:{first}: {len(row)} columns, the first line names {len(header)}")
            yield Text(first, row[column], replaced)
    except csv.Error as error:
        raise ValueError(f"{path}:{source.first}: {error}") from error


class _RecordLines:
    """Lines as the csv module wants them, which knows where the present record began and how long it has become."""

    def __init__(self, path: Path, decoding: Decoding, on_bytes: BytesRead | None) -> None:
        self._path, self._lines = path, read_whole_lines(path, decoding, on_bytes=on_bytes)
        self.first = self._replaced = self._size = 0

    def __iter__(self) -> _RecordLines:
        return self

    def __next__(self) -> str:
        line: Line = next(self._lines)
        self.first = self.first or line.number
        self._replaced += line.replaced
        self._size += len(line.text)
        if self._size > LONGEST_RECORD_BYTES:  # a quote that nothing closes takes in the whole file
            raise ValueError(
                f"{self._path}:{self.first}: a record of over {LONGEST_RECORD_BYTES >> 20} MB begins here: is a quote "
                f"missing?"
            )
        return line.text + "\n"

    def taken(self) -> tuple[int, int]:
        """The record that was just read: its first line, and how many places in it were replaced."""
        found = self.first, self._replaced
        self.first = self._replaced = self._size = 0
        return found


def read_parquet(path: Path, field: str, decoding: Decoding, on_bytes: BytesRead | None) -> Iterator[Text]:
    """The column `field` of a Parquet file, read row group by row group.

    Raises `ValueError` for a file that is none or damaged, a missing column, one that is not text, and a null.
    """
    parquet = needed("pyarrow.parquet", "reading .parquet files")
    size = os.stat(path).st_size
    try:
        with parquet.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                raise ValueError(_missing(str(path), field, file.schema_arrow.names))
            row, groups = 1, file.num_row_groups
            for group in range(groups):
                for batch in file.iter_batches(PARQUET_ROWS, row_groups=[group], columns=[field]):
                    for value in _bytes(batch.column(0), path, field):
                        yield Text(row, *_text(value, f"{path}, row {row}", field, decoding))
                        row += 1
                if on_bytes is not None:
                    on_bytes(size * (group + 1) // groups - size * group // groups)
    except (needed("pyarrow", "reading .parquet files").ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} is damaged or no Parquet file ({error}): make or copy it again") from error
    if os.stat(path).st_size != size:
        raise ValueError(f"{path} changed while it was read: start again when nothing writes to it")


def _bytes(column: Any, path: Path, field: str) -> Iterator[bytes | None]:
    """A column of strings as bytes, so that we are the ones who decode."""
    arrow = needed("pyarrow", "reading .parquet files")
    kind = column.type.value_type if arrow.types.is_dictionary(column.type) else column.type
    if not any(is_kind(kind) for is_kind in (arrow.types.is_string, arrow.types.is_large_string)):
        raise ValueError(
            f"{path}: the column {field!r} holds {kind}, not text: name another (--text-field, text_field)"
        )
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    values: Iterator[bytes | None] = (value.as_py() for value in column.cast(arrow.large_binary()))
    return values


def _text(value: object, where: str, field: str, decoding: Decoding) -> tuple[str, int]:
    if not isinstance(value, str | bytes):
        raise ValueError(f"{where}: {field!r} is {value!r:.60}, not text: every record needs one (it may be empty)")
    try:
        return decoding.decode(value) if isinstance(value, bytes) else decoding.clean(value)
    except NotTextError as error:
        raise ValueError(f"{where}: {error}") from error


def _missing(where: str, field: str, there: Any) -> str:
    found = ", ".join(map(str, there))
    return f"{where}: there is no field {field!r}, only {found}: name the one with the text (--text-field, text_field)"
