"""Answers to files: JSON lines, CSV, TSV or Parquet by the file's name, with columns of the input beside them

In JSON lines, a line is the answer as a pipeline returns it; with columns of the input kept, it is an object of these
and `answer`. In tables, an answer that is one dict has a column for each of its keys, and any other answer (a list) is
JSON in the column `answer`; columns of the input come first.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from electra.files.atomic import writing
from electra.files.text_files import COMPRESSED
from electra.validation import import_extra

STDOUT = "-"
TABLES = {".csv": ",", ".tsv": "\t"}
PARQUET_ROWS = 4096
"""Rows of a group in Parquet files."""

Answered = tuple[Mapping[str, Any], Any]
"""The kept columns of an example, and its answer."""


def check_output(path: str) -> None:
    """Refuse a name whose format cannot be written.

    Raises:
        ValueError: it ends like a compressed file.
        ImportError: Parquet needs pyarrow.
    """
    if Path(path).suffix in COMPRESSED:
        raise ValueError(f"output is {path}: compressed files are not written; leave out {Path(path).suffix}")
    if Path(path).suffix == ".parquet":
        import_extra("pyarrow", "data", "writing .parquet files")


def write_answers(path: str, answered: Iterable[Answered]) -> int:
    """Write answers, whole or not at all; to stdout, pipes and devices one by one.

    Args:
        path: a file, or `-` for stdout.
        answered: kept columns and answers.

    Returns:
        How many there were.

    Raises:
        OSError: the file cannot be written.
        ValueError: an answer that cannot be written in this format.
    """
    suffix = Path(path).suffix
    if suffix == ".parquet":
        with writing(path) as file:
            return _write_parquet(file, answered)
    count = 0
    with _text_output(path) as file:
        line = _table_line(TABLES[suffix], file) if suffix in TABLES else json_line
        for kept, answer in answered:
            file.write(line(kept, answer))
            count += 1
        file.flush()
    return count


def json_line(kept: Mapping[str, Any], answer: Any) -> str:
    """The line of one answer.

    Raises:
        ValueError: NaN or infinity in it, for which JSON has no number.
    """
    value = {**kept, "answer": answer} if kept else answer
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def columns_of(kept: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    """The row of one answer in a table."""
    fields = answer if isinstance(answer, Mapping) else {"answer": answer}
    row = {name: _cell(value) for name, value in kept.items()}
    for name, value in fields.items():
        row[name if name not in kept else f"answer_{name}"] = _cell(value)
    return row


def _cell(value: Any) -> Any:
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    return value


def _table_line(delimiter: str, file: IO[str]) -> Callable[[Mapping[str, Any], Any], str]:
    """Lines of a delimited file; the first call writes the header too."""
    names: list[str] = []

    def line(kept: Mapping[str, Any], answer: Any) -> str:
        row = columns_of(kept, answer)
        text = io.StringIO()
        table = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        if not names:
            names.extend(row)
            table.writerow(names)
        _check_columns(names, row)
        table.writerow(["" if row.get(name) is None else row.get(name) for name in names])
        return text.getvalue()

    return line


def _check_columns(names: Sequence[str], row: Mapping[str, Any]) -> None:
    unknown = [name for name in row if name not in names]
    if unknown:
        raise ValueError(
            f"an answer has the column {unknown[0]!r}, which the first one does not have: write JSON lines, or keep "
            "columns that every example has"
        )


def _write_parquet(file: IO[bytes], answered: Iterable[Answered]) -> int:
    import pyarrow as arrow
    from pyarrow import parquet

    schema: Any = None
    writer: Any = None
    count = 0
    try:
        for rows in _grouped((columns_of(*pair) for pair in answered), PARQUET_ROWS):
            names = list(rows[0]) if schema is None else schema.names
            for row in rows:
                _check_columns(names, row)
            columns = {name: [row.get(name) for row in rows] for name in names}
            try:
                table = arrow.table(columns, schema=schema)
            except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
                raise ValueError(f"a column has values of several types ({error}): write JSON lines") from error
            if schema is None:
                schema = arrow.schema([_typed(arrow, field) for field in table.schema])
                table = table.cast(schema)
                writer = parquet.ParquetWriter(file, schema)
            writer.write_table(table)
            count += len(rows)
        if writer is None:
            writer = parquet.ParquetWriter(file, arrow.schema([]))
    finally:
        if writer is not None:
            writer.close()
    return count


def _typed(arrow: Any, field: Any) -> Any:
    """A column without any value so far may get text."""
    return field.with_type(arrow.string()) if arrow.types.is_null(field.type) else field


def _grouped(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _text_output(path: str) -> AbstractContextManager[IO[str]]:
    if path == STDOUT:
        return _stdout()
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        return open(path, "w", encoding="utf-8")  # a pipe or device, which no file may replace
    return writing(path, "w")


@contextmanager
def _stdout() -> Iterator[IO[str]]:
    """Standard output; errors of writing name it."""
    with nullcontext(sys.stdout) as file:
        try:
            yield file
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is None and error.errno is not None:
                raise OSError(error.errno, os.strerror(error.errno), "stdout") from error
            raise


class Progress:
    """Answers of an unfinished run, beside its output, from which a later run resumes.

    The first line is a JSON object that says what the run was; every other line holds the kept columns and the answer
    of one example. A torn last line, which a kill may leave, does not count.

    Attributes:
        path: the file: the output's name with `.unfinished` after it.
        done: how many examples it has answers for.
    """

    def __init__(self, output: str, run: Mapping[str, Any]) -> None:
        self.path = Path(f"{output}.unfinished")
        self._run = json.loads(json.dumps(run))
        self.done = 0
        self._file: IO[bytes] | None = None

    def open(self) -> None:
        """Open the file to add answers, after those that it has.

        Raises:
            ValueError: it is of another run.
        """
        size = 0
        if self.path.exists():
            with open(self.path, "rb") as file:
                header = file.readline()
                self._check(header)
                size = len(header)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    size += len(line)
                    self.done += 1
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "r+b" if self.path.exists() else "w+b")  # noqa: SIM115 (closed by `close`)
        if size:
            self._file.truncate(size)
            self._file.seek(size)
        else:
            self._file.write(json.dumps(self._run).encode() + b"\n")

    def _check(self, header: bytes) -> None:
        try:
            run = json.loads(header)
        except ValueError:
            run = None
        if not isinstance(run, dict):
            raise ValueError(f"{self.path} is no unfinished run: remove it, or give another output")
        different = [name for name in self._run if run.get(name) != self._run[name]]
        if different:
            name = different[0]
            raise ValueError(
                f"{self.path} is of a run in which {name} was {run.get(name)!r}, and it is {self._run[name]!r} now: "
                "give the same, or remove the file to start again"
            )

    def add(self, answered: Sequence[Answered]) -> None:
        """Add answers and have them on the disk."""
        assert self._file is not None
        lines = (json.dumps(pair, ensure_ascii=False, allow_nan=False, default=str) + "\n" for pair in answered)
        self._file.write("".join(lines).encode("utf-8", "surrogatepass"))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done += len(answered)

    def answers(self) -> Iterator[Answered]:
        """All answers, from the first."""
        with open(self.path, "rb") as file:
            next(file)
            for line in file:
                kept, answer = json.loads(line)
                yield kept, answer

    def close(self) -> None:
        """Close the file; it stays for a later run."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def remove(self) -> None:
        """Remove the file of a run that is finished."""
        self.close()
        self.path.unlink(missing_ok=True)
