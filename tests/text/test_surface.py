"""Everything that transformers' tokenizer has is here, under its name, or its absence has a reason."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from electra.text.encode.batch_encoding import BatchEncoding
from electra.text.tokenizer import ElectraTokenizer

from .surface import DESCRIBE, left_out


@pytest.fixture(scope="module")
def describe() -> Any:
    names: dict[str, Any] = {}
    exec(DESCRIBE, names)
    return names["describe"]


def test_every_name_and_parameter(twins: tuple[ElectraTokenizer, Any], describe: Any) -> None:
    ours, theirs = twins
    surface = describe(theirs)
    assert {"apply_chat_template", "train_new_from_iterator", "convert_tokens_to_ids"} <= surface.keys()
    assert left_out(surface, ours) == []
    theirs_call, ours_call = (set(inspect.signature(type(one).__call__).parameters) for one in twins[::-1])
    assert len(theirs_call) == 23
    assert theirs_call - ours_call == {"kwargs"}


def test_every_name_of_what_it_returns(twins: tuple[ElectraTokenizer, Any], describe: Any) -> None:
    ours, theirs = twins
    assert isinstance(ours("a"), BatchEncoding)
    assert left_out(describe(theirs("a")), ours("a")) == []
