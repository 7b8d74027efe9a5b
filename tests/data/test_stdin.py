"""Text from stdin is copied to a file, once."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from electra.data.corpus import standard_input as stdin
from electra.data.corpus.standard_input import spooled, with_stdin


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_a_dash_stands_for_a_file_with_what_came_from_stdin(tmp_path: Path) -> None:
    copy = tmp_path / "stdin.txt"
    assert with_stdin(["a.txt", "-"], copy, io.BytesIO(b"text\xff")) == ("a.txt", str(copy))
    assert copy.read_bytes() == b"text\xff"
    assert with_stdin(["a.txt"], copy, Terminal()) == ("a.txt",)


@pytest.mark.parametrize(
    ("stream", "resume"), [(io.BytesIO(b"other"), True), (io.BytesIO(), False), (Terminal(b"other"), False)]
)
def test_what_is_kept_is_taken_where_a_run_goes_on_or_nothing_comes(
    tmp_path: Path, stream: io.BytesIO, resume: bool
) -> None:
    copy = tmp_path / "stdin.txt"
    copy.write_bytes(b"text")
    messages: list[str] = []
    with_stdin(["-"], copy, stream, resume=resume, warn=messages.append)
    assert copy.read_bytes() == b"text"
    assert messages == [f"the text is that of {copy}, which came from stdin before; stdin is not read"]


@pytest.mark.parametrize(
    "coming", [b"", b"0123456", b"0123456789", b"01234567890", b"01234x6789", b"x", b"0123xxxxxxxx"]
)
def test_before_anything_was_trained_what_comes_replaces_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coming: bytes
) -> None:
    """But for the same text: by the file's time it is known that what was made of it can be used."""
    monkeypatch.setattr(stdin, "BLOCK_BYTES", 2)
    copy = tmp_path / "stdin.txt"
    copy.write_bytes(b"0123456789")
    os.utime(copy, ns=(0, 0))
    with_stdin(["-"], copy, io.BytesIO(coming))
    assert copy.read_bytes() == (coming or b"0123456789")
    assert (copy.stat().st_mtime_ns == 0) == (coming in (b"", b"0123456789"))


def test_a_closed_stdin_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ValueError, match="is empty: pipe text into it"):
        with_stdin(["-"], tmp_path / "stdin.txt")


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
