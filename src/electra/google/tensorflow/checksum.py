"""CRC-32C, the checksum of TensorFlow's and LevelDB's files, over whole arrays at once.

A checksum without its initial and final inversion is linear: the checksum of A followed by B is that of A, shifted by
B's length, xor that of B. So neighbours are joined in pairs, then the pairs, and so on, each round one pass of numpy.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
_ALL = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8  # LevelDB's crc32c.h

_CHUNK_BYTES = 1 << 18  # what a round works on stays in the processor's cache

Words = NDArray[np.uint32]


def crc32c(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> int:
    """The CRC-32C of `data`."""
    flat = np.frombuffer(data, np.uint8)
    crc = _ALL
    for start in range(0, len(flat), _CHUNK_BYTES):
        chunk = flat[start : start + _CHUNK_BYTES]
        crc = _moved(crc, len(chunk)) ^ _linear(chunk)
    return crc ^ _ALL


def masked_crc32c(data: bytes | bytearray | memoryview | NDArray[np.uint8]) -> int:
    """The CRC-32C in the form stored in files: rotated and offset, so that checksums of checksums are not trivial."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _ALL


def _linear(chunk: NDArray[np.uint8]) -> int:
    """The checksum without its inversions. Zeros in front do not change it, so they fill up to a power of two."""
    rounds = max(0, (len(chunk) - 1).bit_length() - 2)
    if len(chunk) == 4 << rounds:
        words = chunk.view(np.uint32)
    else:
        padded = np.zeros(4 << rounds, np.uint8)
        padded[len(padded) - len(chunk) :] = chunk
        words = padded.view(np.uint32)
    for number in range(rounds):
        halves = words.view(np.uint16).reshape(-1, 4)
        low, high = _tables(number + 2)
        words = words[1::2] ^ low.take(halves[:, 0]) ^ high.take(halves[:, 1])
    return _moved(int(words[0]), 4)


def _moved(checksum: int, count: int) -> int:
    """The linear checksum of a text followed by `count` zero bytes."""
    power = 0
    while count >> power:
        if count >> power & 1:
            low, high = _tables(power)
            checksum = int(low[checksum & 0xFFFF] ^ high[checksum >> 16])
        power += 1
    return checksum


@cache
def _tables(power: int) -> tuple[Words, Words]:
    """For 2^power zero bytes: what becomes of a checksum's lower 16 bits, and of its upper 16 bits."""
    images = _images(power)
    return _table(images[:16]), _table(images[16:])


def _table(images: list[int]) -> Words:
    table = np.zeros(1, np.uint32)
    for image in images:
        table = np.concatenate([table, table ^ np.uint32(image)])
    return table


@cache
def _images(power: int) -> list[int]:
    """What becomes of each of a checksum's 32 bits."""
    if power == 0:
        return [_after_one_byte(1 << bit) for bit in range(32)]
    low, high = _tables(power - 1)
    return [int(low[image & 0xFFFF] ^ high[image >> 16]) for image in _images(power - 1)]


def _after_one_byte(checksum: int) -> int:
    for _ in range(8):
        checksum = (checksum >> 1) ^ (_POLYNOMIAL if checksum & 1 else 0)
    return checksum
