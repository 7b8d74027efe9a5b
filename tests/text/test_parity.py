"""Equal to transformers' tokenizer on every column, and to Google's on the cases that its code produced."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import read_vocabulary

from .conftest import reference_of
from .nasty import TEXTS

COLUMNS = {
    "return_offsets_mapping": True,
    "return_special_tokens_mask": True,
    "return_length": True,
}
PAIRS = list(zip(TEXTS, reversed(TEXTS), strict=True))
SHORT_AND_LONG = [("the cat", TEXTS[3] * 3), (TEXTS[3] * 3, "the cat"), (TEXTS[3] * 2, TEXTS[7] * 3), ("the", "cat")]


def assert_same(ours: Any, theirs: Any, context: object = "") -> None:
    assert list(ours) == list(theirs), context
    for name in theirs:
        one, two = ours[name], theirs[name]
        assert (one.tolist() if hasattr(one, "tolist") else one) == (two.tolist() if hasattr(two, "tolist") else two), (
            name,
            context,
        )
    for row in range(len(theirs.encodings)):
        assert ours.tokens(row) == theirs.tokens(row), context
        assert ours.word_ids(row) == theirs.word_ids(row), context
        assert ours.sequence_ids(row) == theirs.sequence_ids(row), context


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_and_a_pair(twins: tuple[ElectraTokenizer, Any], text: str) -> None:
    ours, theirs = twins
    assert_same(ours(text, **COLUMNS), theirs(text, **COLUMNS))
    assert_same(ours(text, TEXTS[3], **COLUMNS), theirs(text, TEXTS[3], **COLUMNS))
    assert_same(ours(text, add_special_tokens=False), theirs(text, add_special_tokens=False))
    assert_same(ours(text, split_special_tokens=True), theirs(text, split_special_tokens=True))
    assert_same(ours(text, **COLUMNS), theirs(text, **COLUMNS))  # the option of the call before did not stick
    assert ours.tokenize(text) == theirs.tokenize(text)
    ids = theirs(text)["input_ids"]
    for skip in (False, True):
        for clean in (False, True):
            options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean}
            assert ours.decode(ids, **options) == theirs.decode(ids, **options)
    assert ours.convert_ids_to_tokens(ids, skip_special_tokens=True) == theirs.convert_ids_to_tokens(ids, True)


def test_batches_and_tensors(twins: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = twins
    assert_same(ours(PAIRS, padding="longest"), theirs(PAIRS, padding="longest"))
    for kind in (None, "np", "pt"):
        options = {"padding": True, "return_tensors": kind, **COLUMNS}
        assert_same(ours(TEXTS, **options), theirs(TEXTS, **options))
        assert_same(ours(PAIRS, **options), theirs(PAIRS, **options))
        assert_same(ours(TEXTS[3], **options), theirs(TEXTS[3], **options))
    assert ours("a", return_tensors="np")["input_ids"].dtype == np.int64
    ragged, expected = (one(["the", "the cat"], return_tensors="np")["input_ids"] for one in (ours, theirs))
    assert [row.tolist() for row in ragged] == [row.tolist() for row in expected]


def test_words(twins: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = twins
    words = [text.split() for text in TEXTS]
    options = {"is_split_into_words": True, "padding": True, **COLUMNS}
    assert_same(ours(words, **options), theirs(words, **options))
    assert_same(ours(words, words[::-1], **options), theirs(words, words[::-1], **options))
    assert_same(ours(words[3], **options), theirs(words[3], **options))
    assert_same(ours(words[3], words[4], **options), theirs(words[3], words[4], **options))


@pytest.mark.parametrize("truncation", [False, True, "only_first", "only_second", None])
@pytest.mark.parametrize("padding", [False, True, "max_length"])
def test_truncation_padding_and_windows(small: ElectraTokenizer, truncation: Any, padding: Any) -> None:
    """Every combination that transformers survives; where it does not, ours is a ValueError or a result."""
    theirs = reference_of(small.get_vocab())
    compared = 0
    combinations = itertools.product(
        (None, 3, 8, 16), (0, 2, 5), (False, True), ("right", "left"), (None, 8), (TEXTS[:12], SHORT_AND_LONG)
    )
    for max_length, stride, overflow, side, multiple, texts in combinations:
        options = {
            "truncation": truncation,
            "padding": padding,
            "max_length": max_length,
            "stride": stride if overflow else 0,
            "return_overflowing_tokens": overflow,
            "padding_side": side,
            "pad_to_multiple_of": multiple,
            **COLUMNS,
        }
        small.truncation_side = theirs.truncation_side = side
        compared += _compare(small, theirs, texts, options)
    small.truncation_side = "right"
    assert compared >= 50


def _compare(ours: ElectraTokenizer, theirs: Any, texts: Any, options: dict[str, Any]) -> bool:
    if _panics(options):
        return False
    expected = _attempt(lambda: theirs(texts, **options))
    actual = _attempt(lambda: ours(texts, **options))
    if isinstance(expected, Exception):
        assert isinstance(actual, ValueError), (options, expected)
        return False
    if isinstance(actual, ValueError):  # ours refuses where transformers silently stops truncating
        assert options["max_length"] < 3 + options["stride"] + 1, (options, actual)
        return False
    assert_same(actual, expected, options)
    return True


def _panics(options: dict[str, Any]) -> bool:
    """Where a window may come out no longer than the stride, transformers dies with a message from Rust."""
    cuts = options["truncation"] not in (False, None) or (options["padding"] is False and options["truncation"] is None)
    return bool(cuts and options["stride"] and (options["max_length"] or 99) - 3 < 2 * options["stride"] + 8)


def _attempt(call: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except Exception as error:
            return error


def test_model_length_is_the_default_limit(small: ElectraTokenizer) -> None:
    ours = ElectraTokenizer(small.get_vocab(), model_max_length=7)
    theirs = reference_of(small.get_vocab(), model_max_length=7)
    for options in ({"truncation": True}, {"padding": "max_length"}, {"padding": "max_length", "truncation": True}):
        assert_same(ours(TEXTS, verbose=False, **options), theirs(TEXTS, verbose=False, **options))


def test_pad_and_targets(twins: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = twins
    rows = [{**theirs(text, return_special_tokens_mask=True), "labels": [1]} for text in TEXTS[2:6]]
    for options in (
        {},
        {"padding": "max_length", "max_length": 64, "padding_side": "left"},
        {"pad_to_multiple_of": 8},
        {"padding": False},
    ):
        assert dict(ours.pad(rows, **options)) == dict(theirs.pad(rows, **options))
    arrays = [{"input_ids": np.array([1, 2])}, {"input_ids": np.array([1])}]
    assert ours.pad(arrays)["input_ids"].tolist() == theirs.pad(arrays)["input_ids"].tolist()
    assert dict(ours("the", text_target="cat")) == dict(theirs("the", text_target="cat"))
    assert dict(ours(text_target="cat")) == dict(theirs(text_target="cat"))


def test_added_tokens(twins: tuple[ElectraTokenizer, Any]) -> None:
    vocabulary, lower = twins[0].get_vocab(), bool(twins[0].do_lower_case)
    ours, theirs = ElectraTokenizer(vocabulary, do_lower_case=lower), reference_of(vocabulary, do_lower_case=lower)
    for one in (ours, theirs):
        assert one.add_tokens(["Foo", "the"]) == 2 - (one is None)
        assert one.add_special_tokens({"additional_special_tokens": ["<x>"]}) == 1
    text = "FOO Foo foobar the them <x> <X>"
    assert_same(ours(text), theirs(text))
    assert ours.get_added_vocab() == theirs.get_added_vocab()
    assert (len(ours), ours.vocab_size) == (len(theirs), theirs.vocab_size)
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert ours.all_special_ids == theirs.all_special_ids
    assert ours.special_tokens_map == theirs.special_tokens_map
    assert ours.decode(ours(text)["input_ids"], True) == theirs.decode(theirs(text)["input_ids"], True)


def test_the_shipped_vocabulary(shared: Path) -> None:
    path = shared / "data/vocab/vocab.txt"
    ours, theirs = read_vocabulary(path), reference_of(path)
    assert (ours.do_lower_case, len(ours)) == (True, len(theirs))
    for text in TEXTS:
        assert_same(ours(text, **COLUMNS), theirs(text, **COLUMNS), text)
    assert_same(ours(PAIRS, padding=True, **COLUMNS), theirs(PAIRS, padding=True, **COLUMNS))


def test_googles_own_cases(shared: Path) -> None:
    folder = shared / "fixtures/tf1"
    cases = json.loads((folder / "reference/tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = next(folder.rglob("vocab.txt"))
    made: dict[tuple[bool, bool], ElectraTokenizer] = {}
    for case in cases:
        flags = (case["lower"], case["strip_accents"] and case["lower"])  # Google's code strips only when lower-casing
        tokenizer = made.setdefault(flags, ElectraTokenizer(vocabulary, flags[0], strip_accents=flags[1]))
        # that code looks for no special tokens in text
        assert tokenizer.tokenize(case["text"], split_special_tokens=True) == case["tokens"], case
    assert len(cases) > 10
