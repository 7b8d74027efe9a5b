"""A folder that takes hours to write: what is finished survives a kill, and the next call resumes from it

It is written in a hidden folder beside its place, `.NAME.unfinished`, which one process holds at a time. Now and then
its writer records in `mark.json` how far it is; what was written after the last mark does not count.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from electra.files.atomic import remove, sync_folder_tree, write_text
from electra.files.locks import LOCK_FILES, FolderLock, lock_folder, try_lock_folder

SUFFIX = ".unfinished"
PARTIAL = ".partial"
MARK = "mark.json"
SHARDS = (".bin", ".idx")


@contextmanager
def resumable_folder(target: Path, description: str) -> Iterator[Path]:
    """The hidden folder, which becomes `target` when the block ends without an error.

    Where the process is killed, the hidden folder stays and the next call gets it again. After an error (a bad line, a
    full disk) it stays if something was marked, otherwise it is removed. Unfinished folders of other targets in the
    same parent are removed, unless another process holds them.

    Args:
        target: the folder to write. It replaces a folder that is empty or holds nothing but shards and `description`.
        description: the file in which the writer says what it made.

    Raises:
        OSError: `target` cannot be written, or another process is writing it. The message names `target`.
        ValueError: `target` holds something else; nothing has been done.
    """
    require_replaceable(target, description)
    working = target.with_name(f".{target.name}{SUFFIX}")
    new_parents = [folder for folder in target.parents if not folder.exists()]
    lock = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(target.parent, but=working)
        working.mkdir(exist_ok=True)
        try:
            lock = lock_folder(working, f"is writing {target}", "wait until it ends")
        except BlockingIOError:
            new_parents = []  # they are the other process's
            raise
        yield working
        _publish(working, target, description, lock)
    except BaseException as error:
        if lock is not None and not (working / MARK).is_file():
            remove(working)
        for folder in new_parents:  # the innermost first; those that are not empty stay
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and lock is not None and _is_about(working, error):
            raise _naming_target(error, target, resumable=working.exists()) from error
        raise
    finally:
        if lock is not None:
            lock.release()


def read_mark(working: Path) -> dict[str, Any] | None:
    """The last mark, or None."""
    with suppress(FileNotFoundError):
        mark: dict[str, Any] = json.loads((working / MARK).read_text("utf-8"))
        return mark
    return None


def write_mark(working: Path, mark: Mapping[str, Any]) -> None:
    """Record that what is on the disk now is finished as far as `mark` says; all or nothing."""
    write_text(working / MARK, json.dumps(mark))


def clear(working: Path) -> None:
    """Restart: remove all that is in the hidden folder."""
    for path in working.iterdir():
        if path.name not in LOCK_FILES:
            path.unlink()


def require_replaceable(target: Path, description: str) -> None:
    """Refuse to replace what its owner would miss: a file, or a folder that holds other things than shards.

    Raises:
        ValueError: it names the target and the first thing in it that is in the way.
    """
    if not target.exists():
        return
    names = sorted(path.name for path in target.iterdir()) if target.is_dir() else [target.name]
    others = [name for name in names if name != description and not name.startswith(".")]
    if description in names:
        others = [name for name in others if Path(name).suffix not in SHARDS]
    if others or not target.is_dir():
        what = f"holds {others[0]}" if target.is_dir() else "is a file"
        raise ValueError(f"{target} {what}, and would be replaced: give a new or an empty folder")


def _publish(working: Path, target: Path, description: str, lock: FolderLock) -> None:
    """Remove what its writer needed to resume (the mark, hidden files), and rename the rest to `target`."""
    for path in (*working.glob(".*"), working / MARK):
        if path.name not in LOCK_FILES:
            path.unlink(missing_ok=True)
    sync_folder_tree(working)
    require_replaceable(target, description)
    if sys.platform == "win32":
        lock.release()  # there, a folder with an open file in it cannot be renamed
    before = target.with_name(f".{target.name}.before{PARTIAL}")  # the next call removes it, if this one is killed
    if target.exists():
        target.rename(before)
    working.rename(target)
    lock.moved(target)
    remove(before)


def _is_about(working: Path, error: OSError) -> bool:
    """Whether the system's error is about the hidden folder, or about no file. (A lost connection is an `OSError`.)"""
    return error.errno is not None and (error.filename is None or working.name in str(error.filename))


def _naming_target(error: OSError, target: Path, *, resumable: bool) -> OSError:
    """An error about a hidden file, or about none (a full disk), that names `target` and what remains of the work."""
    remains = "What is finished is kept: run the same call again to resume" if resumable else "Nothing was written"
    return OSError(error.errno, f"{error.strerror}. {remains}", str(target))


def _remove_unfinished(parent: Path, *, but: Path) -> None:
    """Remove what killed processes left of other targets; what a living one holds stays."""
    for folder in [*parent.glob(f".*{SUFFIX}"), *parent.glob(f".*{PARTIAL}")]:
        if folder == but or not folder.is_dir():
            continue
        with suppress(OSError):  # another user's, perhaps
            if (lock := try_lock_folder(folder)) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                lock.release()
