"""The sentences of Python's own documentation: prose, each once, and nothing imported to read them."""

from __future__ import annotations

import sys

import pytest

from electra.data.corpus.python_docs import Source, gather, sentences


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return gather()


def test_the_text_is_prose_and_comes_once(sources: list[Source]) -> None:
    every = [sentence for source in sources for sentence in source.sentences]
    assert len(every) == len(set(every)) > 5000
    assert sum(len(sentence) for sentence in every) > 500_000
    assert not [sentence for sentence in every if ">>>" in sentence or "``" in sentence or ":func:" in sentence]
    assert {"asyncio/tasks.py", "argparse.py", "assert"} <= {source.name for source in sources}


def test_nothing_is_imported_to_read_it(sources: list[Source]) -> None:
    assert not {"this", "antigravity", "idlelib.idle", "turtle"} & set(sys.modules)


def test_sentences_leave_out_code_and_markup() -> None:
    text = """Return the sum of `a` and ``b``, as :func:`math.fsum` does.  It is *never* wrong,
    whatever the ``order'' of them is.

    >>> add(1, 2)
    3

    no capital at the beginning of this one here.

    Arguments:
    -- a the first
    """
    assert list(sentences(text)) == [
        "Return the sum of a and b, as math.fsum does.",
        "It is never wrong, whatever the 'order' of them is.",
    ]
