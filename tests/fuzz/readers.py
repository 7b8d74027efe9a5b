"""Files of every format, random and damaged, for both readers: labelled examples and text for pretraining."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

from electra.data.corpus.documents import read_documents
from electra.labelled.records import read_records
from tests.fuzz.driver import Case
from tests.fuzz.hostile import damaged, encodable, value

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".txt", ".conll", ".parquet", ".bio", ".conllu")
COLUMNS = [
    "text",
    "label",
    "id",
    "tokens",
    "tags",
    "question",
    "context",
    "answers",
    "sentence_id",
    "words",
    "text_pair",
]


def prepare(shared: Path) -> Case:
    """No files are shared."""
    return case


def case(random: random.Random, folder: Path) -> str:
    """Write a file and read it."""
    suffix = random.choice(SUFFIXES)
    data = WRITERS.get(suffix, _lines)(random)
    if random.random() < 0.5:
        data = damaged(random, data)
    if random.random() < 0.1:
        data, suffix = gzip.compress(data), suffix + ".gz"
        data = damaged(random, data) if random.random() < 0.5 else data
    path = folder / f"input{suffix}"
    path.write_bytes(data)
    return read(path, skip=random.random() < 0.3, labelled=random.random() < 0.7)


def read(path: Path, *, skip: bool = False, labelled: bool = True) -> str:
    """Read a file by one of the readers."""
    if labelled:
        refused: list[str] = []
        read_records(path, skipped=refused) if skip else read_records(path)
        return "skipped some" if refused else "read"
    for _ in read_documents([path]):
        pass
    return "read"


def _table(delimiter: str) -> Callable[[random.Random], bytes]:
    def write(random: random.Random) -> bytes:
        file = io.StringIO()
        quoting = random.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
        writer = csv.writer(
            file, delimiter=delimiter, quoting=quoting, lineterminator=random.choice(["\n", "\r\n", "\r"])
        )
        columns = random.sample(COLUMNS, random.randint(1, 4))
        writer.writerow(columns)
        for _ in range(random.randint(0, 5)):
            writer.writerow([encodable(random) for _ in columns])
        return file.getvalue().encode()

    return write


def _json_lines(random: random.Random) -> bytes:
    rows = [{name: value(random, 2) for name in random.sample(COLUMNS, random.randint(0, 4))} for _ in range(4)]
    return "\n".join(json.dumps(row) for row in rows).encode()


def _lines(random: random.Random) -> bytes:
    return "\n".join(encodable(random) for _ in range(random.randint(0, 8))).encode()


def _conll(random: random.Random) -> bytes:
    separator = random.choice(["\t", " ", "  "])
    lines = [
        f"{encodable(random, 1) or 'x'}{separator}{random.choice(['O', 'B-PER', 'I-PER', 'E-X', '_'])}"
        for _ in range(6)
    ]
    return "\n".join(random.choice([line, line, "", "# text = x", "1-2\tit's\t_"]) for line in lines).encode()


def _parquet(random: random.Random) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {}
    for name in random.sample(COLUMNS, random.randint(1, 3)):
        columns[name] = random.choice(
            [
                pa.array([encodable(random), None, "x"]),
                pa.array([1, 2, None]),
                pa.array([["a", "b"], [], None]),
                pa.array([b"\xff", b"", b"a"]),
                pa.array([0.5, float("nan"), 1.0]),
                pa.array([{"a": 1}, None, {"a": 2}]),
            ]
        )
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file)
    return file.getvalue()


WRITERS: dict[str, Callable[[random.Random], bytes]] = {
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".jsonl": _json_lines,
    ".json": _json_lines,
    ".conll": _conll,
    ".bio": _conll,
    ".conllu": _conll,
    ".parquet": _parquet,
}
