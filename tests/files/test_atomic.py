"""Whole or not at all: whatever fails, what was there before is there afterwards, and nothing else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from electra.files import atomic as files
from electra.files.atomic import adding_to_folder, remove_unfinished, write_text, writing, writing_folder


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder`, and what it says."""
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def write_file(folder: Path) -> None:
    write_text(folder / "a.txt", "new")


def replace_folder(folder: Path) -> None:
    with writing_folder(folder) as new:
        (new / "a.txt").write_text("new")


def add_files(folder: Path) -> None:
    with adding_to_folder(folder, replacing=["b*"]) as new:
        (new / "a.txt").write_text("new")
        (new / "c.txt").write_text("new")


AFTERWARDS = [
    (write_file, {"a.txt": "new", "b.txt": "old", "z.txt": "old"}),
    (replace_folder, {"a.txt": "new"}),
    (add_files, {"a.txt": "new", "c.txt": "new", "z.txt": "old"}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "z.txt"):
        (folder / name).write_text("old")
    return folder


@pytest.mark.parametrize(("write", "afterwards"), AFTERWARDS)
def test_what_is_there_afterwards(write: Callable[[Path], None], afterwards: dict[str, str], folder: Path) -> None:
    write(folder)
    assert tree(folder) == afterwards
    assert sorted(p.name for p in folder.parent.iterdir()) == ["folder"], "nothing is left beside it"


@pytest.mark.parametrize(("write", "afterwards"), AFTERWARDS)
def test_missing_folders_are_made(write: Callable[[Path], None], afterwards: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "x" / "y" / "folder"
    write(folder)
    assert tree(folder) == {name: text for name, text in afterwards.items() if text == "new"}


@pytest.mark.parametrize("fails", ["fsync", "replace"])
@pytest.mark.parametrize("write", [write_file, replace_folder, add_files])
def test_a_full_disk_changes_nothing(
    write: Callable[[Path], None], fails: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(folder.parent)
    with monkeypatch.context() as broken:
        broken.setattr(files.os, fails, full)
        with pytest.raises(OSError, match="No space left on device") as raised:
            write(folder)
    assert raised.value.errno == errno.ENOSPC
    assert str(folder) in str(raised.value)
    assert "partial" not in str(raised.value)
    assert tree(folder.parent) == before


@pytest.mark.parametrize("write", [write_file, replace_folder, add_files])
def test_a_full_disk_leaves_no_new_folders(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "x" / "y" / "folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("move", [1, 2])
def test_a_move_that_fails_takes_back_the_earlier_ones(
    hard_links: bool, move: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(folder.parent)
    done: list[str] = []

    def fail_at(source: str, target: str) -> None:
        done.append(str(target))
        if len(done) == move:
            full()
        Path(source).rename(target)

    if not hard_links:
        monkeypatch.setattr(files.os, "link", full)
    monkeypatch.setattr(files.os, "replace", fail_at)
    with pytest.raises(OSError, match="No space left"):
        add_files(folder)
    assert len(done) == move
    assert tree(folder.parent) == before


KILLED = """
import os, sys
from electra.files import atomic as files

replace = os.replace
def die(source, target):
    if str(target) == sys.argv[1]: os._exit(9)
    replace(source, target)

files.os.replace = die
with files.writing_folder(sys.argv[1]) as new:
    files.write_text(new / "a.txt", "new")
"""


def test_a_folder_whose_replacement_was_killed_is_given_back(folder: Path) -> None:
    before = tree(folder)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], check=False)
    assert killed.returncode == 9
    assert not folder.exists()
    remove_unfinished(folder.parent)
    assert tree(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]


def interrupt(stage: Callable[[Path], AbstractContextManager[object]], place: Path, error: type[BaseException]) -> None:
    with stage(place) as new:
        if isinstance(new, Path):
            (new / "a.txt").write_text("half")
        else:
            new.write(b"half")  # type: ignore[attr-defined]
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_the_callers_own_error_goes_through_and_changes_nothing(error: type[BaseException], folder: Path) -> None:
    before = tree(folder.parent)
    for stage, place in ((writing, folder / "a.txt"), (writing_folder, folder), (adding_to_folder, folder)):
        with pytest.raises(error):
            interrupt(stage, place, error)
        assert tree(folder.parent) == before


def test_what_killed_writers_left_of_one_name_is_swept(folder: Path) -> None:
    """And not what others write at this time, whose names may begin alike."""
    names = [".a[1].01234567.partial", ".a[1].b.01234567.partial", ".a1.01234567.partial", "a[1]"]
    for name in names:
        (folder / name / "inner").mkdir(parents=True)
    files.remove_partial_of(folder / "a[1]")
    assert [name for name in names if (folder / name).exists()] == names[1:]


def test_an_error_about_another_file_keeps_its_name(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"elsewhere\.txt"), writing(folder / "a.txt"):
        (folder / "elsewhere.txt").read_text()


def test_a_file_where_a_folder_should_be(folder: Path) -> None:
    for write in (write_file, replace_folder, add_files):
        with pytest.raises(OSError, match=r"a\.txt"):
            write(folder / "a.txt")
    assert tree(folder)["a.txt"] == "old"


def test_an_unwritable_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(PermissionError, match=r"Permission denied.*a\.txt'$"):
        write_file(folder)
    monkeypatch.undo()
    assert tree(folder)["a.txt"] == "old"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_text(tmp_path / "a.txt", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_text_is_utf8_with_line_feeds(tmp_path: Path) -> None:
    assert write_text(tmp_path / "a.txt", "ä\nß").read_bytes() == "ä\nß".encode()


def test_unknown_mode(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode='a'"), writing(tmp_path / "a.txt", "a"):  # type: ignore[arg-type]
        pass


def test_a_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="no ordinary file"), writing(pipe) as file:
        file.write(b"x")
    assert pipe.is_fifo()
