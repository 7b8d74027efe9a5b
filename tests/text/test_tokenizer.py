"""What transformers gets wrong, and what users get wrong."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from electra.text.encode.row_encoding import kept_lengths
from electra.text.tokenizer import ElectraTokenizer, ElectraTokenizerFast

LONG = "the quick brown fox jumped over the lazy dog"


def test_a_vocabulary_file_is_read(tmp_path: Path, small: ElectraTokenizer) -> None:
    (path,) = small.save_vocabulary(tmp_path)
    by_keyword, by_position = ElectraTokenizer(vocab_file=path), ElectraTokenizerFast(path)
    assert by_keyword.get_vocab() == by_position.get_vocab() == small.get_vocab()
    assert by_keyword.fingerprint() == small.fingerprint()
    assert ElectraTokenizer(small.get_vocab(), do_lower_case=False).fingerprint() != small.fingerprint()
    with pytest.raises(ValueError, match=r"vocab and vocab_file are given, .* give one of them"):
        ElectraTokenizer(path, vocab_file=path)
    with pytest.raises(ValueError, match="'a' is already on line 1"):
        ElectraTokenizer(["a", "b", "a"])
    with pytest.raises(ValueError, match="no token has the id 1; 2 tokens need the ids 0 to 1"):
        ElectraTokenizer({"a": 0, "b": 2})
    with pytest.raises(FileNotFoundError, match=r"nowhere.txt"):
        ElectraTokenizer(tmp_path / "nowhere.txt")


def test_no_texts_are_no_rows(small: ElectraTokenizer) -> None:
    assert dict(small([])) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    empty = small([], padding=True, truncation=True, max_length=4, return_overflowing_tokens=True, return_tensors="np")
    assert empty["input_ids"].size == empty["overflow_to_sample_mapping"].size == 0
    assert dict(small.pad({"input_ids": []}))["input_ids"] == []


@pytest.mark.parametrize("truncation", ["longest_first", "only_first", "only_second"])
def test_a_stride_longer_than_a_window_of_a_pair_does_not_panic(small: ElectraTokenizer, truncation: str) -> None:
    """transformers issues 18411, 23847: the overlap shrinks to what fits, in that row only."""
    short = "the dog"
    cut = (LONG, short) if truncation == "only_first" else (short, LONG)
    cut = (LONG, LONG) if truncation == "longest_first" else cut
    rows = [cut, ("the", "dog"), cut]
    encoded = small(rows, truncation=truncation, max_length=10, stride=6, return_overflowing_tokens=True)
    samples = encoded["overflow_to_sample_mapping"]
    assert samples == sorted(samples)
    assert samples.count(1) == 1
    assert samples.count(0) > 1
    assert all(len(row) <= 10 for row in encoded["input_ids"])
    covered = {
        (encoded.sequence_ids(number)[at], span)
        for number, sample in enumerate(samples)
        for at, span in enumerate(encoded.encodings[number].offsets)
        if sample == 0 and encoded.sequence_ids(number)[at] is not None
    }
    whole = small(*rows[0])
    everything = {(sequence, span) for sequence, span in zip(whole.sequence_ids(), whole[0].offsets, strict=True)}
    assert covered == {item for item in everything if item[0] is not None}
    without_windows = small(rows, truncation=truncation, max_length=10, stride=6)
    assert len(without_windows["input_ids"]) == 3
    windows = list(zip(samples, encoded["input_ids"], strict=True))
    assert [ids for sample, ids in windows if sample == 0] == [ids for sample, ids in windows if sample == 2]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(first=st.integers(0, 30), second=st.integers(0, 30), room=st.integers(0, 40))
def test_kept_lengths_are_the_librarys(first: int, second: int, room: int) -> None:
    backend = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.enable_truncation(room, strategy="longest_first")
    sequences = backend.encode("a " * first, "a " * second).sequence_ids
    assert kept_lengths(first, second, room) == (sequences.count(0), sequences.count(1))


def test_stride_and_length_without_room(small: ElectraTokenizer) -> None:
    for pair, least in ((None, 2), (LONG, 3)):
        with pytest.raises(
            ValueError, match=f"max_length is {least - 1}: it must be at least {least}, .* the {least} special tokens"
        ):
            small(LONG, pair, truncation=True, max_length=least - 1)
        assert len(small(LONG, pair, truncation=True, max_length=least)["input_ids"]) == least
        with pytest.raises(ValueError, match=r"it must be at least .* and a token of (each )?text"):
            small(LONG, pair, truncation=True, max_length=least, return_overflowing_tokens=True)
    with pytest.raises(ValueError, match="stride is 3: it must be at least 0 and below 3"):
        small(LONG, truncation=True, max_length=5, stride=3, return_overflowing_tokens=True)
    with pytest.raises(ValueError, match=r"row 1 \(\d+ and 1 tokens\) is .* too long for .*longest_first"):
        small([("a", "b"), (LONG, "the")], truncation="only_second", max_length=6)
    with pytest.raises(ValueError, match=r"row 0 .*only_second"):
        small(LONG, truncation="only_second", max_length=6)
    with pytest.raises(ValueError, match=r"max_length is 5: .* a multiple of pad_to_multiple_of=8.*max_length=8"):
        small(LONG, truncation=True, padding=True, max_length=5, pad_to_multiple_of=8)
    with pytest.warns(UserWarning, match="max_length=5 has no effect") as warned:
        small(LONG, padding=True, max_length=5)
    assert warned[0].filename == __file__, "it names the line that calls"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((5,), {}, r"text is 5 \(int\); it must be a string"),
        ((b"bytes",), {}, r"text is b'bytes' \(bytes\)"),
        ((["a", None],), {}, r"text\[1\] is None"),
        ((["a", ["b", 3]],), {}, r"text\[1\] is a list of 2 \(int, str\)"),
        ((["a", "b"], "c"), {}, "batch of 2, so text_pair must be a list of as many; it is 'c'"),
        ((["a", "b"], ["c"]), {}, "it is 1 of them"),
        (("a", ["b"]), {}, "text is a tuple of 2"),
        (("a b",), {"is_split_into_words": True}, "is_split_into_words=True it must be a list of words"),
        (([["a", 3]],), {"is_split_into_words": True}, r"text\[0\]"),
        ((["fine", "half \ud83d"],), {}, "row 1, character 5: .* lone surrogate"),
        (({"a": 1},), {}, "call list"),
        ((), {}, "nothing to encode"),
        (("a",), {"truncation": "longest"}, r"truncation is 'longest': .*Did you mean longest_first\?"),
        (("a",), {"padding": "max_len"}, r"padding is 'max_len': .*Did you mean max_length\?"),
        (("a",), {"padding_side": "rigth"}, r"Did you mean right\?"),
        (("a",), {"return_tensors": "tp"}, "return_tensors is 'tp': choose one of"),
    ],
)
def test_wrong_input_is_named(small: ElectraTokenizer, arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(*arguments, **options)


def test_wrong_ids_and_tokens_are_refused(small: ElectraTokenizer) -> None:
    for call in (
        lambda: small.decode([-1]),
        lambda: small.decode(["the"]),
        lambda: small.convert_ids_to_tokens(-1),
        lambda: small.convert_tokens_to_ids(["the", None]),
        lambda: small.add_tokens([""]),
        lambda: small.add_special_tokens({"mask": "<m>"}),
        lambda: small.pad([{"ids": [1]}]),
        lambda: small.pad([{"input_ids": [1]}, {"input_ids": [1], "labels": [0]}]),
        lambda: setattr(small, "pad_token", "<nowhere>"),
        lambda: small.get_special_tokens_mask([1], [2], already_has_special_tokens=True),
    ):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(TypeError, match="trunctation"):
        small("a", trunctation=True)


def test_special_tokens_have_roles(small: ElectraTokenizer) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"]
    with pytest.raises(ValueError, match=r"no \[MASK\] \(mask_token\)"):
        ElectraTokenizer(tokens)
    without = ElectraTokenizer(tokens, mask_token=None)
    assert without.mask_token is without.mask_token_id is None
    assert without("a")["input_ids"] == [2, 4, 3]
    assert without.add_special_tokens({"mask_token": "<m>", "cls_token": "<c>"}) == 2
    assert without.mask_token_id == 5
    assert without("a <m>").tokens() == ["<c>", "a", "<m>", "[SEP]"]
    bare = ElectraTokenizer(["[UNK]", "a"], sep_token=None, pad_token=None, cls_token=None, mask_token=None)
    assert bare("a a")["input_ids"] == [1, 1]
    with pytest.raises(ValueError, match="no token to pad with"):
        bare(["a", "a a"], padding=True)
    bare.pad_token_id = 0
    assert bare(["a", "a a"], padding=True)["input_ids"] == [[1, 0], [1, 1]]


def test_names_from_before_version_5(small: ElectraTokenizer) -> None:
    ids = small.encode(LONG, add_special_tokens=False)
    assert small.build_inputs_with_special_tokens(ids) == small.encode(LONG)
    pair = small.encode_plus(LONG, "the dog", return_special_tokens_mask=True)
    second = small.encode("the dog", add_special_tokens=False)
    assert small.build_inputs_with_special_tokens(ids, second) == pair["input_ids"]
    assert small.create_token_type_ids_from_sequences(ids, second) == pair["token_type_ids"]
    assert small.get_special_tokens_mask(ids, second) == pair["special_tokens_mask"]
    assert (
        small.get_special_tokens_mask(pair["input_ids"], already_has_special_tokens=True) == pair["special_tokens_mask"]
    )
    assert dict(small.batch_encode_plus([LONG])) == dict(small([LONG]))


def test_composed_accents_are_an_option() -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "café"]
    assert ElectraTokenizer(tokens, False).tokenize("cafe\u0301") == ["[UNK]"]  # as BERT does it
    composed = ElectraTokenizer(tokens, False, compose_accents=True)
    encoded = composed("cafe\u0301", return_offsets_mapping=True)
    assert encoded.tokens()[1] == "café"
    assert encoded["offset_mapping"][1] == (0, 4)  # the library counts the accent to nothing


def test_copies_and_threads(small: ElectraTokenizer) -> None:
    for twin in (pickle.loads(pickle.dumps(small)), copy.deepcopy(small)):
        assert twin.fingerprint() == small.fingerprint()
        assert twin(LONG)["input_ids"] == small(LONG)["input_ids"]

    def length(limit: int) -> bool:
        return len(small([LONG] * 20, truncation=True, max_length=limit)["input_ids"][-1]) == limit

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(length, [3, 4, 5, 6, 7] * 40))
    assert small.backend_tokenizer.truncation is None
    assert small.backend_tokenizer.padding is None


def test_pytorch_is_not_imported() -> None:
    code = """
import sys
from electra.text.tokenizer import ElectraTokenizer
ElectraTokenizer()("a", return_tensors="np")
ElectraTokenizer().decode([1])
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
