"""Outputs that would destroy something are refused, and one process at a time writes an output."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from electra.files.output_places import holding_files, holding_folder


def test_a_new_folder_is_written_and_nothing_else_is_left(tmp_path: Path) -> None:
    with holding_folder(tmp_path / "a" / "out", {}) as output, output.writing() as folder:
        (folder / "file").write_text("new")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "a",
        "a/out",
        "a/out/file",
    ]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with holding_folder(tmp_path / "out", {}) as output, output.writing() as folder:
        (folder / "file").write_text("new")
    assert (tmp_path / "out" / "file").read_text() == "new"


def test_a_refused_output_leaves_no_parents(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), holding_folder(tmp_path / "a" / "b" / "out", {}):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def write_folder(out: Path, meanwhile: Callable[[], object], *, replace: bool = False) -> None:
    with holding_folder(out, {}, replaceable=lambda path: replace) as output, output.writing() as folder:
        (folder / "file").write_text("new")
        meanwhile()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_came_meanwhile_stays(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"

    def meanwhile() -> None:
        if what == "folder":
            out.mkdir()
        (out if what == "file" else out / "mine").write_text("mine")

    with pytest.raises(ValueError, match="made by somebody else meanwhile"):
        write_folder(out, meanwhile)
    assert (out if what == "file" else out / "mine").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_comes_at_the_last_moment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    rename = os.rename

    def racing(source: Path, target: Path) -> None:
        out.mkdir()
        (out / "mine").write_text("mine")
        rename(source, target)

    monkeypatch.setattr(os, "rename", racing)
    with pytest.raises(FileExistsError, match="made it meanwhile"):
        write_folder(out, lambda: None)
    assert [path.name for path in out.iterdir()] == ["mine"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_replaced_folder_must_be_the_one_that_was_checked(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    with holding_folder(out, {}, replaceable=lambda path: True) as output, output.writing() as folder:
        (folder / "new").write_text("new")
    assert [path.name for path in out.iterdir()] == ["new"]

    def meanwhile() -> None:
        out.rename(tmp_path / "aside")
        out.mkdir()
        (out / "mine").write_text("mine")

    with pytest.raises(ValueError, match="meanwhile"):
        write_folder(out, meanwhile, replace=True)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_folders_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    data = tmp_path / "full" / "data.jsonl"
    data.write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, message in (("file", "is a file"), ("full", "there already"), ("link", "a link to .*nothing")):
        with pytest.raises(ValueError, match=message), holding_folder(tmp_path / name, {}):
            pass
    for output, given in (("full", data), ("full", tmp_path / "full")):
        holding = holding_folder(tmp_path / output, {"data": given}, replaceable=lambda path: True)
        with pytest.raises(ValueError, match="the data"), holding:
            pass
    assert data.read_text() == "{}"


def refused(message: str, outputs: dict[str, Path | None], inputs: dict[str, Path | None], **options: bool) -> None:
    with pytest.raises(ValueError, match=message), holding_files(outputs, inputs, **options):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_an_output(tmp_path: Path, overwrite: bool) -> None:
    data, model = tmp_path / "d.jsonl", tmp_path / "model"
    data.write_text("{}")
    model.mkdir()
    (model / "config.json").write_text("{}")
    inputs: dict[str, Path | None] = {"data": data, "model": model, "other": None}
    (tmp_path / "hard.jsonl").hardlink_to(data)
    (tmp_path / "there").symlink_to(tmp_path, target_is_directory=True)
    for path in (data, tmp_path / "hard.jsonl", tmp_path / "model" / ".." / "d.jsonl", tmp_path / "there" / "d.jsonl"):
        refused("which is also the data", {"output": path}, inputs, overwrite=overwrite)
    refused("a file of the model", {"output": model / "config.json"}, inputs, overwrite=overwrite)
    refused("a folder", {"output": model / "."}, {}, overwrite=overwrite)
    refused("both", {"html": tmp_path / "a", "predictions": tmp_path / "." / "a"}, inputs, overwrite=overwrite)
    (tmp_path / "link").symlink_to(data)
    refused(f"a link to .*{data.name}", {"output": tmp_path / "link"}, {}, overwrite=overwrite)
    assert data.read_text() == "{}"
    with holding_files({"output": model / "new.html"}, inputs, overwrite=overwrite):
        pass


def test_files_that_exist_are_replaced_when_asked_for_or_when_they_are_our_own(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("mine")
    refused("which exists: give another name, or --overwrite", {"html": path}, {})
    with holding_files({"html": path}, {}, overwrite=True):
        pass
    with holding_files({"html": path}, {}, is_own=lambda name, file: (name, file) == ("html", path)):
        pass
    with holding_files({"html": None, "out": Path("/dev/null")}, {}):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    for first, second in ((holding_folder, holding_folder), (holding_folder, holding_files)):
        with first(tmp_path / "out", {}):
            inputs = {"output": tmp_path / "out"} if second is holding_files else tmp_path / "out"
            holding = second(inputs, {})  # type: ignore[operator]
            message = rf"another process \(process {os.getpid()} on .*writes .*out"
            with pytest.raises(BlockingIOError, match=message), holding:
                pass
    assert list(tmp_path.iterdir()) == []
