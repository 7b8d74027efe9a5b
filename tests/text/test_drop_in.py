"""Code that was written for transformers' tokenizers, run with ours; and what it gets wrong is named."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, decoders

from electra.text.compat.absent_names import INSTEAD
from electra.text.encode.batch_encoding import BatchEncoding
from electra.text.tokenizer import ElectraTokenizer

from .conftest import reference_of
from .nasty import TEXTS
from .test_parity import assert_same

LONG = "the quick brown fox jumped over the lazy dog"


@pytest.fixture
def pair(small: ElectraTokenizer) -> tuple[ElectraTokenizer, Any]:
    """Ours and transformers', new ones that a test may change."""
    return ElectraTokenizer(small.get_vocab()), reference_of(small.get_vocab())


def test_arguments_by_position(pair: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = pair
    arguments = ([LONG] * 2, ["the dog"] * 2, None, None, False, "max_length", "only_first", 12, 2, False, 4, "left")
    assert_same(ours(*arguments), theirs(*arguments))
    assert ours.encode(LONG, "dog", False) == theirs.encode(LONG, "dog", False)
    assert ours.tokenize(LONG, "dog", True) == theirs.tokenize(LONG, "dog", True)
    positions = (theirs.vocab, True, "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]", False, False)
    assert_same(ElectraTokenizer(*positions)(TEXTS), type(theirs)(*positions)(TEXTS))


def test_tokenizer_kwargs_win(pair: tuple[ElectraTokenizer, Any]) -> None:
    options = {"max_length": 8, "tokenizer_kwargs": {"max_length": 4, "truncation": True, "split_special_tokens": True}}
    encodings = [one("[MASK] " + LONG, "dog", **options) for one in pair]
    assert_same(*encodings)
    assert len(encodings[0]["input_ids"]) == 4
    assert pair[0].mask_token_id not in encodings[0]["input_ids"]
    with pytest.raises(TypeError, match="max_lenght"):
        pair[0](LONG, tokenizer_kwargs={"max_lenght": 3})


def test_enumerations_of_transformers(pair: tuple[ElectraTokenizer, Any]) -> None:
    from transformers import TensorType
    from transformers.tokenization_utils_base import TruncationStrategy
    from transformers.utils import PaddingStrategy

    options = {
        "padding": PaddingStrategy.MAX_LENGTH,
        "truncation": TruncationStrategy.ONLY_FIRST,
        "max_length": 6,
        "return_tensors": TensorType.PYTORCH,
    }
    ours, theirs = (one([LONG, "dog"], **options) for one in pair)
    assert_same(ours, theirs)
    assert isinstance(ours["input_ids"], torch.Tensor)


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_transformers_collators_take_ours(pair: tuple[ElectraTokenizer, Any], kind: str) -> None:
    from transformers import (
        DataCollatorForLanguageModeling,
        DataCollatorForTokenClassification,
        DataCollatorWithPadding,
    )

    rows = [dict(pair[1](text)) for text in (LONG, "the dog")]
    tagged = [{**row, "labels": [1] * len(row["input_ids"])} for row in rows]
    for collator, given in ((DataCollatorWithPadding, rows), (DataCollatorForTokenClassification, tagged)):
        collated, expected = (collator(one, pad_to_multiple_of=8, return_tensors=kind)(given) for one in pair)
        assert {name: column.tolist() for name, column in collated.items()} == {
            name: column.tolist() for name, column in expected.items()
        }
    masked = []
    for one in pair:
        torch.manual_seed(0)
        masked.append(DataCollatorForLanguageModeling(one, mlm_probability=0.5, seed=1, return_tensors=kind)(rows))
    for name in ("input_ids", "labels"):
        assert masked[0][name].tolist() == masked[1][name].tolist()


def test_a_call_leaves_nothing_behind(small: ElectraTokenizer) -> None:
    """A pickle is the key under which `datasets` finds what it has computed before."""
    tokenizer = ElectraTokenizer(small.get_vocab(), model_max_length=4)
    before = pickle.dumps(tokenizer)
    tokenizer(LONG)
    tokenizer(LONG, truncation=True, stride=1, return_overflowing_tokens=True, padding="max_length")
    assert pickle.dumps(tokenizer) == before


def test_special_tokens_without_a_role(pair: tuple[ElectraTokenizer, Any]) -> None:
    for one in pair:
        one.add_special_tokens({"extra_special_tokens": ["<a>", "<b>"]})
        one.add_special_tokens({"extra_special_tokens": ["<c>"]}, replace_extra_special_tokens=False)
    ours, theirs = pair
    assert ours.extra_special_tokens == theirs.extra_special_tokens == ["<a>", "<b>", "<c>"]
    for one in pair:
        one.add_special_tokens({"extra_special_tokens": ["<d>"]})
    assert ours.extra_special_tokens == theirs.extra_special_tokens == ["<d>"]
    ours.add_special_tokens({"additional_special_tokens": ["<e>"]}, replace_additional_special_tokens=False)
    assert ours.additional_special_tokens == ["<d>", "<e>"]
    ours.additional_special_tokens = ["<a>", "dog"]
    assert ours.extra_special_tokens == ["<a>", "dog"]
    assert ours.additional_special_tokens_ids == [ours.get_vocab()["<a>"], ours.get_vocab()["dog"]]
    assert ours.decode(ours("<a> dog fox")["input_ids"], skip_special_tokens=True) == "fox"
    ours.extra_special_tokens = []
    assert ours.additional_special_tokens == []
    with pytest.raises(ValueError, match=r"'<z>', which is not in the vocabulary; add_special_tokens\("):
        ours.extra_special_tokens = ["<z>"]
    ours.mask_token = AddedToken("<b>")
    assert str(ours.special_tokens_map_extended["mask_token"]) == "<b>"


def test_text_of_tokens(pair: tuple[ElectraTokenizer, Any]) -> None:
    ours, theirs = pair
    spaced = "do n't , they 've said : ' no ' . is it ?"
    assert ours.clean_up_tokenization(spaced) == theirs.clean_up_tokenization(spaced)
    tokens = ["word", "##s", ",", "word", "[SEP]"]
    assert ours.convert_tokens_to_string(tokens) == theirs.convert_tokens_to_string(tokens)
    assert isinstance(ours.decoder, decoders.WordPiece)
    ids = theirs(["the dog", "dog"], padding=True, return_tensors="pt")["input_ids"]
    for given in (ids, ids.numpy(), ids.tolist(), ids[0], ids[0, 1], int(ids[0, 1]), np.int64(ids[0, 1])):
        assert ours.decode(given) == theirs.decode(given)
        assert np.ndim(given) == 0 or ours.batch_decode(given) == theirs.batch_decode(given)


def test_a_chat_is_no_text(pair: tuple[ElectraTokenizer, Any]) -> None:
    chat = [{"role": "user", "content": "Hello"}]
    for one in pair:
        assert one.chat_template is None
        for call in (one.get_chat_template, lambda one=one: one.apply_chat_template(chat, tokenize=False)):
            with pytest.raises(ValueError, match="chat template"):
                call()


@pytest.mark.parametrize("name", INSTEAD)
def test_names_that_are_left_out_say_what_to_use(small: ElectraTokenizer, name: str) -> None:
    assert not hasattr(small, name)
    with pytest.raises(AttributeError, match=f"'ElectraTokenizer' has no attribute '{name}': "):
        getattr(small, name)


def test_a_misspelt_name(small: ElectraTokenizer) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'pad_tokn'$"):
        small.pad_tokn  # noqa: B018


@pytest.mark.parametrize("value", [-1, 2.5, float("inf"), "8"])
@pytest.mark.parametrize("option", ["max_length", "pad_to_multiple_of", "stride"])
def test_numbers_of_tokens_are_whole(small: ElectraTokenizer, option: str, value: Any) -> None:
    options = {"truncation": True, "padding": True, "max_length": 8, "return_overflowing_tokens": True, option: value}
    with pytest.raises(ValueError, match=f"{option} is {value!r}: it must be a whole number of tokens"):
        small(LONG, **options)
    if option != "stride":
        with pytest.raises(ValueError, match=f"{option} is {value!r}: it must be a whole number of tokens"):
            small.pad({"input_ids": [1]}, **{"padding": "max_length", option: value})


def test_the_models_length_is_whole(small: ElectraTokenizer) -> None:
    tokenizer = ElectraTokenizer(small.get_vocab(), model_max_length=1e30)
    assert len(tokenizer(LONG, truncation=True)["input_ids"]) == 11
    tokenizer.model_max_length = "9"
    with pytest.raises(ValueError, match="model_max_length is '9': it must be a whole number of tokens"):
        tokenizer(LONG, truncation=True)


def test_numbers_of_numpy_are_numbers(pair: tuple[ElectraTokenizer, Any]) -> None:
    options = {"truncation": True, "max_length": np.int64(5), "padding": True, "pad_to_multiple_of": np.int32(5)}
    assert dict(pair[0](["the dog"], **options)) == dict(pair[1](["the dog"], truncation=True, max_length=5)) | {
        name: [[*row, *[0] * (5 - len(row))]]
        for name, (row,) in pair[1](["the dog"], truncation=True, max_length=5).items()
    }


def test_rows_and_places_that_are_not_there(small: ElectraTokenizer) -> None:
    encoded = small(["the dog"])
    for call in (encoded.tokens, encoded.word_ids, encoded.sequence_ids):
        with pytest.raises(IndexError, match="there is no row 1; there are 1"):
            call(1)
    for call in (encoded.char_to_token, encoded.char_to_word, encoded.word_to_tokens, encoded.word_to_chars):
        with pytest.raises(ValueError, match="counted from 0; -1 is not allowed"):
            call(0, -1)
    with pytest.raises(ValueError, match="no word 7"):
        encoded.word_to_chars(0, 7)


def test_ids_that_cannot_be_a_row(small: ElectraTokenizer) -> None:
    ids = small.encode(LONG, add_special_tokens=False)
    for options, message in (
        ({"truncation": "only_second", "max_length": 4}, "cannot be cut from 9 with 'only_second'.*longest_first"),
        (
            {"pair_ids": ids, "truncation": "only_first", "max_length": 5},
            "cannot be cut from 9 and 9 with 'only_first'",
        ),
        (
            {"truncation": True, "max_length": 1},
            "10 tokens cannot be cut from 9 with 'longest_first'; raise max_length",
        ),
        ({"pair_ids": ids, "truncation": True, "max_length": 2}, "19 tokens cannot be cut from 9 and 9"),
        ({"truncation": "longest"}, "Did you mean longest_first"),
        ({"return_overflowing_tokens": True}, "needs truncation and a max_length"),
        ({"padding": "max_len"}, "Did you mean max_length"),
    ):
        with pytest.raises(ValueError, match=message):
            small.prepare_for_model(ids, **options)
    with pytest.raises(ValueError, match=r"truncation_strategy is 'x': choose one of"):
        small.truncate_sequences(ids, num_tokens_to_remove=1, truncation_strategy="x")


def test_rows_of_ids_are_those_of_texts(small: ElectraTokenizer) -> None:
    """4.57's own answers: tests/interop."""
    first, second = (small.encode(text, add_special_tokens=False) for text in (LONG, "the dog"))
    for options in ({}, {"max_length": 7, "truncation": True}, {"padding": "max_length", "max_length": 30}):
        for pair in ((LONG,), (LONG, "the dog")):
            ids = (first, second)[: len(pair)]
            prepared = small.prepare_for_model(*ids, return_special_tokens_mask=True, **options)
            called = small(*pair, return_special_tokens_mask=True, **options)
            assert isinstance(prepared, BatchEncoding)
            assert {**prepared} == {**called}
    tensors = small.prepare_for_model(first, return_tensors="pt", prepend_batch_axis=True)
    assert tensors["input_ids"].tolist() == [small.encode(LONG)]


def test_lists_that_are_none(small: ElectraTokenizer) -> None:
    for call in (
        lambda: small.convert_tokens_to_ids(None),
        lambda: small.convert_ids_to_tokens(None),
        lambda: small.convert_tokens_to_string("the"),
        lambda: small.add_tokens(5),
    ):
        with pytest.raises(ValueError, match="it must be a list"):
            call()
