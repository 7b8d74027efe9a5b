"""Reads the fixture's TensorFlow checkpoints, enough for the tests: a LevelDB table of names and places, and raw data.

Layout of the index: recipe of TensorFlow's "V2" checkpoints (tensor_bundle.proto); uncompressed blocks only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_MAGIC = 0xDB4775248B80FB57
_TYPES = {1: np.dtype("<f4"), 9: np.dtype("<i8")}


def read_checkpoint(prefix: Path) -> dict[str, np.ndarray]:
    """All variables of the checkpoint whose files begin with `prefix`."""
    index = Path(f"{prefix}.index").read_bytes()
    data = Path(f"{prefix}.data-00000-of-00001").read_bytes()
    footer = index[-48:]
    assert struct.unpack("<Q", footer[-8:])[0] == _MAGIC
    at = _varint(footer, _varint(footer, 0)[1])[1]  # behind the handle of the meta index
    begin, at = _varint(footer, at)
    size, _ = _varint(footer, at)
    tensors: dict[str, np.ndarray] = {}
    for _, handle in _block(index[begin : begin + size]):
        start, after = _varint(handle, 0)
        length, _ = _varint(handle, after)
        for name, value in _block(index[start : start + length]):
            if name:
                entry = _message(value)
                shape = [_message(dim).get(1, [0])[0] for dim in _message(entry.get(2, [b""])[0]).get(2, [])]
                offset, size = entry.get(4, [0])[0], entry[5][0]
                raw = np.frombuffer(data[offset : offset + size], _TYPES[entry[1][0]])
                tensors[name.decode()] = raw.reshape(shape)
    return tensors


def torch_name(name: str) -> tuple[str, str]:
    """A TensorFlow variable's place: ("discriminator" or "generator", parameter name). Kernels are transposed."""
    network = "generator" if name.startswith("generator") else "discriminator"
    name = re.sub(r"^generator/", "electra/", name).replace("layer_", "layer.")
    name = name.replace("generator_predictions/output_bias", "generator_lm_head/bias")
    name = name.replace("discriminator_predictions/dense_1", "discriminator_predictions/dense_prediction")
    name = re.sub(r"_embeddings$", "_embeddings/weight", name)
    for theirs, ours in (("kernel", "weight"), ("gamma", "weight"), ("beta", "bias")):
        name = re.sub(f"/{theirs}$", f"/{ours}", name)
    return network, name.replace("/", ".")


def oriented(name: str, value: np.ndarray) -> np.ndarray:
    """A kernel is [in, out] there and [out, in] here."""
    return value.T if name.endswith("kernel") else value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _block(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys share prefixes with the one before; a list of restarts ends the block."""
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + own]
        at += own
        yield key, block[at : at + length]
        at += length


def _message(data: bytes) -> dict[int, list]:
    """A protocol buffer's fields by number."""
    fields: dict[int, list] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            size = 4 if kind == 5 else 8
            value, at = int.from_bytes(data[at : at + size], "little"), at + size
        fields.setdefault(tag >> 3, []).append(value)
    return fields
