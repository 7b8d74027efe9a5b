"""Files of text -> documents: every way to write a text file, and every bad one named with file and line."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import sys
from pathlib import Path

import pytest
import zstandard

from electra.data.corpus import documents
from electra.data.corpus.documents import Lines, read_documents
from electra.files import lines
from electra.files.lines import read_lines

TEXT = "One line.\n  and another \n\n \nSecond – document\r\n\n\n\nThird"
LINES = [["One line.", "and another"], ["Second – document"], ["Third"]]
COMPRESS = {
    "a": bytes,
    "a.txt": bytes,
    "a.txt.gz": gzip.compress,
    "a.xz": lzma.compress,
    "a.txt.zst": zstandard.ZstdCompressor().compress,
}


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fails(path: Path | list[Path], *words: str, error: type[Exception] = ValueError, **options: str) -> None:
    """Reading `path` raises an error whose message holds each of the words."""
    with pytest.raises(error) as caught:
        list(read_documents(path, **options))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", COMPRESS)
def test_blank_lines_separate_documents_in_every_format(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, COMPRESS[name](TEXT.encode()))
    found = list(read_documents(path))
    assert [document.lines for document in found] == LINES
    assert [document.line for document in found] == [1, 5, 9]
    assert {document.source for document in found} == {path}


@pytest.mark.parametrize("name", ["a.txt.gz", "a.xz", "a.txt.zst"])
def test_compressed_streams_may_follow_one_another(tmp_path: Path, name: str) -> None:
    parts = [COMPRESS[name](part) for part in (b"one\nt", b"wo\n", b"three")]
    path = write(tmp_path / name, b"".join(parts) + b"\0" * 8)
    assert [document.lines for document in read_documents(path)] == [["one", "two", "three"]]


def test_folders_and_patterns_are_read_in_sorted_order_and_files_end_documents(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a.txt", ".hidden/x.txt", "notes.md"):
        write(tmp_path / name, name)
    by_folder = [document.lines[0] for document in read_documents(tmp_path)]
    assert by_folder == ["a/z.txt", "a.txt", "b.txt"]
    assert [document.lines[0] for document in read_documents(str(tmp_path / "?.txt"))] == ["a.txt", "b.txt"]
    in_given_order = read_documents([tmp_path / "b.txt", tmp_path / "a.txt"])
    assert [document.lines[0] for document in in_given_order] == ["b.txt", "a.txt"]


def test_other_encodings_and_the_byte_order_mark(tmp_path: Path) -> None:
    latin = write(tmp_path / "latin.txt", "café\n".encode("latin-1"))
    marked = write(tmp_path / "marked.txt", b"\xef\xbb\xbfhello\n")
    assert next(read_documents(latin, encoding="latin-1")).lines == ["café"]
    assert next(read_documents(marked)).lines == ["hello"]


def test_progress_ends_at_the_size_on_the_disk(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{i}.txt.gz", gzip.compress(os.urandom(200_000).hex().encode())) for i in range(2)]
    seen: list[tuple[int, int]] = []
    list(read_documents(paths, progress=lambda done, total: seen.append((done, total))))
    total = sum(path.stat().st_size for path in paths)
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert len(seen) > 4


def test_a_giant_line_and_a_file_without_blank_lines_come_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 64)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 7)
    monkeypatch.setattr(documents, "LONGEST_DOCUMENT", 1000)
    words = [f"wörd{i}" for i in range(300)]
    path = write(tmp_path / "a.txt", " ".join(words) + "\n" + "語" * 100 + "\nend\n")
    found_lines = list(read_lines(path))
    assert max(len(line.text.encode()) for line in found_lines) <= 64
    assert " ".join(line.text for line in found_lines if line.number == 1).split() == words  # cut between words
    assert "".join(line.text for line in found_lines if line.number == 2) == "語" * 100  # and between characters
    assert found_lines[-1] == (3, "end", 0)
    found = list(read_documents(path))
    assert len(found) > 2
    assert [line for document in found for line in document.lines] == [line.text for line in found_lines]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_what_a_giant_line_hands_on_is_small(tmp_path: Path, name: str) -> None:
    """Tokenizing a line, or learning from it, takes a hundred times its memory."""
    words = "wörd and " * 300_000
    path = write(tmp_path / name, json.dumps({"text": words}) if name == "a.jsonl" else words)
    found = list(Lines((str(path),)))
    assert max(map(len, found)) <= 2**16
    assert " ".join(found).split() == words.split()


@pytest.mark.parametrize("name", ["a.txt.gz", "a.xz", "a.txt.zst"])
def test_what_was_compressed_ten_thousandfold_is_not_decompressed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(lines, "COMPRESSED_BYTES", 64)
    text = b"a " * 2**21
    sizes = list(map(len, lines._blocks(write(tmp_path / name, COMPRESS[name](text)), None)))
    assert sum(sizes) == len(text)
    assert max(sizes) <= 2**20


def test_a_missing_file_or_pattern(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*gone\.txt"):
        read_documents(tmp_path / "gone.txt")  # at the call, before anything is read
    with pytest.raises(FileNotFoundError, match="no file matches"):
        read_documents(str(tmp_path / "*.txt"))
    with pytest.raises(ValueError, match="no text was given"):
        read_documents([])


def test_a_folder_without_text_files(tmp_path: Path) -> None:
    write(tmp_path / "image.png", "x")
    fails(tmp_path, str(tmp_path), "no text files (of 1 files)", ".txt", ".zst")


@pytest.mark.parametrize("name", ["a.pdf", "a.json.gz", "a.tar.xz", "a.zip", "a.parquet.gz"])
def test_an_unknown_suffix(tmp_path: Path, name: str) -> None:
    fails(write(tmp_path / name, "text"), name, "not known to be text", ".txt")


@pytest.mark.parametrize("encoding", ["gb18030", "shift_jis", "euc-jp", "latin-1"])
def test_a_giant_line_is_cut_between_the_characters_of_its_encoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 64)
    text = "a" + ("é³" if encoding == "latin-1" else "語日") * 500
    path = write(tmp_path / "a.txt", (text + "\nend\n").encode(encoding))
    found = next(read_documents(path, encoding=encoding)).lines
    assert "".join(found) == text + "end"
    assert max(map(len, found)) <= 64


@pytest.mark.parametrize("encoding", ["iso-2022-jp", "utf-7"])
def test_a_giant_line_whose_pieces_would_mean_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 64)
    words = "語日 and " * 100
    path = write(tmp_path / "a.txt", words.encode(encoding))
    assert " ".join(next(read_documents(path, encoding=encoding)).lines) == words.strip()
    path = write(tmp_path / "b.txt", ("one\n" + "語日" * 500).encode(encoding))
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 1024)
    fails(path, f"b.txt:2: a line of over 1 kB, which cannot be cut in {encoding}", encoding=encoding)


def test_a_zstd_window_of_any_size(tmp_path: Path) -> None:
    """What zstd --long=31 writes."""
    settings = zstandard.ZstdCompressionParameters.from_level(1, window_log=28, enable_ldm=False)
    compressor = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    path = write(tmp_path / "a.txt.zst", compressor.compress(b"text\n") + compressor.flush())
    assert [document.lines for document in read_documents(path)] == [["text"]]


def test_a_file_named_twice_would_leak_what_is_held_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "text")
    fails([tmp_path, path], "a.txt is named twice")


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_an_empty_file_among_others(tmp_path: Path, content: str) -> None:
    fails([write(tmp_path / "a.txt", "text"), write(tmp_path / "b.txt", content)], "b.txt holds no text")


def test_a_binary_file(tmp_path: Path) -> None:
    fails(write(tmp_path / "a.txt", b"text\n\x7fELF\x02\0\0"), "a.txt:2:", "binary")
    fails(write(tmp_path / "b.txt", "text".encode("utf-16")), "b.txt:1:", "UTF-16")


def test_a_latin_1_file_is_named_with_line_and_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "good\n\nthe café\n".encode("latin-1"))
    fails(path, "a.txt:3:", "0xe9 at byte 8", "not utf-8", "latin-1")


def test_an_encoding_that_does_not_exist_or_has_no_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "text")
    fails(path, "'utf-9' is unknown", encoding="utf-9")
    fails(path, "'hex' is unknown", encoding="hex")
    fails(path, "a.txt:1: ", "utf-16-le", encoding="utf-16")


@pytest.mark.parametrize("name", ["a.txt.gz", "a.xz", "a.txt.zst"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_a_compressed_file_cut_short(tmp_path: Path, name: str, kept: float) -> None:
    whole = COMPRESS[name]("\n".join(os.urandom(20).hex() for _ in range(5000)).encode())
    fails(write(tmp_path / name, whole[: int(len(whole) * kept)]), name, "cut short")


@pytest.mark.parametrize("name", ["a.txt.gz", "a.xz", "a.txt.zst"])
def test_a_file_that_is_not_what_its_suffix_says(tmp_path: Path, name: str) -> None:
    fails(write(tmp_path / name, "plain text, not compressed at all"), f"{name}:1:", "damaged compressed file")


def test_without_zstandard_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.txt.zst", COMPRESS["a.txt.zst"](b"text"))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ImportError, match=re.escape("pip install 'electra[data]'")):
        read_documents(path)  # at the call: not after hours of other files


def test_bytes_that_are_no_text_are_replaced_and_counted_where_that_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"caf\xe9 \xff\xfe \xef\xbf\xbd meant\n\ngood\n\nbad: \xc3\n")
    fails(path, "a.txt:1:", "0xe9", "invalid_utf8")
    found = list(read_documents(path, invalid_utf8="replace"))
    assert [document.replaced for document in found] == [3, 0, 1]
    assert found[0].lines == ["caf\ufffd \ufffd\ufffd \ufffd meant"]
    fails(path, "invalid_utf8 is 'replac': choose one of refuse, replace. Did you mean replace?", invalid_utf8="replac")
    fails(write(tmp_path / "b.txt", b"zero \0 byte"), "b.txt:1:", "binary", invalid_utf8="replace")


@pytest.mark.parametrize("change", ["shrinks", "grows", "is touched"])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: str
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 1000)
    content = "\n\n".join(os.urandom(20).hex() for _ in range(2000)).encode()
    path = write(tmp_path / name, COMPRESS[name](content))
    size = path.stat().st_size
    found = read_documents(path)
    next(found)
    if change == "is touched":
        os.utime(path, ns=(0, 0))
    else:
        os.truncate(path, size // 2 if change == "shrinks" else size + 1000)
    expected = {"shrinks": f"now {size // 2:,}", "grows": f"now {size + 1000:,}", "is touched": "and was written to"}
    with pytest.raises(
        ValueError, match=rf"{name} changed while it was read \(it had {size:,} bytes, {expected[change]}"
    ):
        list(found)


def test_stdin_is_no_file_here(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"- \(stdin\) is read by the command line only"):
        read_documents("-")
