"""Find text files by name, in folders and by pattern, and tell their format by the suffix."""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from electra.files.folder_listing import Walk, Warn
from electra.validation import import_extra

logger = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]

STDIN = ("-", "/dev/stdin")
KINDS = {"": "text", ".txt": "text", ".text": "text", ".jsonl": "jsonl", ".csv": "csv", ".tsv": "tsv"}
PARQUET = ".parquet"
COMPRESSED = (".gz", ".xz", ".zst")
SUFFIXES = (
    "plain text (.txt, .text or no suffix), .jsonl, .csv and .tsv, each also compressed (.gz, .xz, .zst), and .parquet"
)


def find_text_files(
    paths: PathLike | Iterable[PathLike], *, outside: PathLike | None = None, warn: Warn = logger.warning
) -> tuple[Path, ...]:
    """The files that `paths` name, in reading order.

    Args:
        paths: each is a file, a folder (every file in it and below with a suffix of text, sorted; hidden files are
            left out) or a glob pattern such as ``"corpus/*.txt.gz"``, which may match folders too. Links are followed.
        outside: a folder that is left out; files in it are read only if they are named themselves.
        warn: called with a message about the files of a folder that are left out, except hidden ones.

    Returns:
        Existing files with known suffixes, each once.

    Raises:
        FileNotFoundError: a file does not exist, or a pattern matches nothing.
        ValueError: no path at all, a suffix that is not text, a folder without text files, or a file named twice.
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError("no text was given: name files, folders or glob patterns")
    files = [file for path in paths for file in _files(Path(path), outside, warn)]
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            # read twice, a document could be trained on and held out for evaluation at once
            raise ValueError(f"{file} is named twice: name each file once, itself or through its folder or pattern")
        seen.add(file.resolve())
    # a missing library should be an error now, not after hours of reading
    if any(file.suffix == ".zst" for file in files):
        import_extra("zstandard", "data", "reading .zst files")
    if any(file.suffix == PARQUET for file in files):
        import_extra("pyarrow.parquet", "data", "reading .parquet files")
    return tuple(files)


def kind_of(path: Path) -> str | None:
    """text, jsonl, csv, tsv or parquet, by the suffix; None for a suffix that is not known to be text."""
    if path.suffix == PARQUET:
        return "parquet"
    return KINDS.get((path.with_suffix("") if path.suffix in COMPRESSED else path).suffix)


def _files(path: Path, outside: PathLike | None, warn: Warn) -> list[Path]:
    if str(path) in STDIN:
        raise ValueError(f"{path} (stdin) is read by the command line only: give a file, or save the text to one")
    if path.is_dir():
        files = Walk(outside, warn).files(path)
        texts = _texts(path, files, warn)
        if not texts:
            hint = "; name files without a suffix by a pattern" if any(not file.suffix for file in files) else ""
            raise ValueError(f"{path} holds no text files (of {len(files)} files): read are {SUFFIXES}{hint}")
        return texts
    if path.is_file():
        return [_known(path)]
    if glob.has_magic(str(path)):
        return _matching(path, Walk(outside, warn), warn)
    if path.exists():  # a pipe or a device cannot be read twice, and a change in it cannot be detected
        raise ValueError(f"{path} is neither a file nor a folder: write its text to a file first")
    raise FileNotFoundError(f"there is no file {path}: check the spelling (now in {Path.cwd()})")


def _known(file: Path) -> Path:
    if not kind_of(file):
        raise ValueError(f"{file} is not known to be text: read are {SUFFIXES}. Convert or rename it")
    return file


def _matching(pattern: Path, walk: Walk, warn: Warn) -> list[Path]:
    """The files that match, and the texts in folders that do, sorted."""
    matches = sorted(map(Path, glob.glob(str(pattern), recursive=True)))
    files = {_known(path) for path in matches if path.is_file() and not walk.leaves_out(path)}
    for folder in matches:
        if folder.is_dir():
            files.update(_texts(folder, walk.files(folder), warn, but=files))
    if not files:
        raise FileNotFoundError(f"no file matches {pattern}: check the pattern (quote it in the shell) and the folder")
    return sorted(files)


def _texts(folder: Path, files: Iterable[Path], warn: Warn, but: Iterable[Path] = ()) -> list[Path]:
    """The files of a folder with a suffix of text. The number of the others, without those in `but`, is logged."""
    texts: list[Path] = []
    others: Counter[str] = Counter()
    for file in files:
        if file.is_file() and file.suffix and kind_of(file):
            texts.append(file)
        elif file not in but:
            others[(file.suffix or "without a suffix") if file.is_file() else "no files"] += 1
    if others:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
        hint = (
            f" (to have those without a suffix read, name them by a pattern: '{folder}/**')"
            if "without a suffix" in others
            else ""
        )
        warn(f"left out of the text in {folder}: {counts}{hint}")
    return texts
