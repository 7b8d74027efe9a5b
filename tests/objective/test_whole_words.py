"""Whole words in masking, against a loop that takes them one by one."""

from __future__ import annotations

import random

import pytest
import torch

from electra import Batch, Masking, Row
from electra.batch import Layout

SPECIAL, MASK = (1, 2, 3), 3
CONTINUATIONS = torch.arange(500) >= 300  # the ids from 300 on are pieces with ##


def rows_of(lengths: list[int], seed: int = 0, pieces: float = 0.4, first: int = 1) -> Batch:
    draw = random.Random(seed)
    rows = [
        [
            first,
            *(draw.randrange(300, 500) if draw.random() < pieces else draw.randrange(4, 300) for _ in range(n - 2)),
            first + 1,
        ]
        for n in lengths
    ]
    return Batch.from_rows([Row(ids) for ids in rows])


def uniforms_of(batch: Batch, seed: int = 1) -> torch.Tensor:
    return torch.rand(len(batch.input_ids), 3, generator=torch.Generator().manual_seed(seed))


def words_of(ids: list[int], continues: list[bool], first: int) -> list[list[int]]:
    words: list[list[int]] = []
    for place, number in enumerate(ids):
        if number in SPECIAL:
            words.append([])
        elif continues[place] and words and words[-1]:
            words[-1].append(first + place)
        else:
            words.append([first + place])
    return [word for word in words if word]


def chosen_plainly(batch: Batch, draws: list[float], continues: torch.Tensor, fraction: float) -> list[int]:
    """The law, read aloud."""
    chosen: list[int] = []
    for ids, own, first in zip(
        batch.layout.split(batch.input_ids), batch.layout.split(continues), batch.layout.offsets, strict=False
    ):
        count = max(1, round(fraction * len(ids)))
        words = words_of(ids.tolist(), own.tolist(), first)
        words = [part for word in words for part in ([word] if len(word) <= count else [[place] for place in word])]
        for word in sorted(words, key=lambda word: draws[word[0]]):
            if len(word) <= count:
                chosen += word
                count -= len(word)
    return sorted(chosen)


@pytest.mark.parametrize("pieces", [0.0, 0.4, 0.8, 1.0])
def test_words_are_chosen_as_one_by_one(pieces: float) -> None:
    for seed in range(20):
        # with special tokens at the ends of rows, and with pieces that have no word before them
        batch = rows_of([3, 7, 12, 40, 128, 5, 60], seed, pieces, first=1 if seed % 2 else 400)
        uniforms = uniforms_of(batch, seed)
        masked = Masking(continuations=CONTINUATIONS)(batch, uniforms, SPECIAL, MASK)
        expected = chosen_plainly(batch, uniforms[:, 0].tolist(), CONTINUATIONS[batch.input_ids], 0.15)
        assert masked.positions.tolist() == expected
        assert torch.equal(masked.original_ids, batch.input_ids[masked.positions])
        assert torch.equal(masked.uniforms, uniforms[masked.positions, 2])


def test_without_pieces_the_law_is_that_of_tokens() -> None:
    batch = rows_of([20, 128, 60], pieces=0.0)
    words = Masking(continuations=CONTINUATIONS)(batch, uniforms_of(batch), SPECIAL, MASK)
    assert torch.equal(words.positions, Masking()(batch, uniforms_of(batch), SPECIAL, MASK).positions)


def test_no_word_is_cut_and_nearly_as_many_tokens_are_chosen() -> None:
    batch = rows_of([128] * 100)
    continues = CONTINUATIONS[batch.input_ids]
    masked = Masking(continuations=CONTINUATIONS)(batch, uniforms_of(batch), SPECIAL, MASK)
    chosen = torch.zeros(len(continues), dtype=torch.bool).index_fill(0, masked.positions, True)
    inside = continues[1:] & (batch.input_ids[:-1] != 1)
    assert torch.equal(chosen[1:][inside], chosen[:-1][inside])
    assert 18.5 * 100 < len(masked.positions) <= 19 * 100


def test_a_word_that_is_a_whole_row_is_masked_by_pieces() -> None:
    batch = Batch.from_rows([Row([1, 9, *[400] * 60, 2]), Row([1, 2]), Row([1, 9, 2])])
    masked = Masking(continuations=CONTINUATIONS)(batch, uniforms_of(batch), SPECIAL, MASK)
    assert batch.layout.row_of_token()[masked.positions].bincount().tolist() == [9, 0, 1]


def test_boundaries_from_elsewhere_and_padding() -> None:
    """As of segmented Chinese: every token is a whole character, and the segmenter says which belong together."""
    ids = torch.tensor([[1, *range(10, 28), 2], [1, 7, 8, 9, 2, *[0] * 15]])
    layout = Layout.of_grid(2, 20, ids != 0)
    batch = Batch(ids.flatten(), torch.zeros(40, dtype=torch.int64), layout.positions(), layout)
    continues = torch.arange(40) % 3 == 0
    masked = Masking()(batch, uniforms_of(batch), SPECIAL, MASK, continues=continues)
    assert masked.positions.tolist()[-1] < 24
    assert (ids.flatten()[masked.positions] > 3).all()
    first = masked.positions[masked.positions < 20].tolist()
    assert len(first) in (2, 3)
    assert all((place - 1 in first) for place in first if place % 3 == 0 and place > 1)


@pytest.mark.parametrize(
    ("continues", "message"),
    [(torch.zeros(3, dtype=torch.bool), r"bool \[5\]"), (torch.zeros(5), "torch.float32")],
)
def test_boundaries_that_are_none(continues: torch.Tensor, message: str) -> None:
    batch = Batch.from_rows([Row([1, 9, 8, 7, 2])])
    with pytest.raises(ValueError, match=message):
        Masking()(batch, uniforms_of(batch), SPECIAL, MASK, continues=continues)


def test_google_s_draw_does_not_know_words() -> None:
    with pytest.raises(ValueError, match="with_replacement"):
        Masking(with_replacement=True, continuations=CONTINUATIONS)
    batch = Batch.from_rows([Row([1, 9, 8, 7, 2])])
    with pytest.raises(ValueError, match="with_replacement"):
        Masking(with_replacement=True)(batch, uniforms_of(batch), SPECIAL, MASK, torch.zeros(5, dtype=torch.bool))
