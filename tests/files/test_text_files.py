"""Which files folders and patterns stand for, and what is told of the others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from electra.files.text_files import find_text_files


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("text\n")
    return folder


def found(path: Path, root: Path, outside: Path | None = None) -> tuple[list[str], list[str]]:
    """The files that `path` stands for, and what is told, without the root."""
    messages: list[str] = []
    files = find_text_files(path, outside=outside, warn=messages.append)
    return [str(file.relative_to(root)) for file in files], [one.replace(f"{root}", "ROOT") for one in messages]


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path: Path) -> None:
    corpus = made(tmp_path / "corpus", "a.txt", "sub/b.txt", ".store/c.txt")
    made(tmp_path / "elsewhere", "d.txt", "deep/e.txt")
    links = {
        "corpus/linked": "../elsewhere",
        "corpus/linked_again": "../elsewhere/deep",  # read here, and not behind the first
        "corpus/zzz": ".store",  # read nowhere else
        "corpus/current": "sub",  # read where it lies
        "corpus/sub/up": "..",
        "corpus/sub/over": "../..",
        "elsewhere/deep/loop": "..",
        "elsewhere/back": "../corpus",
    }
    for name, target in links.items():
        os.symlink(target, tmp_path / name)
    files, messages = found(corpus, corpus)
    assert files == ["a.txt", "linked/d.txt", "linked_again/e.txt", "sub/b.txt", "zzz/c.txt"]
    assert messages == []


def test_folders_that_match_a_pattern_are_read_too(tmp_path: Path) -> None:
    made(tmp_path, "b.txt", "sub/a.txt", "sub/deep/c.txt", "images/x.png", "a/z.txt")
    os.symlink("sub", tmp_path / "current")
    expected = ["a/z.txt", "b.txt", "current/a.txt", "current/deep/c.txt"]
    files, messages = found(tmp_path / "*", tmp_path)
    assert files == expected
    assert messages == ["left out of the text in ROOT/images: 1 .png"]
    (tmp_path / "current").unlink()
    (tmp_path / "images" / "x.png").unlink()
    assert (
        found(tmp_path / "**", tmp_path)[0]
        == found(tmp_path, tmp_path)[0]
        == [
            "a/z.txt",
            "b.txt",
            "sub/a.txt",
            "sub/deep/c.txt",
        ]
    )
    assert found(tmp_path / "sub*", tmp_path)[0] == ["sub/a.txt", "sub/deep/c.txt"]


def test_what_is_left_out_of_a_folder_is_told(tmp_path: Path) -> None:
    made(tmp_path, "a.txt", "AA/wiki_00", "AA/wiki_01", "notes.md", ".hidden")
    os.symlink("nothing", tmp_path / "gone.txt")
    files, messages = found(tmp_path, tmp_path)
    assert files == ["a.txt"]
    assert messages == [
        "left out of the text in ROOT: 1 .md, 1 no files, 2 without a suffix "
        "(to have those without a suffix read, name them by a pattern: 'ROOT/**')"
    ]
    assert found(tmp_path / "AA" / "**", tmp_path) == (["AA/wiki_00", "AA/wiki_01"], [])
    with pytest.raises(ValueError, match=r"no text files \(of 2 files\).*; name files without a suffix by a pattern"):
        find_text_files(tmp_path / "AA")


@pytest.mark.parametrize("path", [".", "*", "**"])
def test_files_in_the_output_are_read_only_where_they_are_named(tmp_path: Path, path: str) -> None:
    made(tmp_path, "a.txt", "runs/first/vocab.txt", "runs/first/examples/metrics.jsonl", "runs/b.txt")
    files, messages = found(tmp_path / path, tmp_path, outside=tmp_path / "runs" / "first")
    assert files == ["a.txt", "runs/b.txt"]
    assert messages[:1] == (["left out of the text: ROOT/runs/first, where the output is written"])
    named = tmp_path / "runs" / "first" / "vocab.txt"
    assert found(named, tmp_path, outside=tmp_path / "runs")[0] == ["runs/first/vocab.txt"]
