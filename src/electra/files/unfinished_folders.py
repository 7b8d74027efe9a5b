"""A folder that takes hours to write: kept as far as it is finished, and gone on with after a kill.

It is written in a hidden folder beside its place, `.NAME.unfinished`, which one process holds at a time. Now and then
its writer marks how far it is, in `mark.json`; what it wrote after the last mark does not count.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from electra.files.atomic import write_text

SUFFIX = ".unfinished"
PARTIAL = ".partial"
MARK = "mark.json"
SHARDS = (".bin", ".idx")


@contextmanager
def unfinished(target: Path, description: str) -> Iterator[Path]:
    """The hidden folder, which becomes `target` when the block ends without an error.

    It replaces a folder there that is empty or holds nothing but shards and `description`, the file by which the writer
    tells what it made.

    Where the process is killed, the folder stays and is given out again the next time. After an error (a bad line, a
    full disk) it stays if something was marked, else it is removed. What was left of other targets in the same parent
    is removed, unless another process holds it.

    Raises `OSError`, naming `target`, when it cannot be written, or another process is writing it; and `ValueError`,
    before anything is done, where it holds something else.
    """
    insist_replaceable(target, description)
    working = target.with_name(f".{target.name}{SUFFIX}")
    made = [folder for folder in target.parents if not folder.exists()]
    lock = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent, but=working)
        working.mkdir(exist_ok=True)
        lock = _hold(working)
        if lock is None:
            made = []
            raise BlockingIOError(errno.EAGAIN, f"another process is writing {target}: wait until it ends")
        yield working
        _publish(working, target, description)
    except BaseException as error:
        if lock is not None and not (working / MARK).is_file():
            shutil.rmtree(working, ignore_errors=True)
        for folder in made:  # the innermost first; those that are not empty stay
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and lock is not None and _is_of(working, error):
            raise _told(error, target, kept=working.exists()) from error
        raise
    finally:
        if lock is not None:
            os.close(lock)


def read_mark(working: Path) -> dict[str, Any] | None:
    """What was marked last, or None."""
    with suppress(FileNotFoundError):
        mark: dict[str, Any] = json.loads((working / MARK).read_text("utf-8"))
        return mark
    return None


def write_mark(working: Path, mark: Mapping[str, Any]) -> None:
    """Say that what is on the disk now is finished as far as `mark` tells; all or nothing."""
    write_text(working / MARK, json.dumps(mark))


def clear(working: Path) -> None:
    """Begin anew: remove all that is in the hidden folder."""
    for path in working.iterdir():
        path.unlink()


def insist_replaceable(target: Path, description: str) -> None:
    """Raise `ValueError` where something is that its owner would miss: a file, or in a folder what is no shard."""
    if not target.exists():
        return
    there = sorted(path.name for path in target.iterdir()) if target.is_dir() else [target.name]
    others = [name for name in there if name != description and not name.startswith(".")]
    if description in there:
        others = [name for name in others if Path(name).suffix not in SHARDS]
    if others or not target.is_dir():
        what = f"holds {others[0]}" if target.is_dir() else "is a file"
        raise ValueError(f"{target} {what}, and would be replaced: give a new or an empty folder")


def _publish(working: Path, target: Path, description: str) -> None:
    """What its writer needed to go on (the mark, hidden files) goes; the rest becomes `target`."""
    for path in (*working.glob(".*"), working / MARK):
        path.unlink(missing_ok=True)
    _sync(working)
    insist_replaceable(target, description)
    before = target.with_name(f".{target.name}.before{PARTIAL}")  # swept away by the next one, if this one is killed
    if target.exists():
        target.rename(before)
    working.rename(target)
    shutil.rmtree(before, ignore_errors=True)


def _is_of(working: Path, error: OSError) -> bool:
    """Whether the system says it of the hidden folder, or of no file. (A lost connection is an `OSError`, too.)"""
    return error.errno is not None and (error.filename is None or working.name in str(error.filename))


def _told(error: OSError, target: Path, *, kept: bool) -> OSError:
    """An error about a hidden file, or about none (a full disk): with `target`, and what has become of the work."""
    now = "What is finished is kept: the same call goes on from there" if kept else "Nothing was written"
    return OSError(error.errno, f"{error.strerror}. {now}", str(target))


def _sweep(parent: Path, *, but: Path) -> None:
    """Remove what killed processes left of other targets; what a living one holds stays."""
    for folder in [*parent.glob(f".*{SUFFIX}"), *parent.glob(f".*{PARTIAL}")]:
        if folder != but and folder.is_dir() and (lock := _hold(folder)) is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _hold(folder: Path) -> int | None:
    """A descriptor that holds the folder until it is closed or the process ends; None where another holds it."""
    if sys.platform == "win32":
        return os.open(os.devnull, os.O_RDONLY)
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        pass  # some network file systems know no locks
    return descriptor


def _sync(folder: Path) -> None:
    for path in (*folder.iterdir(), *((folder,) if os.name == "posix" else ())):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            with suppress(OSError):
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
