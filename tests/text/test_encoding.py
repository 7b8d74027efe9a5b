from __future__ import annotations

import copy
import pickle

import pytest
import torch

from electra.text.encode.batch_encoding import BatchEncoding, CharSpan, TokenSpan
from electra.text.tokenizer import ElectraTokenizer

TEXT, SECOND = "Hello, lazy foxes", "the dog"


@pytest.fixture
def encoded(small: ElectraTokenizer) -> BatchEncoding:
    return small(TEXT, SECOND)


def test_the_way_back_to_characters_and_words(encoded: BatchEncoding) -> None:
    tokens = encoded.tokens()
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    assert encoded.n_sequences == 2
    assert encoded.is_fast
    lazy = TEXT.index("lazy")
    word = encoded.char_to_word(lazy)
    assert word == 2
    assert encoded.word_to_chars(word) == CharSpan(lazy, lazy + 4)
    first, last = encoded.word_to_tokens(word) or (0, 0)
    assert "".join(tokens[first:last]).replace("##", "") == "lazy"
    assert encoded.char_to_token(lazy) == first
    assert encoded.token_to_word(first) == word
    assert encoded.token_to_chars(first).start == lazy
    dog = SECOND.index("dog")
    at = encoded.char_to_token(0, dog, sequence_index=1)
    assert encoded.token_to_sequence(at) == encoded.sequence_ids()[at] == 1
    assert encoded.word_to_tokens(0, 1, sequence_index=1).start == at
    assert encoded.token_to_chars(-1) is None
    assert encoded.token_to_word(0, -1) is None
    assert encoded.char_to_token(TEXT.index(" ")) is None
    assert isinstance(encoded.word_to_tokens(0), TokenSpan)
    assert encoded.word_to_tokens(99) is None
    assert encoded.words() == encoded.word_ids()
    assert encoded.word_ids()[0] is None


def test_columns_as_keys_and_attributes(small: ElectraTokenizer, encoded: BatchEncoding) -> None:
    assert encoded.input_ids == encoded["input_ids"] == encoded[0].ids
    assert {**encoded} == dict(encoded)
    with pytest.raises(AttributeError, match="input_ids, token_type_ids"):
        _ = encoded.labels
    rows = BatchEncoding({"input_ids": [[1], [2], [3]]})
    assert rows[1:] == {"input_ids": [[2], [3]]}
    with pytest.raises(KeyError, match="slice"):
        rows[0]
    with pytest.raises(ValueError, match="just encoded"):
        rows.tokens()
    assert BatchEncoding({"input_ids": [1, 2]}, tensor_type="pt", prepend_batch_axis=True).input_ids.shape == (1, 2)


def test_copies_and_pickles(encoded: BatchEncoding) -> None:
    for twin in (pickle.loads(pickle.dumps(encoded)), copy.deepcopy(encoded), copy.copy(encoded)):
        assert dict(twin) == dict(encoded)
        assert twin.tokens() == encoded.tokens()
        assert twin.n_sequences == 2


def test_tensors_move(small: ElectraTokenizer) -> None:
    batch = small([TEXT, SECOND], padding=True, return_tensors="pt")
    batch["names"] = ["one", "two"]
    moved = batch.to("meta")
    assert moved is batch
    assert moved.input_ids.device.type == "meta"
    assert moved["names"] == ["one", "two"]
    assert small([], return_tensors="pt").input_ids.dtype == torch.int64


def test_rows_of_different_lengths_are_no_tensor(small: ElectraTokenizer) -> None:
    with pytest.raises(ValueError, match=r"'input_ids' have 3 to 4 items .*padding=True"):
        small(["the", "the dog"], return_tensors="pt")
    with pytest.raises(ValueError, match=r"return_tensors is 'tf': choose one of 'pt', 'np'"):
        small(["the"], return_tensors="tf")
