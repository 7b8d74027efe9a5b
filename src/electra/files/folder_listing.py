"""List the files in folders and below; links are followed, each folder is read once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Warn = Callable[[str], None]


class Walk:
    """A walk through one folder or several; a folder that was reached once is not read again.

    Args:
        outside: a folder that is not read (the output folder of the run).
        warn: called with a message about that folder, and about folders that cannot be read.
    """

    def __init__(self, outside: str | os.PathLike[str] | None, warn: Warn) -> None:
        self._outside = None if outside is None else Path(outside).resolve()
        self._warn = warn
        self._seen: set[Path] = set()

    def files(self, folder: Path) -> list[Path]:
        """All files in the folder and below, sorted, without hidden files and folders.

        A link to a folder is followed, unless the walk reads its target anyway, or the target contains `folder` (a
        loop).
        """
        root = folder.resolve()
        if not self._is_new(folder, root):
            return []
        files: list[Path] = []
        for place, folders, names in os.walk(folder, followlinks=True, onerror=self._not_readable):
            folders[:] = [name for name in sorted(folders) if _visible(name) and self._enters(Path(place, name), root)]
            files += [Path(place, name) for name in names if _visible(name)]
        return sorted(files)

    def leaves_out(self, path: Path) -> bool:
        """Whether the path lies in the folder that is not read."""
        return self._outside is not None and path.resolve().is_relative_to(self._outside)

    def _enters(self, folder: Path, root: Path) -> bool:
        place = folder.resolve()
        if folder.is_symlink():
            in_root = place.is_relative_to(root) and all(map(_visible, place.relative_to(root).parts))
            if in_root or root.is_relative_to(place):
                return False
        return self._is_new(folder, place)

    def _is_new(self, folder: Path, place: Path) -> bool:
        if self.leaves_out(place):
            self._warn(f"left out of the text: {folder}, where the output is written")
            return False
        if place in self._seen:
            return False
        self._seen.add(place)
        return True

    def _not_readable(self, error: OSError) -> None:
        self._warn(f"left out of the text: {error.filename} ({error.strerror})")


def _visible(name: str) -> bool:
    return not name.startswith(".")
