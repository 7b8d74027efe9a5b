from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from electra.text.training.vocabulary import read_vocabulary, train_vocabulary

from .nasty import TRAINING

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

TRAIN = """
import pydoc_data.topics
from electra.text.training.vocabulary import train_vocabulary
print(train_vocabulary([*pydoc_data.topics.topics.values()], size=2000).fingerprint())
"""


def test_the_same_texts_give_the_same_vocabulary_in_every_process() -> None:
    """The library's own trainer gives another vocabulary each time on this text."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", TRAIN], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True
        )
        for seed in ("1", "2", "3")
    ]
    fingerprints = {run.stdout for run in runs}
    assert len(fingerprints) == 1, [run.stderr for run in runs]
    assert len(fingerprints.pop().strip()) == 64


def test_what_is_in_a_vocabulary() -> None:
    tokenizer = train_vocabulary(TRAINING, size=300)
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    characters = [token for token in tokens if len(token) == 1]
    assert tokens[:5] == SPECIAL
    assert tokens[5 : 5 + len(characters)] == characters == sorted(characters)
    assert len(tokenizer) == len(tokens) <= 300
    assert tokenizer.tokenize("the QUICK fox") == ["the", "quick", "fox"]
    assert not any(token != token.lower() for token in tokens[5:])
    assert "QUICK" in train_vocabulary(TRAINING, size=600, lowercase=False, min_frequency=2).get_vocab()
    assert train_vocabulary(iter(TRAINING), size=300).fingerprint() == tokenizer.fingerprint()


def test_frequent_merges_come_first_and_rare_ones_not_at_all() -> None:
    texts = ["abab " * 9 + "cd " * 5 + "ef"]
    assert set(train_vocabulary(texts, size=100).get_vocab()) >= {"ab", "##ab", "abab", "cd"} - {"##ab"}
    assert "ef" not in train_vocabulary(texts, size=100).get_vocab()
    assert "ef" in train_vocabulary(texts, size=100, min_frequency=1).get_vocab()


def test_rare_characters_are_unknown() -> None:
    tokenizer = train_vocabulary(["aaa bbb ab é"], size=20, strip_accents=False, max_characters=2)
    assert tokenizer.tokenize("ab é") == ["ab", "[UNK]"] or tokenizer.tokenize("é") == ["[UNK]"]
    assert "é" not in tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("texts", "size", "message"),
    [
        ("one string", 100, "texts is a single string"),
        ([], 100, "no text to learn a vocabulary from"),
        (["", "  \n"], 100, "no text to learn a vocabulary from"),
        (["fine", 3], 100, r"texts\[1\] is 3; every text must be a string"),
        (
            ["abc abc"],
            9,
            "size=9 is too small: 5 special tokens and 3 characters, 2 of them also within words, need 10",
        ),
    ],
)
def test_what_cannot_be_learned_from(texts: list[str], size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train_vocabulary(texts, size=size)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"vocab.txt: the vocabulary is empty"),
        (b"\n\n", r"vocab.txt: the vocabulary is empty"),
        ("\n".join([*SPECIAL[:4], "a"]).encode(), r"vocab.txt: the vocabulary has no \[MASK\]; add a line"),
        ("\n".join(["a", "b"]).encode(), r"has no \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\]"),
        ("\n".join([*SPECIAL, "a", "b", "a"]).encode(), r"vocab.txt, line 8: 'a' is already on line 6"),
        ("\n".join([*SPECIAL, "", "b"]).encode(), r"vocab.txt, line 6: the line is empty"),
        (b"[PAD]\n\xff\xfe", r"vocab.txt, line 2: not UTF-8"),
        (b"[PAD]\na\x00b", r"vocab.txt, line 2: a zero byte"),
    ],
)
def test_files_that_are_no_vocabulary(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_vocabulary(tmp_path / "vocab.txt")


def test_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*SPECIAL, "Fox"]).encode() + b"\r\n")
    tokenizer = read_vocabulary(tmp_path / "vocab.txt", model_max_length=9)
    assert (len(tokenizer), tokenizer.pad_token_id, tokenizer.model_max_length) == (6, 0, 9)
    assert tokenizer("Fox")["input_ids"] == [2, 5, 3]  # the capital says that it is cased
    assert read_vocabulary(tmp_path / "vocab.txt", lowercase=True)("Fox")["input_ids"] == [2, 1, 3]
