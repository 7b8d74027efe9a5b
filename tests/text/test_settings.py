"""What a tokenizer is built from, its settings, and what a call returns by them: as in transformers 5.23."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from electra.text.tokenizer import ElectraTokenizer
from electra.text.tokenizer_folder import CONFIG

from .conftest import reference_of
from .languages import SPECIAL
from .nasty import TEXTS
from .test_parity import assert_same

LONG = "the quick brown fox jumped over the lazy dog"


def test_every_source_gives_the_same(small: ElectraTokenizer, tmp_path: Path) -> None:
    files = {Path(path).name: path for path in small.save_pretrained(tmp_path)}
    for source in (
        {"vocab": files["vocab.txt"]},
        {"vocab": Path(files["vocab.txt"])},
        {"vocab": small.get_vocab()},
        {"vocab": sorted(small.get_vocab(), key=small.get_vocab().__getitem__)},
        {"vocab_file": files["vocab.txt"]},
        {"tokenizer_file": files["tokenizer.json"]},
        {"tokenizer_object": small.backend_tokenizer},
    ):
        assert ElectraTokenizer(**source).fingerprint() == small.fingerprint(), source
    with pytest.raises(ValueError, match="vocab and tokenizer_object are given"):
        ElectraTokenizer(files["vocab.txt"], tokenizer_object=small.backend_tokenizer)
    for older in ("never_split", "do_basic_tokenize"):  # None says nothing; test_fields.py has what they do
        assert ElectraTokenizer(files["vocab.txt"], **{older: None}).fingerprint() == small.fingerprint()


def test_nothing_but_the_special_tokens() -> None:
    ours, theirs = ElectraTokenizer(), reference_of({token: number for number, token in enumerate(SPECIAL)})
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.model_max_length == theirs.model_max_length
    for name in ("padding_side", "truncation_side", "model_input_names", "vocab_files_names", "is_fast", "vocab_size"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("pad_token_type_id", "cls_token_id", "bos_token", "eos_token_id", "clean_up_tokenization_spaces"):
        assert getattr(ours, name) == getattr(theirs, name)
    for name in ("max_len_single_sentence", "max_len_sentences_pair", "split_special_tokens", "name_or_path"):
        assert getattr(ours, name) == getattr(theirs, name)


@pytest.mark.parametrize(
    "settings",
    [
        {"padding_side": "left", "truncation_side": "left", "model_max_length": 9},
        {"model_input_names": ["input_ids", "attention_mask"], "model_max_length": 9},
        {"clean_up_tokenization_spaces": True, "split_special_tokens": True},
        {"tokenize_chinese_chars": False, "strip_accents": False},
        {"strip_accents": True, "do_lower_case": False, "extra_special_tokens": ["<x>"]},
        {"bos_token": "[CLS]", "eos_token": "[SEP]", "mask_token": "the"},
    ],
)
def test_settings(small: ElectraTokenizer, settings: dict[str, Any], tmp_path: Path) -> None:
    ours, theirs = ElectraTokenizer(small.get_vocab(), **settings), reference_of(small.get_vocab(), **settings)
    ours.save_pretrained(tmp_path)
    texts = [*TEXTS, "the <x> café 中文 the . [MASK]"]
    for one in (ours, ElectraTokenizer.from_pretrained(tmp_path)):
        for options in ({"padding": True}, {"padding": "max_length", "truncation": True}):
            assert_same(one(texts, verbose=False, **options), theirs(texts, verbose=False, **options))
        ids = theirs(texts, verbose=False)["input_ids"]
        assert one.batch_decode(ids) == theirs.batch_decode(ids)
        assert one.batch_decode(ids, skip_special_tokens=True) == theirs.batch_decode(ids, skip_special_tokens=True)
        assert one.special_tokens_map == theirs.special_tokens_map
        assert (one.max_len_single_sentence, one.max_len_sentences_pair) == (
            theirs.max_len_single_sentence,
            theirs.max_len_sentences_pair,
        )


def test_columns_that_are_asked_for(twins: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = twins
    for options in (
        {"return_token_type_ids": False},
        {"return_attention_mask": False, "return_length": True},
        {"text_target": "dog", "text_pair_target": "the fox"},
        {"text_target": ["dog"] * 2, "padding": True, "return_tensors": "np"},
    ):
        text = [LONG, "dog"] if isinstance(options.get("text_target"), list) else LONG
        assert_same(ours(text, **options), theirs(text, **options))
        assert_same(ours(text_target=text, return_length=True), theirs(text_target=text, return_length=True))


def test_tokens_and_ids(twins: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = twins
    for tokens in ("the", "no such token", ["the", "[MASK]", "no such token"], []):
        assert ours.convert_tokens_to_ids(tokens) == theirs.convert_tokens_to_ids(tokens)
    for ids in (4, [4, 5, 10**6], []):
        assert ours.convert_ids_to_tokens(ids) == theirs.convert_ids_to_tokens(ids)
    assert ours.convert_ids_to_tokens([2, 5], skip_special_tokens=True) == theirs.convert_ids_to_tokens([2, 5], True)
    assert ours.vocab == theirs.vocab
    assert ours.added_tokens_encoder == theirs.added_tokens_encoder
    assert {number: str(token) for number, token in ours.added_tokens_decoder.items()} == {
        number: str(token) for number, token in theirs.added_tokens_decoder.items()
    }


def test_added_tokens_that_are_special(small: ElectraTokenizer) -> None:
    ours, theirs = ElectraTokenizer(small.get_vocab()), reference_of(small.get_vocab())
    for one in (ours, theirs):
        assert one.add_tokens(["<x>"], special_tokens=True) == 1
        assert one.add_tokens("Plain") == 1
    text = "the <x> plain Plain"
    assert_same(ours(text, return_special_tokens_mask=True), theirs(text, return_special_tokens_mask=True))
    ids = theirs(text)["input_ids"]
    decoded = theirs.decode(ids, skip_special_tokens=True)
    assert ours.decode(ids, skip_special_tokens=True) == decoded
    assert "<x>" not in decoded


def test_a_text_that_is_too_long_is_warned_of_once(small: ElectraTokenizer, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = ElectraTokenizer(small.get_vocab(), model_max_length=4)
    with caplog.at_level(logging.WARNING, "electra"):
        tokenizer(LONG, verbose=False)
        tokenizer("dog")
        assert not caplog.records
        tokenizer(LONG)
        tokenizer(LONG)
    assert [record.getMessage() for record in caplog.records] == [
        "a text has 11 tokens, the model takes 4; pass truncation=True to truncate such texts"
    ]


def test_a_subfolder_and_a_prefix(small: ElectraTokenizer, tmp_path: Path) -> None:
    small.save_pretrained(tmp_path / "inner", legacy_format=True)
    again = ElectraTokenizer.from_pretrained(tmp_path, subfolder="inner", trust_remote_code=True, use_fast=False)
    assert again.fingerprint() == small.fingerprint()
    paths = small.save_pretrained(tmp_path / "named", filename_prefix="my")
    assert all(Path(path).name.startswith("my-") and Path(path).is_file() for path in paths)
    assert json.loads((tmp_path / "named" / f"my-{CONFIG}").read_text())["tokenizer_class"] == "ElectraTokenizer"
