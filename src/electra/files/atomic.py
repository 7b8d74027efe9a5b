"""Files and folders that are either written whole or not at all.

Everything is first written beside its place, in something hidden whose name ends in ``.partial``, flushed to the
disk, and then renamed; a rename is all or nothing. Whatever goes wrong (a full disk, a signal, an error in the
caller's own code), the partial work is removed and what was there before is still there. A process that is killed
clears up nothing: `remove_unfinished` does it later. A folder that another replaces is hidden under a name ending in
``.replaced`` for the moment between the two renames, and is given back if the second never came.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

PathLike = str | os.PathLike[str]
UNFINISHED = ".*.partial"
"""What is being written is called so, and what a process that was killed meanwhile has left."""


@contextmanager
def writing(path: PathLike, mode: Literal["wb", "w"] = "wb") -> Iterator[IO[Any]]:
    """An open file that becomes `path` when the block ends without an error.

    `mode` is "wb" (bytes, the default) or "w" (text: UTF-8, lines end in a line feed). Missing parent folders are
    made. Raises `OSError`, naming `path`, when it cannot be written.
    """
    path = Path(path)
    if mode not in ("wb", "w"):
        raise ValueError(f'mode={mode!r}: a file is written whole, so the mode is "wb" (bytes) or "w" (text)')
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "this is no ordinary file, and one is to be written here", str(path))
    with _parents_of(path), _named(path):
        partial = _partial(path)
        try:
            # "x": the file is made with the permissions of the user's umask, and never on top of another
            kind = "xb" if mode == "wb" else "x"
            text = {"encoding": "utf-8", "newline": "\n"} if mode == "w" else {}
            with open(partial, kind, **text) as file:  # type: ignore[call-overload]
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            remove(partial)
            raise
        _sync_names(path.parent)


def write_text(path: PathLike, text: str) -> Path:
    """Write `text` (UTF-8) to `path`, whole or not at all; returns the path."""
    with writing(path, "w") as file:
        file.write(text)
    return Path(path)


@contextmanager
def writing_folder(path: PathLike, *, replacing: bool = True) -> Iterator[Path]:
    """An empty folder that becomes `path` when the block ends without an error.

    To add files to a folder and keep its others, use `adding_to_folder`.

    Args:
        path: the folder to write.
        replacing: a folder already at `path` is replaced, with all that it holds, once the new one is whole; False:
            only an empty one is.

    Raises:
        OSError: `path` cannot be written, or holds something that is not to be replaced.
    """
    path = Path(path)
    with _parents_of(path), _named(path):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "this is a file, and a folder is to be written here", str(path))
        partial = _partial(path)
        try:
            partial.mkdir()
            yield partial
            sync_folder_tree(partial)
            if replacing:
                _put(partial, path, aside=_hidden(path, "replaced"))
            else:
                _put_if_free(partial, path)
        except BaseException:
            remove(partial)
            raise
        _sync_names(path.parent)


@contextmanager
def adding_to_folder(path: PathLike, *, replacing: Iterable[str] = ()) -> Iterator[Path]:
    """An empty folder whose files are moved into the folder `path` when the block ends without an error.

    `path` is made when it is missing and keeps its other files, except those named by the glob patterns in
    `replacing` that are not written again (an earlier save in more shards, say). The files are moved only once all
    of them are safely on the disk; should a move fail, the earlier ones are taken back.
    """
    path = Path(path)
    with _parents_of(path / "any"), _named(path):
        partial = path / f".{secrets.token_hex(4)}.partial"
        try:
            (partial / "new").mkdir(parents=True)
            (partial / "old").mkdir()
            yield partial / "new"
            sync_folder_tree(partial / "new")
            _move_all(partial / "new", path, replacing, aside=partial / "old")
        finally:
            remove(partial)
        _sync_names(path)


def remove_unfinished(folder: PathLike) -> None:
    """Remove what killed processes have left unfinished anywhere in `folder`, in which nobody writes now.

    A folder that was moved aside for another is put back, unless the other one has taken its place.
    """
    for path in list(Path(folder).rglob(UNFINISHED)):
        remove(path)
    for path in list(Path(folder).rglob(".*.replaced")):
        before = path.with_name(path.name[1:].rsplit(".", 2)[0])
        if before.exists():
            remove(path)
        elif path.exists():
            path.rename(before)


def _move_all(source: Path, target: Path, replacing: Iterable[str], *, aside: Path) -> None:
    """Move every file of `source` into `target`; on an error put `target` back as it was."""
    new = sorted(file.name for file in source.iterdir())
    gone = {file.name for pattern in replacing for file in target.glob(pattern)} - set(new)
    before = [name for name in (*new, *sorted(gone)) if (target / name).is_file()]
    try:
        for name in before:
            _keep(target / name, aside / name)
        for name in new:
            os.replace(source / name, target / name)
        for name in gone:
            (target / name).unlink(missing_ok=True)
    except BaseException:
        for name in set(new) - set(before):
            with suppress(OSError):
                (target / name).unlink(missing_ok=True)
        for name in before:
            with suppress(OSError):
                _restore(aside / name, target / name)
        raise


def _keep(file: Path, aside: Path) -> None:
    """Keep a second name of `file`, so that it can be had back; where there are no hard links, its only name."""
    try:
        os.link(file, aside)
    except OSError:
        file.rename(aside)


def _restore(aside: Path, file: Path) -> None:
    """Give back what `_keep` kept. `rename` of two names of one file does nothing, which is right here too."""
    if aside.exists():
        aside.rename(file)


def _put(partial: Path, path: Path, *, aside: Path) -> None:
    """Rename the folder `partial` to `path`; what is at `path` waits at `aside` until that has worked."""
    if not path.exists():
        os.replace(partial, path)
        return
    path.rename(aside)
    try:
        os.replace(partial, path)
    except BaseException:
        aside.rename(path)
        raise
    remove(aside)


def _put_if_free(partial: Path, path: Path) -> None:
    """Rename the folder `partial` to `path`, where nothing or an empty folder is; the system checks that in one go."""
    if os.name == "nt":
        with suppress(OSError):
            path.rmdir()  # removes an empty one only; a rename there replaces nothing
    try:
        os.rename(partial, path)
    except OSError as error:
        if not path.exists():
            raise
        reason = "somebody else made it meanwhile, and it is left as it is: give another output"
        raise FileExistsError(errno.EEXIST, reason, str(path)) from error


def remove_partial_of(path: PathLike) -> None:
    """Remove what processes that were killed while they wrote the file or folder `path` have left beside it."""
    path = Path(path)
    for left in list(path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 8}.partial")):
        remove(left)


def _partial(path: Path) -> Path:
    """A hidden name beside `path`, for what is to become it; `remove_partial_of` knows it."""
    return _hidden(path, "partial")


def _hidden(path: Path, kind: str) -> Path:
    """A hidden name beside `path` that nobody else uses."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{kind}")


def remove(path: Path) -> None:
    """Remove a file or a folder; that it cannot be removed must not hide the error that made us."""
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _parents_of(path: Path) -> Iterator[None]:
    """Make the folders above `path`; on an error, remove those that were made here and are empty."""
    missing = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for folder in missing:  # the innermost first
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Let an error about the hidden partial file (or about no file, such as a full disk) name `path` instead."""
    try:
        yield
    except OSError as error:
        of_another_file = error.filename is not None and ".partial" not in str(error.filename)
        if error.errno is None or of_another_file:
            raise
        reason = f"{error.strerror}. Nothing was written, and what was there is unchanged"
        raise OSError(error.errno, reason, str(path)) from error


def sync_folder_tree(folder: Path) -> None:
    """Have every file below `folder`, and the folders themselves, on the disk."""
    for root, _, names in os.walk(folder):
        for name in names:
            with open(Path(root) / name, "rb") as file:
                os.fsync(file.fileno())
        _sync_names(Path(root))


def _sync_names(folder: Path) -> None:
    """Have a folder's list of names on the disk, where the system can do that (Windows cannot open a folder)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse it; the files themselves are safe
    finally:
        os.close(descriptor)
