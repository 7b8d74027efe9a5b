"""The files in folders and below, also behind links, each folder once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Tell = Callable[[str], None]


class Walk:
    """Through one folder or several; what one has led to is not read again by another.

    outside: a folder that is not read (that of the run that reads). tell: told of it, and of what may not be read.
    """

    def __init__(self, outside: str | os.PathLike[str] | None, tell: Tell) -> None:
        self._outside = None if outside is None else Path(outside).resolve()
        self._tell = tell
        self._seen: set[Path] = set()

    def files(self, folder: Path) -> list[Path]:
        """All that are in it and below, sorted, but for hidden ones and what is in hidden folders.

        A link to a folder is followed, unless that is read where it lies, or has `folder` in it (a loop).
        """
        root = folder.resolve()
        if not self._is_new(folder, root):
            return []
        found: list[Path] = []
        for place, folders, names in os.walk(folder, followlinks=True, onerror=self._not_readable):
            folders[:] = [one for one in sorted(folders) if _visible(one) and self._leads_on(Path(place, one), root)]
            found += [Path(place, one) for one in names if _visible(one)]
        return sorted(found)

    def leaves_out(self, path: Path) -> bool:
        """Whether it lies in the folder that is not read."""
        return self._outside is not None and path.resolve().is_relative_to(self._outside)

    def _leads_on(self, folder: Path, root: Path) -> bool:
        place = folder.resolve()
        if folder.is_symlink():
            in_root = place.is_relative_to(root) and all(map(_visible, place.relative_to(root).parts))
            if in_root or root.is_relative_to(place):
                return False
        return self._is_new(folder, place)

    def _is_new(self, folder: Path, place: Path) -> bool:
        if self.leaves_out(place):
            self._tell(f"left out of the text: {folder}, where the output is written")
            return False
        if place in self._seen:
            return False
        self._seen.add(place)
        return True

    def _not_readable(self, error: OSError) -> None:
        self._tell(f"left out of the text: {error.filename} ({error.strerror})")


def _visible(name: str) -> bool:
    return not name.startswith(".")
