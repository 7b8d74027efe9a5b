"""Find files of text and read their lines, decompressed and decoded, in constant memory."""

from __future__ import annotations

import codecs
import glob
import importlib
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

PathLike = str | os.PathLike[str]
BytesRead = Callable[[int], None]

PLAIN = ("", ".txt", ".text")
COMPRESSED = (".gz", ".xz", ".zst")
SUFFIXES = "plain text (.txt, .text or no suffix) and the same compressed (.gz, .xz, .zst)"
BLOCK_BYTES = 2**16  # read at once; a block of a well compressed file grows up to a thousandfold
LONGEST_LINE_BYTES = 2**20  # a longer line arrives in pieces of about this size, so that memory stays constant


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
    if any(file.suffix == ".zst" for file in files):
        _zstandard()  # missing, it is better missed now than after hours of reading
    return tuple(files)


def read_lines(path: Path, *, encoding: str = "utf-8", on_bytes: BytesRead | None = None) -> Iterator[tuple[int, str]]:
    """The lines of one file with their numbers (from 1), without surrounding white space.

    A line longer than a megabyte comes in pieces, cut between words, all with its number. `on_bytes` is told of every
    block read how many bytes of the file it took. Raises `ValueError` naming file and line for what is not text in
    `encoding`, or a compressed file that is damaged or cut short.
    """
    check_encoding(encoding)
    number = 1
    try:
        for number, line in _split(_blocks(path, on_bytes)):
            yield number, _decode(line, encoding).lstrip("\ufeff" if number == 1 else "").strip()
    except _NotTextError as error:
        raise ValueError(f"{path}:{number}: {error}") from error


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that is unknown, or whose line ends are not the byte 0x0a."""
    try:
        line_feed = codecs.encode("\n", encoding)
    except LookupError:
        raise ValueError(f"encoding={encoding!r} is unknown: use Python's names, such as utf-8 or latin-1") from None
    if line_feed != b"\n":
        raise ValueError(f"encoding={encoding!r} cannot be read line by line: convert the files to utf-8 first")


class _NotTextError(Exception):
    """What is wrong with the text; the reader adds file and line."""


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and not _hidden(file.relative_to(path))]
        texts = [file for file in files if _is_text(file) and file.suffix]
        if not texts:
            raise ValueError(f"{path} holds no text files (of {len(files)} files): read are {SUFFIXES}")
        return texts
    if path.is_file():
        if not _is_text(path):
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


def _is_text(path: Path) -> bool:
    inner = path.with_suffix("") if path.suffix in COMPRESSED else path
    return inner.suffix in PLAIN


def _split(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Blocks -> (number, line); a line that is too long is given out in pieces with the same number."""
    number, rest = 1, b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            yield from ((number, piece) for piece in _pieces(line))
            number += 1
        *pieces, rest = _pieces(rest)
        yield from ((number, piece) for piece in pieces)
    if rest:
        yield number, rest


def _pieces(line: bytes) -> list[bytes]:
    """Cut after the last space that leaves a piece of the allowed size or, without one, between UTF-8 characters."""
    pieces = []
    while len(line) > LONGEST_LINE_BYTES:
        place = line.rfind(b" ", LONGEST_LINE_BYTES // 2, LONGEST_LINE_BYTES) + 1 or LONGEST_LINE_BYTES
        inside = next((back for back in range(4) if not 0x80 <= line[place - back] < 0xC0), 0)
        place -= inside  # of a character
        pieces.append(line[:place])
        line = line[place:]
    return [*pieces, line]


def _decode(line: bytes, encoding: str) -> str:
    if b"\0" in line:
        raise _NotTextError("a zero byte: this is a binary file (an archive?) or UTF-16, not text")
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise _NotTextError(
            f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line is not {encoding}: give the file's "
            f"own encoding (latin-1?) or convert it to utf-8 (iconv -f LATIN1 -t UTF-8)"
        ) from error


def _blocks(path: Path, on_bytes: BytesRead | None) -> Iterator[bytes]:
    """The bytes of the file, decompressed by its suffix."""
    with open(path, "rb") as file:
        blocks = _raw_blocks(file, on_bytes)
        if path.suffix == ".gz":
            yield from _decompressed(blocks, lambda: zlib.decompressobj(wbits=31), zlib.error)
        elif path.suffix == ".xz":
            yield from _decompressed(blocks, lzma.LZMADecompressor, lzma.LZMAError)
        elif path.suffix == ".zst":
            zstandard = _zstandard()
            yield from _decompressed(blocks, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)
        else:
            yield from blocks


def _raw_blocks(file: IO[bytes], on_bytes: BytesRead | None) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        if on_bytes is not None:
            on_bytes(len(block))
        yield block


def _decompressed(
    blocks: Iterable[bytes], new_decompressor: Callable[[], Any], damage: type[Exception]
) -> Iterator[bytes]:
    """Decompress a sequence of streams (a file may hold several) and insist on the end of the last.

    The libraries' own file objects differ in this: zstandard's takes a file that is cut short for a whole one.
    """
    decompressor = None
    for rest in blocks:
        while rest := rest if decompressor else rest.lstrip(b"\0"):  # streams may be padded with zeros
            decompressor = decompressor or new_decompressor()
            try:
                yield decompressor.decompress(rest)
            except damage as error:
                raise _NotTextError(f"damaged compressed file ({error}): make or copy it again") from error
            if not decompressor.eof:
                break
            rest, decompressor = decompressor.unused_data, None
    if decompressor is not None:
        raise _NotTextError("the compressed file is cut short, this is the last line in it: make or copy it again")


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError as error:
        raise ImportError("reading .zst files needs zstandard: pip install 'electra[data]'") from error
