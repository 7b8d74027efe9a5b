"""Variables that were saved in parts: under which key of the index a part is, and which cells of the whole it has.

TensorFlow: core/framework/tensor_slice.proto, core/util/saved_tensor_slice_util.cc, core/lib/strings/ordered_code.cc.
"""

from __future__ import annotations

from dataclasses import dataclass

from electra.google.tensorflow.wire import Fields, messages, number, signed

_WHOLE = -1  # the length that stands for all of a dimension


@dataclass(frozen=True)
class Slice:
    """(first cell, number of cells) of each dimension; (0, -1) is all of it."""

    extents: tuple[tuple[int, int], ...]

    @classmethod
    def read(cls, fields: Fields) -> Slice:
        """From a TensorSliceProto. Raises ValueError where it is none."""
        extents = messages(fields, 1)
        return cls(tuple((signed(number(e, 1)), signed(number(e, 2)) if 2 in e else _WHOLE) for e in extents))

    def shape(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """How large the part is, of a whole of this size."""
        return tuple(size if count == _WHOLE else count for (_, count), size in zip(self.extents, whole, strict=True))

    def cells(self, whole: tuple[int, ...]) -> tuple[slice, ...]:
        """Where the part lies in the whole. Raises ValueError where it would lie outside."""
        if len(self.extents) != len(whole):
            raise ValueError(f"a part of {len(self.extents)} dimensions, of a whole of {len(whole)}")
        found = tuple(
            slice(start, start + count) for (start, _), count in zip(self.extents, self.shape(whole), strict=True)
        )
        if any(part.start < 0 or part.stop > size for part, size in zip(found, whole, strict=True)):
            raise ValueError(f"a part {self.extents} lies outside of the whole, {list(whole)}")
        return found

    def key(self, name: str) -> bytes:
        """The index's key for this part of the variable."""
        text = name.encode().replace(b"\0", b"\0\xff")
        numbers = b"".join(_signed(number) for extent in self.extents for number in extent)
        return b"\0" + text + b"\0\x01" + _unsigned(len(self.extents)) + numbers


def _unsigned(value: int) -> bytes:
    """A number in bytes that sort as numbers do: how many bytes, then these, the highest first."""
    count = (value.bit_length() + 7) // 8
    return bytes([count]) + value.to_bytes(count, "big")


def _signed(value: int) -> bytes:
    """A signed number in bytes that sort as numbers do: ones, as many as there are bytes, then a zero, then the number;
    all inverted below 0.
    """
    magnitude = value if value >= 0 else ~value
    size = max(1, -(-(magnitude.bit_length() + 1) // 7))
    encoded = ((1 << size) - 1) << 7 * size | magnitude
    if value < 0:
        encoded ^= (1 << 8 * size) - 1
    return encoded.to_bytes(size, "big")
