"""One rule for line ends, byte order marks and encodings, whatever a file holds."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from electra.files import lines
from electra.files.encodings import Decoding
from electra.files.lines import read_lines, read_whole_lines


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_the_first_line_end_of_a_file_is_the_one_of_all_its_lines(tmp_path: Path, end: str) -> None:
    path = written(tmp_path / "a.txt", end.join(["one", "two", "", "three"]).encode())
    assert [line[:2] for line in read_lines(path)] == [(1, "one"), (2, "two"), (3, ""), (4, "three")]


def test_a_carriage_return_inside_a_line_does_not_end_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", b"10 %\n50 %\r100 %\n")
    assert [line.text for line in read_lines(path)] == ["10 %", "50 %\r100 %"]


def test_whole_lines_add_up_to_the_file_wherever_blocks_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def expected(content: bytes) -> list[bytes]:
        first = re.search(rb"\r{0,2}\n|\r{1,2}(?=[^\r\n]|$)", content)
        if first is None or first[0].endswith(b"\n"):
            return re.findall(rb"[^\n]*\n|[^\n]+", content)
        return content.splitlines(keepends=True)

    chance = random.Random(1)
    for _ in range(2000):
        content = bytes(chance.choice(b"ab\r\n") for _ in range(chance.randrange(9)))
        monkeypatch.setattr(lines, "BLOCK_BYTES", chance.randrange(1, 5))
        path = written(tmp_path / "a.txt", content)
        assert [line.text.encode() for line in read_whole_lines(path)] == expected(content)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig", "cp1251", "cp037", "shift_jis"])
def test_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = "слово\nи два\n" if encoding not in ("cp037", "shift_jis") else "word\nand two\n"
    path = written(tmp_path / "a.txt", text.encode(encoding))
    assert "\n".join(line.text for line in read_lines(path, Decoding(encoding))) == text.rstrip()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf_16_and_utf_32_are_named(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "a.txt", "text\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"a\.txt:1: this is {encoding.upper()} text.*--encoding {encoding}"):
        list(read_lines(path))


def test_what_is_not_utf_16_has_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt", "one\ntwo ".encode("utf-16-le") + b"\x00\xd8" + "x\n".encode("utf-16-le"))
    with pytest.raises(ValueError, match=r"a\.txt:2: bytes that are not utf-16-le"):
        list(read_lines(path, Decoding("utf-16-le")))
    replaced = list(read_lines(path, Decoding("utf-16-le", "replace")))
    assert (replaced[1].text, replaced[1].replaced) == ("two \ufffdx", 1)


@pytest.mark.parametrize(("page", "word"), [("cp1252", "naïve"), ("cp1251", "привет"), ("cp1250", "żółw")])
def test_the_code_page_of_a_file_is_among_those_named(tmp_path: Path, page: str, word: str) -> None:
    path = written(tmp_path / "a.txt", f"good\n{word} text\n".encode(page))
    with pytest.raises(ValueError, match=rf"a\.txt:2: .*as {page} the place reads '{word}'"):
        list(read_lines(path))
