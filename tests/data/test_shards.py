"""Token sequences in Megatron's layout: what is written is read, and damage is seen."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from electra.data.dataset import shards
from electra.data.dataset.shards import Mark, Shards, ShardWriter, smallest_type

SEQUENCES = [[2, 45, 3], [2, 65535, 7, 3], [2, 3], [9]]


def write(folder: Path, dtype: str = "u2") -> Shards:
    with ShardWriter(folder, "train", dtype=dtype) as writer:
        for sequence in SEQUENCES[:3]:
            writer.add(sequence)
        writer.end_document()
        writer.add(np.array(SEQUENCES[3]))
        writer.end_document()
    assert (writer.sequences, writer.tokens, writer.documents) == (4, 10, 2)
    return Shards(folder, "train")


@pytest.mark.parametrize("dtype", ["u2", "i4"])
@pytest.mark.parametrize("chunk", [1, 3, 2**16])
def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, chunk: int) -> None:
    monkeypatch.setattr(shards, "CHUNK", chunk)
    written = write(tmp_path, dtype)
    assert [sequence.tolist() for sequence in written] == SEQUENCES
    assert written[0].dtype == np.dtype(dtype)
    assert not written[0].flags.writeable
    assert written[-1].tolist() == [9]
    assert written.documents.tolist() == [0, 3, 4]
    assert (len(written), written.tokens) == (4, 10)
    with pytest.raises(IndexError):
        written[4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.bin", "train.idx"]


def test_the_bytes_are_those_of_megatrons_layout(tmp_path: Path) -> None:
    """Written down from the format's description (megatron/core/datasets/indexed_dataset.py), not from our writer."""
    write(tmp_path)
    index = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 4, 3)
    index += struct.pack("<4i", 3, 4, 2, 1) + struct.pack("<4q", 0, 6, 14, 18) + struct.pack("<3q", 0, 3, 4)
    assert (tmp_path / "train.idx").read_bytes() == index
    assert (tmp_path / "train.bin").read_bytes() == struct.pack("<10H", *(id for ids in SEQUENCES for id in ids))


def test_the_smallest_type_holds_every_id() -> None:
    assert smallest_type(65_535) == np.uint16
    assert smallest_type(65_536) == np.int32


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(TypeError, match="interpreted as an integer"),
        ShardWriter(tmp_path, "train", dtype="u2") as writer,
    ):
        writer.add([1, "not an id"])
    with pytest.raises(ValueError, match="no sequence"), ShardWriter(tmp_path, "train", dtype="u2"):
        pass
    with pytest.raises(OverflowError), ShardWriter(tmp_path, "train", dtype="u2") as writer:
        writer.add([70_000])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["train.bin", "train.idx"])
@pytest.mark.parametrize("change", [-1, -10, 2])
def test_a_file_cut_short_or_grown(tmp_path: Path, name: str, change: int) -> None:
    write(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:change] if change < 0 else content + b"\0" * change)
    with pytest.raises(ValueError, match=rf"{name} is damaged: it has {len(content) + change:,} bytes"):
        Shards(tmp_path, "train")


def test_files_that_are_missing_empty_or_something_else(tmp_path: Path) -> None:
    write(tmp_path)
    index = (tmp_path / "train.idx").read_bytes()
    for content, message in [
        (b"", "train.idx is empty"),
        (index[:20], "train.idx is truncated"),
        (b"X" + index[1:], "train.idx is no index"),
        (index[:17] + b"\x05" + index[18:], "type code 5"),
    ]:
        (tmp_path / "train.idx").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            Shards(tmp_path, "train")
    (tmp_path / "train.idx").write_bytes(index)
    (tmp_path / "train.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.bin"):
        Shards(tmp_path, "train")
    with pytest.raises(ValueError, match="dtype=float32"):
        ShardWriter(tmp_path, "other", dtype="f4")


def test_shards_are_appended_with_their_documents(tmp_path: Path) -> None:
    first = write(tmp_path)
    with ShardWriter(tmp_path, "empty", dtype="u2", may_be_empty=True):
        pass
    empty = Shards(tmp_path, "empty")
    assert (len(empty), empty.tokens, list(empty)) == (0, 0, [])
    with ShardWriter(tmp_path, "joined", dtype="u2") as writer:
        writer.extend(empty)
        writer.extend(first)
        writer.add([5])
        writer.end_document()
        writer.extend(first)
    joined = Shards(tmp_path, "joined")
    assert [ids.tolist() for ids in joined] == [*SEQUENCES, [5], *SEQUENCES]
    assert joined.documents.tolist() == [0, 3, 4, 5, 8, 9]
    with pytest.raises(ValueError, match="holds ids as uint16"), ShardWriter(tmp_path, "other", dtype="i4") as writer:
        writer.extend(first)


def test_a_writer_goes_on_from_a_mark(tmp_path: Path) -> None:
    """What was written after the mark does not count, and the end is the same to the byte."""
    (tmp_path / "whole").mkdir()
    write(tmp_path / "whole")
    with ShardWriter(tmp_path, "train", dtype="u2", resume_from=Mark()) as writer:
        for sequence in SEQUENCES[:3]:
            writer.add(sequence)
        writer.end_document()
        mark = writer.mark()
        writer.add([1, 2, 3, 4])
        writer.end_document()
    assert mark == Mark(sequences=3, tokens=9, documents=1)
    with ShardWriter(tmp_path, "train", dtype="u2", resume_from=mark) as writer:
        writer.add(SEQUENCES[3])
        writer.end_document()
    for suffix in (".bin", ".idx"):
        made, expected = (folder / f"train{suffix}" for folder in (tmp_path, tmp_path / "whole"))
        assert made.read_bytes() == expected.read_bytes()
    (tmp_path / ".train.lengths").write_bytes(b"")
    with pytest.raises(ValueError, match=r"\.train\.lengths is shorter than it was marked to be"):
        ShardWriter(tmp_path, "train", dtype="u2", resume_from=mark).__enter__()
