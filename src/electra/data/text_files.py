"""Find files of text: by name, in folders, by pattern; and what kind each of them is."""

from __future__ import annotations

import glob
import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PathLike = str | os.PathLike[str]

STDIN = ("-", "/dev/stdin")
KINDS = {"": "text", ".txt": "text", ".text": "text", ".jsonl": "jsonl", ".csv": "csv", ".tsv": "tsv"}
PARQUET = ".parquet"
COMPRESSED = (".gz", ".xz", ".zst")
SUFFIXES = (
    "plain text (.txt, .text or no suffix), .jsonl, .csv and .tsv, each also compressed (.gz, .xz, .zst), and .parquet"
)


def find_text_files(paths: PathLike | Iterable[PathLike]) -> tuple[Path, ...]:
    """The files that `paths` name, in reading order.

    Each path is a file, a folder (every text file in it and below, sorted; hidden ones and other suffixes are left
    out) or a glob pattern such as ``"corpus/*.txt.gz"``. Raises `FileNotFoundError` for what is not there, and
    `ValueError` for a suffix that is not text, a folder or pattern without text files, or a file named twice.
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not paths:
        raise ValueError("no text was given: name files, folders or glob patterns")
    files = [file for path in paths for file in _files(Path(path))]
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            # read twice, a document could be trained on and held out for evaluation at once
            raise ValueError(f"{file} is named twice: name each file once, itself or through its folder or pattern")
        seen.add(file.resolve())
    # missing, they are better missed now than after hours of reading
    if any(file.suffix == ".zst" for file in files):
        needed("zstandard", "reading .zst files")
    if any(file.suffix == PARQUET for file in files):
        needed("pyarrow.parquet", "reading .parquet files")
    return tuple(files)


def kind_of(path: Path) -> str | None:
    """text, jsonl, csv, tsv or parquet, told by the suffix; None for what is not known to be text."""
    if path.suffix == PARQUET:
        return "parquet"
    return KINDS.get((path.with_suffix("") if path.suffix in COMPRESSED else path).suffix)


def needed(module: str, purpose: str) -> Any:
    """A module of the extra `data`; an `ImportError` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise ImportError(f"{purpose} needs {name}: pip install 'electra[data]'") from error


def _files(path: Path) -> list[Path]:
    if str(path) in STDIN:
        raise ValueError(f"{path} (stdin) is read by the command line only: give a file, or save the text to one")
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and not _hidden(file.relative_to(path))]
        texts = [file for file in files if kind_of(file) and file.suffix]
        if not texts:
            raise ValueError(f"{path} holds no text files (of {len(files)} files): read are {SUFFIXES}")
        return texts
    if path.is_file():
        if not kind_of(path):
            raise ValueError(f"{path} is not known to be text: read are {SUFFIXES}. Convert or rename it")
        return [path]
    if glob.has_magic(str(path)):
        files = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if not files:
            raise FileNotFoundError(f"no file matches {path}: check the pattern (quote it in the shell) and the folder")
        return [found for file in files for found in _files(file)]
    if path.exists():  # a pipe or a device cannot be read a second time, nor told from a changed one
        raise ValueError(f"{path} is neither a file nor a folder: write its text to a file first")
    raise FileNotFoundError(f"there is no file {path}: check the spelling (now in {Path.cwd()})")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
