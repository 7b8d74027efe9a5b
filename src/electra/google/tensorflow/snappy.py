"""Undo the Snappy compression of an index's blocks. TensorFlow writes them plain, other writers of tables need not."""

from __future__ import annotations

from electra.google.tensorflow.wire import read_varint


def decompress(data: bytes) -> bytes:
    """Decompress `data` (Snappy's format description): literal bytes, and copies of earlier output.

    Raises:
        ValueError: the data are truncated or not Snappy.
    """
    size, at = read_varint(data, 0)
    made = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length, at = _literal(tag >> 2, data, at)
            if at + length > len(data):
                raise ValueError("compressed text is cut off")
            made += data[at : at + length]
            at += length
        else:
            length, distance, at = _copy(tag, data, at)
            if not 0 < distance <= len(made):
                raise ValueError("compressed text repeats what was not there")
            for _ in range(length):  # byte by byte, because a copy may overlap what it makes
                made.append(made[-distance])
        if len(made) > size:
            break
    if len(made) != size:
        raise ValueError(f"compressed text gives {len(made)} bytes, and says that it is {size}")
    return bytes(made)


def _literal(length: int, data: bytes, at: int) -> tuple[int, int]:
    """(length, start) of a literal: short lengths are in the tag, others in the next 1 to 4 bytes."""
    if length < 60:
        return length + 1, at
    count = length - 59
    return _number(data, at, count) + 1, at + count


def _copy(tag: int, data: bytes, at: int) -> tuple[int, int, int]:
    """(length, distance back, start of the next element) of a copy."""
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, (tag >> 5) << 8 | _number(data, at, 1), at + 1
    count = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, _number(data, at, count), at + count


def _number(data: bytes, at: int, count: int) -> int:
    if at + count > len(data):
        raise ValueError("compressed text is cut off")
    return int.from_bytes(data[at : at + count], "little")
