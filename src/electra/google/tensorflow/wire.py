"""Numbers and messages as protocol buffers write them: as much of the format as a checkpoint's index needs.

A message is a row of fields, each a tag (number and kind) and a value: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterable

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10

Fields = dict[int, list[int | bytes]]


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` (seven bits a byte, the lowest first), and where it ends; ValueError where it does not."""
    value = 0
    for place in range(_LONGEST_VARINT):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at
    raise ValueError("a number has no end")


def varint(value: int) -> bytes:
    """A number, 0 or above."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def read_message(data: bytes) -> Fields:
    """The fields of a message by number, each with all its values in order. Raises ValueError for what is none."""
    fields: Fields = {}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value: int | bytes
        if tag & 7 == _VARINT:
            value, at = read_varint(data, at)
        else:
            size, at = _size(tag & 7, data, at)
            raw = data[at : at + size]
            if len(raw) < size:
                raise ValueError("a field is cut off")
            value = raw if tag & 7 == _BYTES else int.from_bytes(raw, "little")
            at += size
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _size(kind: int, data: bytes, at: int) -> tuple[int, int]:
    if kind == _BYTES:
        return read_varint(data, at)
    if kind in (_FOUR_BYTES, _EIGHT_BYTES):
        return (4 if kind == _FOUR_BYTES else 8), at
    raise ValueError(f"a field is of the kind {kind}, which there is not")


def number(fields: Fields, field: int, default: int = 0) -> int:
    """The last value of a field that is a number. Raises ValueError where it is not."""
    value = fields.get(field, [default])[-1]
    if not isinstance(value, int):
        raise ValueError(f"field {field} is not a number")
    return value


def signed(value: int) -> int:
    """A number as protocol buffers' int64 means it."""
    return value - (1 << 64) if value >> 63 else value


def messages(fields: Fields, field: int) -> list[Fields]:
    """The values of a field that is a message, or several."""
    values = fields.get(field, [])
    if not all(isinstance(value, bytes) for value in values):
        raise ValueError(f"field {field} is no message")
    return [read_message(value) for value in values if isinstance(value, bytes)]


def message(fields: Iterable[tuple[int, int | bytes]], four_bytes: Iterable[tuple[int, int]] = ()) -> bytes:
    """A message of numbers and of bytes, then of numbers of four bytes. A 0 is left out, as it is the default."""
    parts = []
    for field, value in fields:
        if isinstance(value, bytes):
            parts += [varint(field << 3 | _BYTES), varint(len(value)), value]
        elif value:
            parts += [varint(field << 3 | _VARINT), varint(value)]
    for field, value in four_bytes:
        parts += [varint(field << 3 | _FOUR_BYTES), value.to_bytes(4, "little")]
    return b"".join(parts)
