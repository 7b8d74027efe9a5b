"""The lines of a file, decompressed and decoded, in constant memory."""

from __future__ import annotations

import codecs
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from electra.files.encodings import Decoding, NotTextError
from electra.files.text_files import needed

BytesRead = Callable[[int], None]

BLOCK_BYTES = 2**16  # read at once
COMPRESSED_BYTES = 2**10  # decompressed at once, because they may grow ten thousandfold
LONGEST_LINE_BYTES = 2**16  # a longer line comes in pieces: what tokenizes it needs a hundred times their memory
LONGEST_RECORD_BYTES = 2**27  # one that cannot be cut, because it is JSON or CSV, is refused


LARGEST_WINDOW = 2**31  # of the zstandard library, and of `zstd --long=31`


class Line(NamedTuple):
    """A line's number (from 1), its text, and how many places in it were no text and are U+FFFD now."""

    number: int
    text: str
    replaced: int = 0


def read_lines(path: Path, decoding: Decoding | None = None, *, on_bytes: BytesRead | None = None) -> Iterator[Line]:
    """The lines of one file, without surrounding white space.

    A line longer than 64 kB comes in pieces, cut between words, all with its number. `on_bytes` is told of every
    block read how many bytes of the file it took. Raises `ValueError` naming the file, and the line where there is
    one, for what is not text (as `decoding` has it), a compressed file that is damaged or cut short, and a file that
    changes while it is read.
    """
    decoding = decoding or Decoding()
    utf_8 = codecs.lookup(decoding.encoding).name == "utf-8"
    lines = _split(
        _blocks(path, on_bytes), LONGEST_LINE_BYTES, lambda line: _pieces(line, None if utf_8 else decoding.encoding)
    )
    remedy = f"which cannot be cut in {decoding.encoding}: convert the file to utf-8 first"
    return _decoded(path, decoding, lines, LONGEST_LINE_BYTES, remedy, strip=True)


def read_whole_lines(
    path: Path, decoding: Decoding | None = None, *, on_bytes: BytesRead | None = None
) -> Iterator[Line]:
    """The same, every line whole and as it stands but for its line feed; one of over 128 MB is a `ValueError`."""
    lines = _split(_blocks(path, on_bytes), LONGEST_RECORD_BYTES, _whole)
    remedy = "which has to be read whole: divide its text, or give it as plain text"
    return _decoded(path, decoding or Decoding(), lines, LONGEST_RECORD_BYTES, remedy, strip=False)


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


def _split(blocks: Iterable[bytes], longest: int, cut: Callable[[bytes], list[bytes]]) -> Iterator[tuple[int, bytes]]:
    """Blocks -> (number, line); a line that is too long is given out as `cut` cuts it, with the same number."""
    number, waiting, size = 1, [b""], 0
    for block in blocks:
        first, *others = block.split(b"\n")
        waiting.append(first)
        size += len(first)
        for line in others:  # its beginning ends the one before
            for piece in cut(b"".join(waiting)):
                yield number, piece
            number, waiting, size = number + 1, [line], len(line)
        if size > longest:
            *pieces, rest = cut(b"".join(waiting))
            for piece in pieces:
                yield number, piece
            waiting, size = [rest], len(rest)
    if size:
        for piece in cut(b"".join(waiting)):
            yield number, piece


def _pieces(line: bytes, encoding: str | None) -> list[bytes]:
    """Cut after the last space that leaves a piece of the allowed size or, without one, between characters.

    encoding: where it is not UTF-8. What cannot be cut in it is given out too long, to be refused.
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
    """How many bytes at the end belong to a character that goes on; all, where what they mean depends on those before
    (ISO-2022's and UTF-7's shifts)."""
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
            zstandard = needed("zstandard", "reading .zst files")
            yield from _decompressed(
                blocks,
                lambda: zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj(),
                zstandard.ZstdError,
            )
        else:
            yield from blocks


def _raw_blocks(file: IO[bytes], on_bytes: BytesRead | None) -> Iterator[bytes]:
    before = os.fstat(file.fileno())
    read = 0
    while block := file.read(BLOCK_BYTES):
        read += len(block)
        if on_bytes is not None:
            on_bytes(len(block))
        yield block
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
