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
    """A folder that this process holds until `release`, or until the process ends, however it ends."""

    def __init__(self, folder: Path, lock: FileLock | None) -> None:
        self._folder, self._lock = folder, lock

    def release(self) -> None:
        """Give the folder back, also one that was removed or renamed meanwhile. A second call does nothing."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        # The files go while the lock is held: a process that opens the lock file just before sees that it has no name
        # any more, and tries again.
        for name in reversed(LOCK_FILES):
            with suppress(OSError):
                (self._folder / name).unlink()
        with suppress(OSError):
            lock.release()
        with suppress(OSError):
            (self._folder / LOCK).unlink()  # Windows removes no open file

    def moved(self, folder: Path) -> None:
        """Tell the lock where its folder has been renamed to."""
        self._folder = folder


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
        raise BlockingIOError(errno.EAGAIN, f"another process{_holder(folder)} {doing}: {remedy}")
    return lock


def try_lock_folder(folder: Path) -> FolderLock | None:
    """Hold an existing folder for this process; None where another process (or this one) holds it."""
    lock = FileLock(folder / LOCK, timeout=0, is_singleton=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except NotImplementedError:
        return FolderLock(folder, None)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        remove(folder / LOCK)
        return FolderLock(folder, None)
    # A file of its own, because Windows lets nobody read a locked one.
    with suppress(OSError):
        (folder / HOLDER).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    return FolderLock(folder, lock)


def _holder(folder: Path) -> str:
    """` (process NUMBER on MACHINE)`, where it can be read."""
    with suppress(OSError, ValueError):
        if holder := (folder / HOLDER).read_text(encoding="utf-8").strip():
            return f" ({holder})"
    return ""
