"""Text from stdin is kept in a file, once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from electra.data.stdin import spooled, with_stdin


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_a_dash_stands_for_a_file_with_what_came_from_stdin(tmp_path: Path) -> None:
    kept = tmp_path / "stdin.txt"
    assert with_stdin(["a.txt", "-"], kept, io.BytesIO(b"text\xff")) == ("a.txt", str(kept))
    assert kept.read_bytes() == b"text\xff"
    with_stdin(["-"], kept, io.BytesIO(b"other"))  # a run that goes on
    assert kept.read_bytes() == b"text\xff"
    assert with_stdin(["a.txt"], kept, Terminal()) == ("a.txt",)


@pytest.mark.parametrize(
    ("paths", "stream", "message"),
    [
        (["-"], Terminal(), "is a terminal: pipe text into it"),
        (["-"], io.BytesIO(), "is empty: pipe text into it"),
        (["-", "-"], io.BytesIO(b"text"), "named twice"),
    ],
)
def test_what_cannot_be_read_leaves_nothing(tmp_path: Path, paths: list[str], stream: io.BytesIO, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_stdin(paths, tmp_path / "stdin.txt", stream)
    assert list(tmp_path.iterdir()) == []


def test_what_was_spooled_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    with spooled(["-"]) as (path,):
        assert Path(path).read_bytes() == b"text"
    assert not Path(path).exists()
