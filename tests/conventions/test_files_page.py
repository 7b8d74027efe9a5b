"""Every example of the page about files is read as the page says."""

from __future__ import annotations

import gzip
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas
import pytest

from electra.labelled.columns import read_columns
from electra.labelled.labelled_examples import read_labelled

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r'^```(?:csv|json|text) title="([^"]+)"\n(.*?)^```', PAGE, flags=re.DOTALL | re.MULTILINE)
FILES = {title: content for title, content in BLOCKS if " " not in title}
EXAMPLES = {title.removeprefix("read from "): content for title, content in BLOCKS if title.startswith("read from ")}
REFUSED = {title.removeprefix("refused: "): content for title, content in BLOCKS if title.startswith("refused: ")}


def options(name: str) -> dict[str, Any]:
    """The options of the command on the page that trains on this file."""
    commands = [shlex.split(line) for line in PAGE.splitlines() if line.startswith("electra finetune")]
    words = next((command for command in commands if name in command), [])
    flags = dict(pairwise(words))
    found: dict[str, Any] = {"columns": read_columns(flags.get("--columns"))}
    if "--label-separator" in flags:
        found["label_separator"] = flags["--label-separator"]
    return found


def test_every_file_has_its_examples() -> None:
    assert FILES
    assert set(FILES) == {*EXAMPLES, *REFUSED}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_is_read_as_the_page_says(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    found = read_labelled(tmp_path / name, **options(name))
    assert found.examples == [json.loads(line) for line in EXAMPLES[name].splitlines()]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_is_refused_as_the_page_says(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        read_labelled(tmp_path / name)
    assert REFUSED[name].strip() in " ".join(str(caught.value).split())


def test_encodings_compression_folders_patterns_and_frames(tmp_path: Path) -> None:
    text = "text,label\nun été calme,good\na long day,bad\n"
    expected = [{"text": "un été calme", "label": "good"}, {"text": "a long day", "label": "bad"}]
    (tmp_path / "latin.csv").write_bytes(text.encode("cp1252"))
    assert read_labelled(tmp_path / "latin.csv", encoding="cp1252").examples == expected
    with pytest.raises(ValueError, match=r"latin\.csv"):
        read_labelled(tmp_path / "latin.csv")
    (tmp_path / "wide.csv").write_text(text, encoding="utf-16")
    with pytest.raises(ValueError, match="--encoding utf-16"):
        read_labelled(tmp_path / "wide.csv")
    assert read_labelled(tmp_path / "wide.csv", encoding="utf-16").examples == expected
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert read_labelled(tmp_path / "packed.csv.gz").examples == expected
    folder = tmp_path / "parts"
    folder.mkdir()
    for line in (1, 2):
        lines = text.splitlines()
        (folder / f"part-{line}.csv").write_text(f"{lines[0]}\n{lines[line]}\n", encoding="utf-8")
    assert read_labelled(folder).examples == expected
    assert read_labelled(folder / "part-*.csv").examples == expected
    frame = pandas.DataFrame(expected)
    frame.to_parquet(tmp_path / "a.parquet")
    for table in (tmp_path / "a.parquet", frame, expected):
        assert read_labelled(table).examples == expected
