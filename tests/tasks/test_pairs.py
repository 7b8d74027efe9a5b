"""Two texts as one row: what the tokenizer makes of a pair, from the tokens of each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import electra
from electra.tasks.inputs.pairs import join, token_ids, truncate_pair
from tests.tasks.tiny import VOCABULARY

VOCAB = {token: i for i, token in enumerate(VOCABULARY)}
TOKENIZERS = {side: electra.ElectraTokenizer(vocab=VOCAB, truncation_side=side) for side in ("left", "right")}
WORDS = st.lists(st.sampled_from(["the", "cat", "bigger", "Zürich", "日本", "[SEP]", "don't"]), max_size=12).map(
    " ".join
)


@settings(deadline=None)
@given(
    WORDS,
    WORDS,
    st.integers(4, 40),
    st.sampled_from(["only_first", "only_second", "longest_first"]),
    st.sampled_from(sorted(TOKENIZERS)),
)
def test_a_row_equals_the_tokenizers_pair(first: str, second: str, length: int, truncation: str, side: str) -> None:
    tokenizer = TOKENIZERS[side]
    ids = token_ids([first, second], tokenizer)
    try:
        expected: Any = tokenizer([first], [second], truncation=truncation, max_length=length)
    except ValueError:
        with pytest.raises(
            ValueError, match=f"have {len(ids[0])} and {len(ids[1])} tokens, and a row has room for {length - 3}"
        ):
            truncate_pair(*ids, length, truncation, side)
        return
    row = join(*truncate_pair(*ids, length, truncation, side), tokenizer)
    assert row.input_ids == expected["input_ids"][0]
    assert row.token_type_ids == expected["token_type_ids"][0]
