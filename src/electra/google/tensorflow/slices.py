"""Variables saved in parts: the index key of a part, and the cells of the variable that it contains.

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
        """Parse a TensorSliceProto.

        Raises:
            ValueError: the fields are not one.
        """
        extents = messages(fields, 1)
        return cls(tuple((signed(number(e, 1)), signed(number(e, 2)) if 2 in e else _WHOLE) for e in extents))

    def shape(self, whole: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the part of a variable with the shape `whole`."""
        return tuple(size if count == _WHOLE else count for (_, count), size in zip(self.extents, whole, strict=True))

    def cells(self, whole: tuple[int, ...]) -> tuple[slice, ...]:
        """The cells of the part in a variable with the shape `whole`.

        Raises:
            ValueError: the part lies outside of the variable.
        """
        if len(self.extents) != len(whole):
            raise ValueError(f"a part of {len(self.extents)} dimensions, of a whole of {len(whole)}")
        cells = tuple(
            slice(start, start + count) for (start, _), count in zip(self.extents, self.shape(whole), strict=True)
        )
        if any(part.start < 0 or part.stop > size for part, size in zip(cells, whole, strict=True)):
            raise ValueError(f"a part {self.extents} lies outside of the whole, {list(whole)}")
        return cells

    def key(self, name: str) -> bytes:
        """The key in the index of this part of the variable `name`."""
        text = name.encode().replace(b"\0", b"\0\xff")
        numbers = b"".join(_signed(number) for extent in self.extents for number in extent)
        return b"\0" + text + b"\0\x01" + _unsigned(len(self.extents)) + numbers


def _unsigned(value: int) -> bytes:
    """Encode a number so that bytes sort as numbers do: the number of bytes, then the bytes, highest first."""
    count = (value.bit_length() + 7) // 8
    return bytes([count]) + value.to_bytes(count, "big")


def _signed(value: int) -> bytes:
    """Encode a signed number so that bytes sort as numbers do.

    One 1 bit for each byte, then a 0 bit, then the number; all bits are inverted below 0.
    """
    magnitude = value if value >= 0 else ~value
    size = max(1, -(-(magnitude.bit_length() + 1) // 7))
    encoded = ((1 << size) - 1) << 7 * size | magnitude
    if value < 0:
        encoded ^= (1 << 8 * size) - 1
    return encoded.to_bytes(size, "big")
