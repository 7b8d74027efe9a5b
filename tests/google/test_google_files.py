"""TensorFlow's checkpoint files: read as TensorFlow wrote them, written to the same bytes, and refused when damaged."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from electra.google.tensorflow import sorted_table as tables
from electra.google.tensorflow.bundle import Bundle, Entry, find_checkpoint, write_bundle
from electra.google.tensorflow.checksum import crc32c, masked_crc32c
from electra.google.tensorflow.slices import Slice
from electra.google.tensorflow.snappy import decompress
from electra.google.tensorflow.sorted_table import read_table, table
from electra.google.tensorflow.wire import message, read_message, read_varint, varint
from tests.parity.google import FIXTURE

CHECKPOINTS = ("pretrain/small/model.ckpt-20", "finetune/cola/model.ckpt-8", "finetune/squad/model.ckpt-5")


# -- checksums -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),  # the standard's check value; the others are of RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_published_checksums(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def plain_crc32c(data: bytes) -> int:
    """Bit by bit."""
    found = 0xFFFFFFFF
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = (found >> 1) ^ (0x82F63B78 if found & 1 else 0)
    return found ^ 0xFFFFFFFF


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 31, 100, 1023, 4099])
def test_the_checksum_equals_its_plain_twin(count: int) -> None:
    data = np.random.default_rng(count).integers(0, 256, count, np.uint8).tobytes()
    assert crc32c(data) == plain_crc32c(data)


def test_the_checksum_of_several_chunks_equals_its_plain_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("electra.google.tensorflow.checksum._CHUNK_BYTES", 64)
    data = np.random.default_rng(0).integers(0, 256, 64 * 5 + 13, np.uint8).tobytes()
    assert crc32c(data) == plain_crc32c(data)


# -- compression ---------------------------------------------------------------------------------------------------


def test_snappy_as_the_library_compresses() -> None:
    # made by pyarrow.compress(…, codec="snappy")
    text = b"electra/encoder/layer_0/" * 5 + b"electra/encoder/layer_1/kernel"
    packed = bytes.fromhex("96015c656c65637472612f656e636f6465722f6c617965725f302ffe1800d618001c312f6b65726e656c")
    assert decompress(packed) == text


@pytest.mark.parametrize(
    ("packed", "text"),
    [
        (varint(0), b""),
        (varint(4) + b"\x0cabcd", b"abcd"),
        (varint(70) + b"\xf0\x45" + bytes(range(70)), bytes(range(70))),  # the length in a byte of its own
        (varint(9) + b"\x00a" + b"\x11\x01", b"a" * 9),  # 8 from 1 back: it copies what it makes
        (varint(5) + b"\x08xyz" + b"\x06\x03\x00", b"xyzxy"),  # 2 from 3 back, two bytes for the distance
        # the length in two bytes; then 4 from 300 back, the distance's upper bits in the tag
        (varint(304) + b"\xf4\x2b\x01" + bytes(range(150)) * 2 + b"\x21\x2c", bytes(range(150)) * 2 + b"\0\1\2\3"),
        (varint(4) + b"\x00z" + b"\x0b\x01\x00\x00\x00", b"zzzz"),  # 3 from 1 back, four bytes for the distance
    ],
)
def test_snappy_s_elements(packed: bytes, text: bytes) -> None:
    assert decompress(packed) == text


@pytest.mark.parametrize(
    "packed", [b"", varint(5) + b"\x0cabcd", varint(9) + b"\x20abcd", varint(3) + b"\x00a\x06\x05\x00", b"\x03\x08x"]
)
def test_damaged_snappy_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"compressed|end"):
        decompress(packed)


# -- numbers and messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**63])
def test_numbers_come_back(value: int) -> None:
    assert read_varint(b"\xff" + varint(value), 1) == (value, 1 + len(varint(value)))


def test_messages_come_back() -> None:
    fields = read_message(message([(1, 5), (2, b"ab"), (2, b"c"), (3, 0)], [(6, 77)]))
    assert fields == {1: [5], 2: [b"ab", b"c"], 6: [77]}


@pytest.mark.parametrize("data", [b"\x80", b"\x12\x05ab", b"\x0b", b"\x35\x01\x02", b"\x80" * 12])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"end|cut|kind"):
        read_message(data)


# -- tables --------------------------------------------------------------------------------------------------------


def many_keys() -> dict[bytes, bytes]:
    return {f"electra/layer_{i}/{part}".encode(): bytes([i]) * i for i in range(40) for part in ("kernel", "bias")}


def test_a_table_comes_back(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(table(many_keys()))
    assert read_table(tmp_path / "t") == many_keys()
    assert list(read_table(tmp_path / "t")) == sorted(many_keys())


def test_a_table_of_several_blocks_is_read(tmp_path: Path) -> None:
    """As TensorFlow writes a large one: a block every 256 KiB."""
    ordered = sorted(many_keys().items())
    file, places = b"", []
    for part in (ordered[:30], ordered[30:]):
        block = tables._packed(part) + b"\0"
        places.append((part[-1][0], varint(len(file)) + varint(len(block) - 1)))
        file += block + struct.pack("<I", masked_crc32c(block))
    last = tables._packed(places) + b"\0"
    footer = (varint(0) + varint(0) + varint(len(file)) + varint(len(last) - 1)).ljust(40, b"\0")
    file += last + struct.pack("<I", masked_crc32c(last)) + footer + struct.pack("<Q", 0xDB4775248B80FB57)
    (tmp_path / "t").write_bytes(file)
    assert read_table(tmp_path / "t") == many_keys()


def packed_by(kind: int, pack: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A table whose blocks are compressed."""
    monkeypatch.setattr(tables, "_PLAIN", kind)
    plain = tables._packed
    monkeypatch.setattr(tables, "_packed", lambda ordered: pack(plain(ordered)))
    data = table(many_keys())
    monkeypatch.undo()
    return data


def literally(text: bytes) -> bytes:
    """Snappy without copies: pieces of up to 60 bytes."""
    pieces = (text[i : i + 60] for i in range(0, len(text), 60))
    return varint(len(text)) + b"".join(bytes([(len(piece) - 1) << 2]) + piece for piece in pieces)


def test_compressed_blocks_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").write_bytes(packed_by(1, literally, monkeypatch))
    assert read_table(tmp_path / "t") == many_keys()


def test_another_compression_is_refused_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").write_bytes(packed_by(4, lambda block: block, monkeypatch))
    with pytest.raises(ValueError, match="number 4"):
        read_table(tmp_path / "t")


@pytest.mark.parametrize("place", [3, 200, -100, -44])
def test_a_changed_bit_of_a_table_is_seen(tmp_path: Path, place: int) -> None:
    data = bytearray(table(many_keys()))
    data[place] ^= 4
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ValueError, match=r"t \([\d,]+ bytes\) is damaged"):
        read_table(tmp_path / "t")


@pytest.mark.parametrize("length", [0, 10, 300, -1])
def test_a_cut_table_is_refused(tmp_path: Path, length: int) -> None:
    (tmp_path / "t").write_bytes(table(many_keys())[:length])
    with pytest.raises(ValueError, match="no index of a checkpoint, or its end is missing"):
        read_table(tmp_path / "t")


# -- parts of variables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "extents", "key"),
    [  # as TensorFlow 2.21 wrote them, of partitioned variables of [70, 5] and [4, 200]
        ("big", ((0, 24), (0, 5)), b"\x00big\x00\x01\x01\x02\x80\x98\x80\x85"),
        ("big", ((47, 23), (0, 5)), b"\x00big\x00\x01\x01\x02\xaf\x97\x80\x85"),
        ("wide", ((0, 4), (100, 100)), b"\x00wide\x00\x01\x01\x02\x80\x84\xc0\x64\xc0\x64"),
        ("all", ((0, -1),), b"\x00all\x00\x01\x01\x01\x80\x7f"),
    ],
)
def test_keys_of_parts_are_tensorflow_s(name: str, extents: tuple[tuple[int, int], ...], key: bytes) -> None:
    assert Slice(extents).key(name) == key


def write_parts(prefix: Path, whole: np.ndarray, parts: list[Slice], shards: int) -> None:
    """A checkpoint with one variable, `w`, in parts, each in the next of several data files."""
    entries = {b"": message([(1, shards)])}
    files = [b""] * shards
    described = []
    for number, part in enumerate(parts):
        shard = number % shards
        raw = np.ascontiguousarray(whole[part.cells(whole.shape)])
        offset, size = len(files[shard]), raw.nbytes
        entries[part.key("w")] = Entry(1, raw.shape, shard, offset, size, masked_crc32c(raw.tobytes()), ()).write()
        files[shard] += raw.tobytes()
        extents = [message([(1, start), *([(2, count)] if count >= 0 else [])]) for start, count in part.extents]
        described.append((7, message([(1, extent) for extent in extents])))
    entries[b"w"] = Entry(1, whole.shape, 0, 0, 0, 0, ()).write() + message(described)
    Path(f"{prefix}.index").write_bytes(table(entries))
    for number, data in enumerate(files):
        Path(f"{prefix}.data-{number:05d}-of-{shards:05d}").write_bytes(data)


ROWS = [Slice(((0, 2), (0, -1))), Slice(((2, 3), (0, -1))), Slice(((5, 1), (0, -1)))]


def test_parts_in_several_files_make_the_whole(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    write_parts(tmp_path / "c", whole, ROWS, shards=2)
    bundle = Bundle(tmp_path / "c")
    assert bundle.shapes == {"w": (6, 4)}
    assert (bundle.read("w") == whole).all()


def test_a_missing_part_is_an_error(tmp_path: Path) -> None:
    write_parts(tmp_path / "c", np.zeros((6, 4), np.float32), ROWS, shards=1)
    content = read_table(tmp_path / "c.index")
    del content[ROWS[1].key("w")]
    (tmp_path / "c.index").write_bytes(table(content))
    with pytest.raises(ValueError, match=r"lacks the part .* of the variable 'w'"):
        Bundle(tmp_path / "c").read("w")


def test_a_missing_file_with_a_part_names_the_variable(tmp_path: Path) -> None:
    write_parts(tmp_path / "c", np.zeros((6, 4), np.float32), ROWS, shards=2)
    (tmp_path / "c.data-00001-of-00002").unlink()
    with pytest.raises(FileNotFoundError, match=r"the variable 'w' is in .*00001-of-00002"):
        Bundle(tmp_path / "c")


# -- whole checkpoints ---------------------------------------------------------------------------------------------


VALUES: Mapping[str, np.ndarray] = {
    "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(7, np.int64),
    "c/half": np.array([1.5, -2], np.float16),
    "d/wide": np.array([0.1], np.float64),
    "e/none": np.zeros((0, 3), np.float32),
}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "model.ckpt-7", VALUES.items())
    return tmp_path / "model.ckpt-7"


def test_a_checkpoint_comes_back(prefix: Path) -> None:
    bundle = Bundle(prefix)
    assert bundle.shapes == {name: value.shape for name, value in VALUES.items()}
    for name, value in VALUES.items():
        assert bundle.read(name).dtype == value.dtype
        assert bundle.read(name).shape == value.shape
        assert (bundle.read(name) == value).all()


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_files_of_tensorflow_are_written_to_the_same_bytes(shared: Path, tmp_path: Path, checkpoint: str) -> None:
    original = shared / FIXTURE / checkpoint
    bundle = Bundle(original)
    write_bundle(tmp_path / original.name, ((name, bundle.read(name)) for name in bundle.shapes))
    assert len(bundle.shapes) > 40
    for kind in (".index", ".data-00000-of-00001"):
        assert Path(f"{tmp_path / original.name}{kind}").read_bytes() == Path(f"{original}{kind}").read_bytes()


def test_a_changed_bit_names_the_variable(prefix: Path) -> None:
    file = Path(f"{prefix}.data-00000-of-00001")
    data = bytearray(file.read_bytes())
    data[30] ^= 1  # in b, which is bytes 24 to 32
    file.write_bytes(data)
    bundle = Bundle(prefix)
    bundle.read("a/kernel")
    with pytest.raises(ValueError, match=r"damaged: the values of the variable 'b' \(bytes 24 to 32\)"):
        bundle.read("b")


def test_a_cut_file_names_the_first_variable_that_is_cut_off(prefix: Path) -> None:
    file = Path(f"{prefix}.data-00000-of-00001")
    file.write_bytes(file.read_bytes()[:33])
    with pytest.raises(ValueError, match=r"cut off: the variable 'c/half' ends at byte 36, and the file has 33"):
        Bundle(prefix)


def test_a_missing_file_names_the_variable(prefix: Path) -> None:
    Path(f"{prefix}.data-00000-of-00001").unlink()
    with pytest.raises(FileNotFoundError, match=r"the variable 'a/kernel' is in .*data-00000-of-00001, which is not"):
        Bundle(prefix)


def changed(prefix: Path, name: bytes, value: bytes) -> None:
    content = read_table(Path(f"{prefix}.index"))
    Path(f"{prefix}.index").write_bytes(table({**content, name: value}))


def test_a_wrong_shape_names_the_variable(prefix: Path) -> None:
    changed(prefix, b"b", Entry(9, (2,), 0, 24, 8, 0, ()).write())
    with pytest.raises(ValueError, match=r"'b' of shape \[2\] would have 8 bytes"):
        Bundle(prefix)


def test_a_type_that_no_network_has_is_named_when_it_is_read(prefix: Path) -> None:
    changed(prefix, b"b", Entry(14, (4,), 0, 0, 0, masked_crc32c(b""), ()).write())
    with pytest.raises(ValueError, match=r"'b' .* holds bfloat16"):
        Bundle(prefix).read("b")


def test_an_entry_that_makes_no_sense_is_named(prefix: Path) -> None:
    changed(prefix, b"b", b"\x12\x55")
    with pytest.raises(ValueError, match="what it says of 'b' makes no sense"):
        Bundle(prefix)


def test_big_endian_numbers_are_refused(prefix: Path) -> None:
    changed(prefix, b"", message([(1, 1), (2, 1)]))
    with pytest.raises(ValueError, match="big-endian"):
        Bundle(prefix)


def test_a_table_that_is_no_checkpoint_is_refused(prefix: Path) -> None:
    Path(f"{prefix}.index").write_bytes(table({b"x": b"y"}))
    with pytest.raises(ValueError, match="V1 format"):
        Bundle(prefix)


# -- finding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", ".index", ".meta", ".data-00000-of-00001"])
def test_a_checkpoint_is_found_by_its_prefix_or_a_file(prefix: Path, end: str) -> None:
    assert find_checkpoint(Path(f"{prefix}{end}")) == prefix


def test_a_folder_says_which_is_the_last(prefix: Path) -> None:
    write_bundle(prefix.with_name("model.ckpt-9"), VALUES.items())
    assert find_checkpoint(prefix.parent).name == "model.ckpt-9"
    (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/on/a/tpu/model.ckpt-7"\n')
    assert find_checkpoint(prefix.parent) == prefix
    (prefix.parent / "checkpoint").unlink()
    with pytest.raises(ValueError, match="several checkpoints: say which"):
        find_checkpoint(prefix.parent)


def test_no_checkpoint_is_an_error_that_says_what_is_there(prefix: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file model.ckpt-8.index. .* has model.ckpt-7"):
        find_checkpoint(prefix.with_name("model.ckpt-8"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no file that ends in \.index"):
        find_checkpoint(tmp_path / "empty")
    (tmp_path / "model.ckpt").write_bytes(struct.pack("<Q", 5))
    with pytest.raises(ValueError, match="V1 format"):
        find_checkpoint(tmp_path / "model.ckpt")
