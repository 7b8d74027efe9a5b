"""The outputs of a command: held by one process from start to end, never an input, never replaced by accident.

`holding_files` is for files, `holding_folder` for a folder. Both lock the place of an output before anything is read,
and check it under that lock; a folder is checked again before it is put in its place.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from electra.files.atomic import remove_partial_of, writing_folder
from electra.files.locks import lock_output

PathLike = str | os.PathLike[str]
Inputs = Mapping[str, PathLike | None]
"""Files and folders that a command reads, by what the user calls them; None and names that are no path are ignored."""


@contextmanager
def holding_files(
    outputs: Mapping[str, Path | None],
    inputs: Inputs,
    *,
    overwrite: bool = False,
    is_own: Callable[[str, Path], bool] = lambda name, path: False,
) -> Iterator[None]:
    """Hold the places of output files, and refuse those that would destroy something.

    Args:
        outputs: the files by the name of the option; None: not asked for. Pipes and devices are not held.
        inputs: what the command reads.
        overwrite: replace files that exist.
        is_own: (option, file) -> whether the file is an earlier output of the same command, which may be replaced.

    Raises:
        ValueError: a file is also an input or another output, is a link or a folder, or exists and is not to be
            replaced. Nothing was changed.
        BlockingIOError: another process writes one of them.
    """
    files = {name: path for name, path in outputs.items() if path is not None and not _is_stream(path)}
    with ExitStack() as held:
        for name, path in files.items():
            _refuse_links(name, path)
            for other, second in files.items():
                if name < other and _same(path, second):
                    raise ValueError(f"{name} and {other} are both {path}: give two names")
            held.enter_context(holding_place(path))
            if path.is_dir():
                raise ValueError(f"{name} is {path}, a folder: give the name of a file")
            _refuse_inputs(name, path, inputs, own=path.is_file() and is_own(name, path))
            if path.exists() and not overwrite and not is_own(name, path):
                raise ValueError(f"{name} is {path}, which exists: give another name, or --overwrite to replace it")
        yield


class OutputFolder:
    """A folder to write, whose place this process holds.

    Attributes:
        path: of the folder.
        before: the folder that is replaced, None if there was none or an empty one.
    """

    def __init__(self, path: Path, before: os.stat_result | None) -> None:
        self.path, self.before = path, before

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """An empty folder that becomes the output when the block ends without an error.

        Raises:
            ValueError: something came to the output's place since it was checked. It stays as it is.
        """
        remove_partial_of(self.path)
        with writing_folder(self.path, replacing=self.before is not None) as folder:
            yield folder
            self._check()

    def _check(self) -> None:
        if self.before is None:
            if _holds_something(self.path):
                raise ValueError(arrived(self.path))
        elif not os.path.samestat(self.before, os.stat(self.path)):
            raise ValueError(arrived(self.path))


@contextmanager
def holding_folder(
    path: Path, inputs: Inputs, *, name: str = "output", replaceable: Callable[[Path], bool] = lambda path: False
) -> Iterator[OutputFolder]:
    """Hold the place of an output folder, and refuse it where something would be destroyed.

    Args:
        path: the folder; missing parents are made.
        inputs: what the command reads.
        name: of the option.
        replaceable: whether a folder that is not empty may be replaced.

    Raises:
        ValueError: the folder is or contains an input, is a file or a link, or holds something. Nothing was changed.
        BlockingIOError: another process writes it.
    """
    _refuse_links(name, path)
    with holding_place(path):
        if path.exists() and not path.is_dir():
            raise ValueError(f"the {name} {path} is a file: give a new or an empty folder")
        before = None
        if _holds_something(path):
            if not replaceable(path):
                raise ValueError(f"the {name} {path} is there already: give a new or an empty folder")
            _refuse_inputs(name, path, inputs, own=False)
            before = os.stat(path)
        yield OutputFolder(path, before)


def arrived(path: Path) -> str:
    """The message where something came to the place of an output meanwhile."""
    return f"{path} was made by somebody else meanwhile, and is left as it is: give another output"


@contextmanager
def holding_place(path: Path) -> Iterator[None]:
    """Hold the place of an output, whatever is there; parents made for it are removed if they are empty at the end.

    Raises:
        BlockingIOError: another process writes it.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = lock_output(path)
        try:
            yield
        finally:
            lock.release()
    finally:
        for folder in missing:  # the innermost first
            with suppress(OSError):
                folder.rmdir()


def _refuse_links(name: str, path: Path) -> None:
    """A link would be replaced by a file, or its target be written where nobody expects it."""
    if path.is_symlink():
        target = os.path.realpath(path)
        there = "" if os.path.exists(target) else ", where there is nothing"
        raise ValueError(f"{name} is {path}, a link to {target}{there}: give the name that it stands for")


def _refuse_inputs(name: str, path: Path, inputs: Inputs, *, own: bool) -> None:
    """own: the output is an earlier one of the same command, which may lie in a folder that it reads."""
    for what, given in inputs.items():
        if given is None or not os.path.exists(given):
            continue
        other = Path(given)
        if _same(path, other):
            raise ValueError(f"{name} is {path}, which is also the {what}: it would be lost; give another name")
        if path.is_dir() and _inside(other, path):
            raise ValueError(f"{name} is {path}, the folder of the {what} {given}: give a new folder")
        if path.is_file() and not own and other.is_dir() and _inside(path, other):
            raise ValueError(f"{name} is {path}, a file of the {what} {given}: it would be lost; give another name")


def _same(one: PathLike, other: PathLike) -> bool:
    """Whether both are the same file or folder, also by way of links; or the same name of what is not there yet."""
    with suppress(OSError):
        return os.path.samefile(one, other)
    return os.path.realpath(one) == os.path.realpath(other)


def _inside(path: PathLike, folder: PathLike) -> bool:
    return Path(os.path.realpath(folder)) in Path(os.path.realpath(path)).parents


def _is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, such as /dev/stdout, which is written and not replaced."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _holds_something(path: Path) -> bool:
    try:
        return any(path.iterdir())
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror, str(path)) from error
