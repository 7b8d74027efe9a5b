"""Packed examples: nothing is thrown away, no stubs, nothing longer than allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from electra.data.dataset.batches import PretrainingBatches
from electra.data.dataset.shards import Shards, ShardWriter
from electra.data.preparation.packing import OPEN_EXAMPLES, Packer, pieces
from electra.objective.masking import Masking

CLS, SEP, MASK = 1, 2, 3


def packed(documents: list[list[int]], length: int) -> list[list[int]]:
    packer = Packer(length=length, cls_token_id=CLS, sep_token_id=SEP)
    return [example for one in documents for example in packer.add(one)] + list(packer.end())


@given(some.lists(some.integers(0, 60), max_size=120), some.integers(5, 40))
def test_every_token_is_there_once_in_rows_of_its_own_document(sizes: list[int], length: int) -> None:
    documents = [[1000 * number + place + 10 for place in range(size)] for number, size in enumerate(sizes)]
    examples = packed(documents, length)
    assert all(3 <= len(example) <= length for example in examples)
    tokens: list[list[int]] = []
    for example in examples:
        starts = [place for place, token in enumerate(example) if token == CLS]
        assert starts[0] == 0
        for first, last in zip(starts, [*starts[1:], len(example)], strict=True):
            assert example[last - 1] == SEP
            tokens.append(example[first + 1 : last - 1])
    assert all(len({token // 1000 for token in row}) == 1 for row in tokens)
    assert sorted(token for row in tokens for token in row) == [token for one in documents for token in one]


@given(some.integers(0, 500), some.integers(3, 50))
def test_pieces_are_as_few_and_as_equal_as_can_be(size: int, longest: int) -> None:
    document = list(range(size))
    found = list(pieces(document, longest))
    assert [token for piece in found for token in piece] == document
    assert len(found) == -(-size // longest)
    assert max(map(len, found), default=0) - min(map(len, found), default=0) <= 1


def test_rows_go_to_the_first_open_example_with_room() -> None:
    rows = {size: [CLS, *[10 * size] * (size - 2), SEP] for size in (3, 4, 5, 6)}
    examples = packed([[10 * size] * (size - 2) for size in (6, 5, 4, 3, 3)], 10)
    assert examples == [rows[6] + rows[4], rows[5] + rows[3], rows[3]]


def test_the_fullest_is_closed_when_too_many_are_open() -> None:
    sizes = [6] * OPEN_EXAMPLES
    sizes[7] = 7
    packer = Packer(length=11, cls_token_id=CLS, sep_token_id=SEP)
    given_out = [example for size in sizes for example in packer.add([9] * (size - 2))]
    assert given_out == []
    assert [len(example) for example in packer.add([9] * 4)] == [7]
    assert len(packer.open_examples) == OPEN_EXAMPLES


def test_a_packer_goes_on_from_the_open_examples_of_another() -> None:
    documents = [[10] * (1 + number * 7 % 40) for number in range(200)]
    first = Packer(length=32, cls_token_id=CLS, sep_token_id=SEP)
    got = [example for one in documents[:90] for example in first.add(one)]
    second = Packer(length=32, cls_token_id=CLS, sep_token_id=SEP, open_examples=first.open_examples)
    got += [example for one in documents[90:] for example in second.add(one)] + list(second.end())
    assert got == packed(documents, 32)


def test_rows_of_a_packed_example_are_rows_of_the_batch(tmp_path: Path) -> None:
    """Each with positions of its own, so that attention, which goes by rows, never leaves a document."""
    examples = [[CLS, 10, 11, SEP, CLS, 12, SEP], [CLS, 13, 14, 15, 16, 17, SEP], [CLS, 18, SEP, CLS, 19, SEP]]
    with ShardWriter(tmp_path, "train", dtype="u2") as writer:
        for example in examples:
            writer.add(example)
        writer.end_document()
    made = PretrainingBatches(
        Shards(tmp_path, "train"),
        batch_size=3,
        seed=0,
        masking=Masking(0.3),
        special_ids=(0, CLS, SEP, MASK),
        mask_token_id=MASK,
        sep_token_id=SEP,
    )
    batch, masked = made.batch(0)
    rows = [row.tolist() for row in batch.layout.split(batch.input_ids)]
    assert sorted(rows) == sorted([[1, 10, 11, 2], [1, 12, 2], [1, 13, 14, 15, 16, 17, 2], [1, 18, 2], [1, 19, 2]])
    assert batch.position_ids.tolist() == [place for row in rows for place in range(len(row))]
    assert not batch.token_type_ids.any()
    row_of = batch.layout.row_of_token()
    assert torch.unique(row_of[masked.positions]).tolist() == list(range(5))  # each row has its own masked tokens
    assert np.array(batch.layout.lengths).sum() == 20


def test_a_length_without_room() -> None:
    with pytest.raises(ValueError, match="length=4"):
        Packer(length=4, cls_token_id=CLS, sep_token_id=SEP)
