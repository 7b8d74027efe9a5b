"""Read and write sorted tables of keys and values in LevelDB's file format, that of a checkpoint's index.

A block is a row of entries (how many bytes of the key are those of the key before, the rest, the value), the places
where a key stands in full, and a trailer: how it is compressed, and its checksum. The last block lists the others; 48
bytes at the file's end say where that one is. (LevelDB, doc/table_format.md.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from electra.google.tensorflow.checksum import masked_crc32c
from electra.google.tensorflow.snappy import decompress
from electra.google.tensorflow.wire import read_varint, varint

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5
_PLAIN, _SNAPPY = 0, 1
_KEYS_BETWEEN_FULL_ONES = 16


def read_table(path: Path) -> dict[bytes, bytes]:
    """All keys with their values, checksums verified.

    Raises:
        ValueError: this is no such table, or it is damaged or incomplete; the message names the file.
        OSError: it cannot be read.
    """
    data = path.read_bytes()
    if len(data) < _FOOTER_BYTES or not data.endswith(_MAGIC):
        raise ValueError(f"{path} ({len(data):,} bytes) is no index of a checkpoint, or its end is missing.")
    try:
        return dict(_entries(data))
    except (ValueError, IndexError, struct.error) as error:
        raise ValueError(f"{path} ({len(data):,} bytes) is damaged: {error}. Fetch it again.") from error


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = data[-_FOOTER_BYTES:]
    _, at = _handle(footer, 0)  # of a block about the table, which TensorFlow leaves empty
    blocks, _ = _handle(footer, at)
    for _, place in _in_block(_block(data, *blocks)):
        yield from _in_block(_block(data, *_handle(place, 0)[0]))


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """((start, size) of a block, position after the handle), in bytes."""
    begin, at = read_varint(data, at)
    size, at = read_varint(data, at)
    return (begin, size), at


def _block(data: bytes, begin: int, size: int) -> bytes:
    end = begin + size
    if end + _TRAILER_BYTES > len(data):
        raise ValueError(f"a block of it would end at byte {end + _TRAILER_BYTES:,}")
    [stored] = struct.unpack_from("<I", data, end + 1)
    if masked_crc32c(data[begin : end + 1]) != stored:
        raise ValueError(f"the checksum of bytes {begin:,} to {end:,} is not the one written behind them")
    kind = data[end]
    if kind not in (_PLAIN, _SNAPPY):
        raise ValueError(f"its blocks are compressed in a way (number {kind}) that is neither none nor Snappy")
    return data[begin:end] if kind == _PLAIN else decompress(data[begin:end])


def _in_block(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    [full_keys] = struct.unpack("<I", block[-4:])
    end = len(block) - 4 - 4 * full_keys
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        own, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or at + own + length > end:
            raise ValueError("an entry of it is cut off")
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length


def table(entries: Mapping[bytes, bytes]) -> bytes:
    """The bytes of a table with these keys and values (at least one), uncompressed, in one block."""
    file = bytearray()

    def handle_of(block: bytes) -> bytes:
        begin = len(file)
        trailed = block + bytes([_PLAIN])
        file.extend(trailed + struct.pack("<I", masked_crc32c(trailed)))
        return varint(begin) + varint(len(block))

    ordered = sorted(entries.items())
    data = handle_of(_packed(ordered))
    nothing = handle_of(_packed([]))
    blocks = handle_of(_packed([(_above(ordered[-1][0]), data)]))
    return bytes(file) + (nothing + blocks).ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC


def _packed(ordered: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block of entries in the order of their keys."""
    block, full_keys, before = bytearray(), [0], b""
    for count, (key, value) in enumerate(ordered):
        if count % _KEYS_BETWEEN_FULL_ONES == 0:
            shared = 0
            full_keys[count // _KEYS_BETWEEN_FULL_ONES :] = [len(block)]
        else:
            shared = _in_common(before, key)
        block += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return bytes(block) + struct.pack(f"<{len(full_keys) + 1}I", *full_keys, len(full_keys))


def _above(key: bytes) -> bytes:
    """A short key that does not come before this one, nor after any that would: LevelDB's FindShortSuccessor."""
    position = next((i for i, byte in enumerate(key) if byte != 0xFF), None)
    return key if position is None else key[:position] + bytes([key[position] + 1])


def _in_common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
