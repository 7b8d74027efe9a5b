"""Words whose boundaries are marked in the text: which tokens begin one, from the text to the masks."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from electra.data.dataset.batches import PretrainingBatches
from electra.data.dataset.shards import Shards
from electra.data.preparation.prepare import open_prepared, prepare
from electra.data.preparation.words import ids_with_words
from electra.objective.masking import Masking
from electra.text.tokenizer import ElectraTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = ["new", "##york", "n", "日", "本", "語", "の", "は", "the", "un", "##able", "##bl", "##e", ".", "'", "s", "zo"]


@pytest.fixture
def tokenizer() -> ElectraTokenizer:
    return ElectraTokenizer([*SPECIAL, *PIECES])


def begins(tokenizer: ElectraTokenizer, line: str, symbol: str) -> list[tuple[str, bool]]:
    encoding = tokenizer.backend_tokenizer.encode(line.replace(symbol, ""), add_special_tokens=False)
    marked = ids_with_words(line, symbol, encoding)
    assert [one if one >= 0 else ~one for one in marked] == encoding.ids
    return [(token, one >= 0) for token, one in zip(encoding.tokens, marked, strict=True)]


@pytest.mark.parametrize(
    ("line", "symbol", "expected"),
    [
        ("日本語|の|本", "|", "+日 -本 -語 +の +本"),
        ("日本語 の 本", " ", "+日 -本 -語 +の +本"),  # text that a tool has put spaces into
        ("日本 語|の", "|", "+日 -本 +語 +の"),  # white space parts words too
        ("New|York newyork", "|", "+new +##york +new -##york"),  # the pieces are those of the text without it
        ("|the|.||the's|", "|", "+the +. +the -' -s"),  # a word may have punctuation in it
        ("un|able unab|le", "|", "+un +##able +un -##able"),  # a token belongs to the word of its first character
        ("Ne\u0301w|日", "|", "+new +日"),  # the accent is no character any more for the tokenizer
        ("☃☃日|本", "|", "+[UNK] -日 +本"),
        ("\u0007the|\u0007日", "|", "+the +日"),
        ("", "|", ""),
        ("||", "|", ""),
    ],
)
def test_which_tokens_begin_a_word(tokenizer: ElectraTokenizer, line: str, symbol: str, expected: str) -> None:
    found = begins(tokenizer, line, symbol)
    assert " ".join(f"{'+' if begun else '-'}{token}" for token, begun in found) == expected


def marked_text(path: Path) -> Path:
    """Documents of lines of words of one to three ideographs, an ideograph nowhere else but in its place in a word."""
    draw = random.Random(0)
    words = ["日", "本語", "のはthe", "zo"]
    documents = ["\n".join("|".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(5)) for _ in range(60)]
    path.write_text("\n\n".join(documents) + "\n")
    return path


FIRST = {"日", "本", "の", "zo"}


def options(**changed: Any) -> dict[str, Any]:
    return {"length": 24, "seed": 5, "held_out_fraction": 0.1, **changed}


@pytest.mark.parametrize("segments", ["faithful", "packed"])
def test_the_shards_hold_the_text_without_marks_and_where_its_words_begin(
    tmp_path: Path, tokenizer: ElectraTokenizer, segments: str
) -> None:
    text = marked_text(tmp_path / "a.txt")
    plain = tmp_path / "plain.txt"
    plain.write_text(text.read_text().replace("|", ""))
    sets = prepare(text, tokenizer, tmp_path / "made", **options(segments=segments, word_boundaries="|"))
    without = prepare(plain, tokenizer, tmp_path / "made", **options(segments=segments))
    for made, expected in zip(sets, without, strict=True):
        assert [one.tolist() for one in made] == [one.tolist() for one in expected]
        assert made.documents.tolist() == expected.documents.tolist()
        for number, ids in enumerate(made):
            tokens = tokenizer.convert_ids_to_tokens(ids.tolist())
            assert made.word_starts(number).tolist() == [token in FIRST or token in SPECIAL for token in tokens]
    told = json.loads((sets[0].path.parent / "shards.json").read_text())["recipe"]
    assert told["word_boundaries"] == "|"
    with pytest.raises(ValueError, match="does not store where words begin: prepare text in which that is marked"):
        without[0].word_starts(0)
    bits = sets[0].words
    assert bits is not None
    assert bits.path.with_suffix(".bin").stat().st_size == sum(-(-int(length) // 8) for length in sets[0].lengths)


@pytest.mark.parametrize("segments", ["faithful", "packed"])
def test_whole_words_are_masked_from_the_marks(tmp_path: Path, tokenizer: ElectraTokenizer, segments: str) -> None:
    text = marked_text(tmp_path / "a.txt")
    shards, _ = prepare(text, tokenizer, tmp_path / "made", **options(segments=segments, word_boundaries="|"))
    law = {"batch_size": 4, "seed": 1, "masking": Masking(0.3), "special_ids": range(5), "mask_token_id": 4}
    batches = PretrainingBatches(shards, sep_token_id=3, marked_words=True, **law)
    split = 0
    for step in range(20):
        batch, masked = batches.batch(step)
        tokens = tokenizer.convert_ids_to_tokens(batch.input_ids.tolist())
        chosen = np.isin(np.arange(len(tokens)), masked.positions.numpy())
        # a word that is longer than its row's count is masked by pieces
        pairs = [(at, at + 1) for at in range(len(tokens)) if "".join(tokens[at : at + 2]) == "本語"]
        counts = np.repeat([round(0.3 * length) for length in batch.layout.lengths], batch.layout.lengths)
        assert all(chosen[one] == chosen[other] for one, other in pairs if counts[one] >= 2)
        split += sum(chosen[one] for one, _ in pairs)
    assert split > 20
    unmarked = PretrainingBatches(shards, sep_token_id=3, **law)  # the same text by pieces, to compare with
    assert any(
        not np.array_equal(unmarked.batch(step)[1].positions, batches.batch(step)[1].positions) for step in range(3)
    )


def test_what_is_no_mark_and_shards_without_words(tmp_path: Path, tokenizer: ElectraTokenizer) -> None:
    text = marked_text(tmp_path / "a.txt")
    for symbol in ("", "||", "\n"):
        with pytest.raises(ValueError, match=r"word_boundaries=.*: it must be one character"):
            prepare(text, tokenizer, tmp_path / "made", **options(word_boundaries=symbol))
    with pytest.raises(ValueError, match="word_boundaries='/': the text has no such character"):
        prepare(text, tokenizer, tmp_path / "made", **options(word_boundaries="/"))
    assert not (tmp_path / "made").exists()
    folder = prepare(text, tokenizer, tmp_path / "made", **options(word_boundaries="|"))[0].path.parent
    with pytest.raises(ValueError, match=r"word_boundaries was \|, is None"):
        prepare(text, tokenizer, tmp_path / "made", **options(), reuse_only=True)
    other = prepare(text, tokenizer, tmp_path / "made", **options(word_boundaries="|", seed=6))[0].path.parent
    for part in ("bin", "idx"):
        (other / f"train_words.{part}").write_bytes((folder / f"held_out_words.{part}").read_bytes())
    with pytest.raises(ValueError, match=r"train_words\.idx is damaged"):
        Shards(other, "train", words=True)
    (folder / "train_words.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"train_words\.bin"):
        open_prepared(folder, tokenizer)
