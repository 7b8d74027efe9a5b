"""The lines of a file, decompressed and decoded, in constant memory."""

from __future__ import annotations

import codecs
import io
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from electra.files.encodings import Decoding, NotTextError
from electra.files.text_files import COMPRESSED
from electra.validation import import_extra

BytesRead = Callable[[int], None]

BLOCK_BYTES = 2**16  # read at once
COMPRESSED_BYTES = 2**10  # decompressed at once, because they may grow ten thousandfold
LONGEST_LINE_BYTES = 2**16  # a longer line comes in pieces: what tokenizes it needs a hundred times their memory
LONGEST_RECORD_BYTES = 2**27  # one that cannot be cut, because it is JSON or CSV, is refused


LARGEST_WINDOW = 2**31  # of the zstandard library, and of `zstd --long=31`


class Line(NamedTuple):
    """A line's number (from 1), its text, and how many places in it were not text and are U+FFFD now."""

    number: int
    text: str
    replaced: int = 0


class Row(NamedTuple):
    """One record of a file: the line on which it begins (in Parquet the row, from 1), and its values by column."""

    place: int
    values: dict[str, Any]
    replaced: int = 0
    """In how many places bytes that are not text were replaced by U+FFFD."""


Refuse = Callable[[str], None]
"""Called with the complaint about a row that cannot be used. It raises, or it returns and the row is left out."""


def place_in(path: Path, place: int) -> str:
    """Where a record is, as messages say it: `FILE:LINE`, or the number of the row or record where there are no lines.

    Args:
        path: the file; its suffix decides.
        place: see `Row`.
    """
    match path.name.removesuffix(path.suffix if path.suffix in COMPRESSED else "").rpartition(".")[2]:
        case "parquet":
            return f"{path}, row {place}"
        case "json":
            return f"{path}, record {place}"
    return f"{path}:{place}"


def refuse(complaint: str) -> None:
    """Raise the complaint: what a reader does where nothing is to be left out."""
    raise ValueError(complaint)


def read_lines(path: Path, decoding: Decoding | None = None, *, on_bytes: BytesRead | None = None) -> Iterator[Line]:
    """The lines of one file, without surrounding white space.

    A line ends with a line feed, which a carriage return may precede. Where the first line of a file ends with a
    carriage return alone, as on old Macs, every carriage return ends a line.

    Args:
        path: decompressed by its suffix (.gz, .xz, .zst).
        decoding: how bytes become text; UTF-8 by default. A byte order mark is dropped.
        on_bytes: called after each block that was read with its size in the file.

    Returns:
        A line longer than 64 kB comes in pieces, cut between words, all with its number.

    Raises:
        ValueError: it names the file, and the line where there is one: what is not text (as `decoding` has it), a
            compressed file that is damaged or cut short, a file that changes while it is read.
    """
    decoding = decoding or Decoding()
    # What is transcoded arrives as UTF-8.
    utf_8 = decoding.transcodes or codecs.lookup(decoding.encoding).name == "utf-8"
    lines = _split(
        _text_blocks(path, decoding, on_bytes),
        LONGEST_LINE_BYTES,
        lambda line: _pieces(line, None if utf_8 else decoding.encoding),
    )
    remedy = f"which cannot be cut in {decoding.encoding}: convert the file to utf-8 first"
    return _decoded(path, decoding, lines, LONGEST_LINE_BYTES, remedy, strip=True)


def read_whole_lines(
    path: Path, decoding: Decoding | None = None, *, on_bytes: BytesRead | None = None
) -> Iterator[Line]:
    """Like `read_lines`, but every line whole, with its own line end and white space; one over 128 MB is refused."""
    decoding = decoding or Decoding()
    lines = _split(_text_blocks(path, decoding, on_bytes), LONGEST_RECORD_BYTES, _whole, ends=True)
    remedy = "which has to be read whole: divide its text, or give it as plain text"
    return _decoded(path, decoding, lines, LONGEST_RECORD_BYTES, remedy, strip=False)


def _decoded(
    path: Path, decoding: Decoding, lines: Iterator[tuple[int, bytes]], longest: int, remedy: str, *, strip: bool
) -> Iterator[Line]:
    number, decode = 1, decoding.decode
    try:
        for number, line in lines:
            if len(line) > longest:
                size = f"{longest >> 20} MB" if longest >> 20 else f"{longest >> 10} kB"
                raise NotTextError(f"a line of over {size}, {remedy}")
            text, replaced = decode(line)
            if number == 1:
                text = text.lstrip("\ufeff")
            yield Line(number, text.strip() if strip else text, replaced)
    except NotTextError as error:
        raise ValueError(f"{path}:{number}: {error}") from error


def _text_blocks(path: Path, decoding: Decoding, on_bytes: BytesRead | None) -> Iterator[bytes]:
    """The decompressed bytes, in an encoding whose line ends are single bytes."""
    blocks = _blocks(path, on_bytes)
    return _transcoded(blocks, decoding) if decoding.transcodes else blocks


def _transcoded(blocks: Iterator[bytes], decoding: Decoding) -> Iterator[bytes]:
    """UTF-16 or UTF-32 -> UTF-8. What is not text is passed on as a byte that is refused or replaced with its line."""
    decoder = codecs.getincrementaldecoder(decoding.encoding)("electra.invalid_byte")
    try:
        for block in blocks:
            yield decoder.decode(block).encode("utf-8", "surrogateescape")
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogateescape")
    except UnicodeError as error:  # no byte order mark
        raise NotTextError(f"{error}: give the encoding with its byte order (utf-16-le, utf-16-be)") from error


def _as_invalid_byte(error: UnicodeError) -> tuple[str, int]:
    """One byte that is not UTF-8, in place of what could not be decoded."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error("electra.invalid_byte", _as_invalid_byte)


def _split(
    blocks: Iterable[bytes], longest: int, cut: Callable[[bytes], list[bytes]], *, ends: bool = False
) -> Iterator[tuple[int, bytes]]:
    """Blocks -> (number, line); one that is too long is given out as `cut` cuts it, all pieces with its number.

    ends: whether lines keep their line ends.
    """
    number, waiting, size = 1, [b""], 0
    for ended, rest in _ended_lines(blocks, ends):
        for line in ended:
            waiting.append(line)
            for piece in cut(b"".join(waiting)):
                yield number, piece
            number, waiting, size = number + 1, [], 0
        waiting.append(rest)
        size += len(rest)
        if size > longest:
            *pieces, rest = cut(b"".join(waiting))
            for piece in pieces:
                yield number, piece
            waiting, size = [rest], len(rest)
    if size:
        for piece in cut(b"".join(waiting)):
            yield number, piece


_FIRST_END = re.compile(rb"\r{0,2}\n|\r{1,2}(?=[^\r\n])")
"""A line feed that carriage returns may precede (two: a file that was converted to Windows' line ends twice), or
carriage returns alone."""


def _ended_lines(blocks: Iterable[bytes], ends: bool) -> Iterator[tuple[list[bytes], bytes]]:
    """For each block the lines that end in it, and the beginning of the next one."""
    blocks = iter(blocks)
    start = b""
    for block in blocks:
        start += block
        first = _FIRST_END.search(start)
        if first or len(start) > LONGEST_LINE_BYTES:
            break
    else:
        first = None if b"\r" not in start else _FIRST_END.search(start + b" ")
    blocks = chain([start], blocks)
    if first is None or first[0].endswith(b"\n"):
        for block in blocks:
            *ended, rest = block.split(b"\n")
            yield [line + b"\n" for line in ended] if ends else ended, rest
        return
    # Carriage returns end lines. One at the end of a block waits for the next: a line feed may follow and belong to it.
    held = b""
    for block in chain(blocks, [b""]):
        last = not block
        block, held = held + block, b""
        if block.endswith(b"\r") and not last:
            block, held = block[:-1], b"\r"
        lines = block.splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith((b"\r", b"\n")) else b""
        yield lines if ends else [line.rstrip(b"\r\n") for line in lines], rest


def _pieces(line: bytes, encoding: str | None) -> list[bytes]:
    """Cut after the last space that leaves a piece of the allowed size or, without one, between characters.

    encoding: where it is not UTF-8. What cannot be cut in it stays too long, and is refused by the caller.
    """
    pieces: list[bytes] = []
    start = 0
    while len(line) - start > LONGEST_LINE_BYTES:
        end = start + LONGEST_LINE_BYTES
        place = line.rfind(b" ", start + LONGEST_LINE_BYTES // 2, end) + 1 or end
        inside = next((back for back in range(4) if not 0x80 <= line[place - back] < 0xC0), 0)
        place -= inside  # of a character
        if encoding is not None:
            place -= _half_a_character(line[start:place], encoding)
        if place == start:
            return [*pieces, line[start:], b""]
        pieces.append(line[start:place])
        start = place
    return [*pieces, line[start:]]


def _half_a_character(piece: bytes, encoding: str) -> int:
    """How many bytes at the end belong to an unfinished character; all, where their meaning depends on those before
    (ISO-2022's and UTF-7's shifts).
    """
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    decoder.decode(b" ")
    _, plain = decoder.getstate()
    decoder.decode(piece)
    rest, state = decoder.getstate()
    return len(rest) if state == plain else len(piece)


def _whole(line: bytes) -> list[bytes]:
    """A line that goes over the limit is given out at once, to be refused before it takes more memory."""
    return [line, b""] if len(line) > LONGEST_RECORD_BYTES else [line]


def _blocks(path: Path, on_bytes: BytesRead | None) -> Iterator[bytes]:
    """The bytes of the file, decompressed by its suffix."""
    with open(path, "rb") as file:
        blocks = _raw_blocks(file, on_bytes)
        if path.suffix == ".gz":
            yield from _decompressed(blocks, lambda: zlib.decompressobj(wbits=31), zlib.error)
        elif path.suffix == ".xz":
            yield from _decompressed(blocks, lzma.LZMADecompressor, lzma.LZMAError)
        elif path.suffix == ".zst":
            zstandard = import_extra("zstandard", "data", "reading .zst files")
            yield from _decompressed(
                blocks,
                lambda: zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj(),
                zstandard.ZstdError,
            )
        else:
            yield from blocks


def _raw_blocks(file: io.BufferedReader, on_bytes: BytesRead | None) -> Iterator[bytes]:
    before = os.fstat(file.fileno())
    read = 0
    while block := file.read1(BLOCK_BYTES):  # of a pipe what there is, without waiting for more
        read += len(block)
        if on_bytes is not None:
            on_bytes(len(block))
        yield block
    if not stat.S_ISREG(before.st_mode):  # a pipe has no size, and is read once
        return
    after = os.fstat(file.fileno())
    if (read, after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        now = f"now {after.st_size:,}" if after.st_size != before.st_size else "and was written to"
        raise ValueError(
            f"{file.name} changed while it was read (it had {before.st_size:,} bytes, {now}): start again when nothing "
            f"writes to it"
        )


def _slices(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), COMPRESSED_BYTES):
            yield block[start : start + COMPRESSED_BYTES]


def _decompressed(
    blocks: Iterable[bytes], new_decompressor: Callable[[], Any], damage: type[Exception]
) -> Iterator[bytes]:
    """Decompress a sequence of streams (a file may hold several) and insist on the end of the last.

    The libraries' own file objects differ in this: zstandard's takes a file that is cut short for a whole one.
    """
    decompressor = None
    for rest in _slices(blocks):
        while rest := rest if decompressor else rest.lstrip(b"\0"):  # streams may be padded with zeros
            decompressor = decompressor or new_decompressor()
            try:
                yield decompressor.decompress(rest)
            except damage as error:
                raise NotTextError(f"damaged compressed file ({error}): make or copy it again") from error
            if not decompressor.eof:
                break
            rest, decompressor = decompressor.unused_data, None
    if decompressor is not None:
        raise NotTextError("the compressed file is cut short, this is the last line in it: make or copy it again")
