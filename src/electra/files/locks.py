"""Locks on folders: one process at a time works in a folder, and who is refused learns which process holds it"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from electra.files.atomic import remove

LOCK = ".lock"
HOLDER = ".lock-holder"
LOCK_FILES = (LOCK, HOLDER)
"""Hidden files in a locked folder. A killed process leaves them; that locks nobody out."""

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""What network file systems without locks answer. There the folder is used without one, as before there were locks."""


class FolderLock:
    """A folder or an output that this process holds until `release`, or until the process ends, however it ends."""

    def __init__(self, lock_file: Path, holder_file: Path, lock: FileLock | None) -> None:
        self._lock_file, self._holder_file, self._lock = lock_file, holder_file, lock

    def release(self) -> None:
        """Give the folder back, also one that was removed or renamed meanwhile. A second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        # The files go while the lock is held: a process that opens the lock file just before sees that it has no name
        # any more, and tries again.
        for path in (self._holder_file, self._lock_file):
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):
            lock.release()
        if os.name == "nt":  # Windows removes no open file
            with suppress(OSError):
                self._lock_file.unlink()

    def moved(self, folder: Path) -> None:
        """Tell the lock where its folder has been renamed to."""
        self._lock_file, self._holder_file = folder / LOCK, folder / HOLDER


def lock_folder(folder: Path, doing: str, remedy: str) -> FolderLock:
    """Hold an existing folder for this process.

    Args:
        folder: what one process at a time may work in.
        doing: what the other process does with it, so that "another process {doing}" reads well.
        remedy: what to do, so that "{remedy}" ends the message.

    Raises:
        BlockingIOError: another process holds it; the message has its number and its machine.
        OSError: the folder cannot be written.
    """
    lock = try_lock_folder(folder)
    if lock is None:
        raise BlockingIOError(errno.EAGAIN, f"another process{_holder(folder / HOLDER)} {doing}: {remedy}")
    return lock


def lock_output(path: Path) -> FolderLock:
    """Hold the place of an output, whether or not something is there, for this process.

    Args:
        path: what one process at a time may write. Its parent must exist, and gets two hidden files meanwhile.

    Raises:
        BlockingIOError: another process holds it; the message has its number and its machine.
        OSError: the parent cannot be written.
    """
    lock_file, holder_file = (path.with_name(f".{path.name}{kind}") for kind in LOCK_FILES)
    lock = _try_lock(lock_file, holder_file)
    if lock is None:
        raise BlockingIOError(
            errno.EAGAIN,
            f"another process{_holder(holder_file)} writes {path}: wait until it ends, or give another output",
        )
    return lock


def try_lock_folder(folder: Path) -> FolderLock | None:
    """Hold an existing folder for this process; None where another process (or this one) holds it."""
    return _try_lock(folder / LOCK, folder / HOLDER)


def _try_lock(lock_file: Path, holder_file: Path) -> FolderLock | None:
    lock = FileLock(lock_file, timeout=0, is_singleton=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except NotImplementedError:
        return FolderLock(lock_file, holder_file, None)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        remove(lock_file)
        return FolderLock(lock_file, holder_file, None)
    # A file of its own, because Windows lets nobody read a locked one.
    with suppress(OSError):
        holder_file.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    return FolderLock(lock_file, holder_file, lock)


def _holder(holder_file: Path) -> str:
    """` (process NUMBER on MACHINE)`, where it can be read."""
    with suppress(OSError, ValueError):
        if holder := holder_file.read_text(encoding="utf-8").strip():
            return f" ({holder})"
    return ""
