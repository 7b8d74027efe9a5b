"""Where transformers 5.23 goes wrong without a word, and what happens here. Both sides are run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from electra.text.tokenizer import ElectraTokenizer
from electra.text.tokenizer_folder import CONFIG, SPECIAL_TOKENS, VOCABULARY

from .conftest import reference_of
from .languages import LANGUAGES, SPECIAL
from .test_both_ways import theirs_of

LONG = "the quick brown fox jumped over the lazy dog"


@pytest.fixture
def theirs(small: ElectraTokenizer) -> Any:
    return reference_of(small.get_vocab())


def test_vocab_file_is_read(small: ElectraTokenizer, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    (path,) = small.save_vocabulary(tmp_path)
    assert len(BertTokenizer(vocab_file=path)) == len(SPECIAL)
    assert len(ElectraTokenizer(vocab_file=path)) == len(small)


def test_a_folder_without_a_vocabulary_is_an_error(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text('{"tokenizer_class": "ElectraTokenizer"}')
    assert len(theirs_of(tmp_path)) == len(SPECIAL)
    with pytest.raises(OSError, match="has no vocabulary"):
        ElectraTokenizer.from_pretrained(tmp_path)


def test_a_stride_as_long_as_a_window_of_a_pair(small: ElectraTokenizer, theirs: Any) -> None:
    """transformers issues 18411 and 23847: the Rust library panics, which `except Exception` does not see."""
    options = {"truncation": True, "max_length": 10, "stride": 6, "return_overflowing_tokens": True}
    with pytest.raises(BaseException, match="must be strictly less than") as error:
        theirs(LONG, LONG, **options)
    assert not isinstance(error.value, Exception)
    assert max(map(len, small(LONG, LONG, **options)["input_ids"])) == 10


def test_a_window_is_never_longer_than_max_length(small: ElectraTokenizer, theirs: Any) -> None:
    options = {"truncation": True, "max_length": 4, "return_overflowing_tokens": True}
    assert max(map(len, theirs(LONG, LONG, **options)["input_ids"])) > 4
    with pytest.raises(ValueError, match=r"must be at least 5, to leave .* a token of each text"):
        small(LONG, LONG, **options)


def test_a_max_length_below_the_special_tokens(small: ElectraTokenizer, theirs: Any) -> None:
    assert len(theirs(LONG, truncation=True, max_length=1)["input_ids"]) > 2
    with pytest.raises(ValueError, match=r"max_length is 1: it must be at least 2, .* the 2 special tokens"):
        small(LONG, truncation=True, max_length=1)


def test_no_texts(small: ElectraTokenizer, theirs: Any) -> None:
    with pytest.raises(IndexError):
        theirs([])
    assert small([])["input_ids"] == []
    assert small([], return_tensors="pt")["input_ids"].shape[0] == 0


def test_a_cased_tokenizer_json_without_flags(tmp_path: Path) -> None:
    cased = LANGUAGES["cased"].build()
    cased.save_pretrained(tmp_path)
    (tmp_path / CONFIG).write_text('{"tokenizer_class": "ElectraTokenizer"}')
    expected = cased("Hello Übergröße")["input_ids"]
    assert theirs_of(tmp_path)("Hello Übergröße")["input_ids"] != expected
    assert ElectraTokenizer.from_pretrained(tmp_path)("Hello Übergröße")["input_ids"] == expected


def test_the_vocabulary_is_saved_as_text(small: ElectraTokenizer, theirs: Any, tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        theirs.save_vocabulary(str(tmp_path))
    theirs.save_pretrained(tmp_path / "theirs")
    assert not (tmp_path / "theirs" / VOCABULARY).exists()
    small.save_pretrained(tmp_path / "ours")
    lines = (tmp_path / "ours" / VOCABULARY).read_text(encoding="utf-8").splitlines()
    assert {token: number for number, token in enumerate(lines)} == small.get_vocab()
    assert json.loads((tmp_path / "ours" / SPECIAL_TOKENS).read_text()) == small.special_tokens_map


@pytest.mark.parametrize(
    "name",
    [
        "encode_plus",
        "batch_encode_plus",
        "build_inputs_with_special_tokens",
        "create_token_type_ids_from_sequences",
        "prepare_for_model",
        "truncate_sequences",
        "additional_special_tokens_ids",
        "special_tokens_map_extended",
        "all_special_tokens_extended",
    ],
)
def test_names_of_before_version_5(small: ElectraTokenizer, theirs: Any, name: str) -> None:
    """What they return is compared with 4.57 in tests/interop."""
    assert not hasattr(theirs, name)
    assert hasattr(small, name)


def test_accents_of_a_vocabulary_that_has_them(tmp_path: Path) -> None:
    """Lower-casing strips accents by default, here as there; a vocabulary with accents alone says otherwise here."""
    tokens = [*SPECIAL, "mochte", "möchte"]
    assert ElectraTokenizer(tokens).tokenize("Möchte") == ["mochte"]
    (tmp_path / VOCABULARY).write_text("\n".join(tokens), encoding="utf-8")
    assert theirs_of(tmp_path).tokenize("Möchte") == ["mochte"]
    assert ElectraTokenizer.from_pretrained(tmp_path).tokenize("Möchte") == ["möchte"]


def test_decomposed_accents(tmp_path: Path) -> None:
    """[UNK] by default, as there; `compose_accents` finds the word, and saved so that transformers finds it too."""
    tokens = [*SPECIAL, "Möchte"]
    decomposed = "Mo\u0308chte"
    assert reference_of(dict(zip(tokens, range(6), strict=True)), do_lower_case=False).tokenize(decomposed) == ["[UNK]"]
    assert ElectraTokenizer(tokens, do_lower_case=False).tokenize(decomposed) == ["[UNK]"]
    composed = ElectraTokenizer(tokens, do_lower_case=False, compose_accents=True)
    assert composed.tokenize(decomposed) == ["Möchte"]
    composed.save_pretrained(tmp_path)
    assert theirs_of(tmp_path).tokenize(decomposed) == ["Möchte"]


def test_options_that_do_not_exist(small: ElectraTokenizer, theirs: Any) -> None:
    assert len(theirs(LONG, trunctation=True, maxlength=3)["input_ids"]) > 3
    with pytest.raises(TypeError, match="trunctation"):
        small(LONG, trunctation=True)
