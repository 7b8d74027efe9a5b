"""Any CSV that pandas writes from a frame of texts and classes is read back equal, or refused with its name."""

from __future__ import annotations

import csv
from typing import Any

import pandas
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from electra.labelled.labelled_examples import read_labelled

CLASSES = ["pos", "neg", "so so", "42"]
LETTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\0")
TEXTS = st.text(LETTERS, min_size=1, max_size=12) | st.text("ab ,;|\t\"'\\\n", min_size=1, max_size=8)


# the same examples every time: other seeds are for a person at the keyboard, not for a change that has to go in
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(TEXTS.filter(lambda text: bool(text.strip())), st.sampled_from(CLASSES)), min_size=1, max_size=4
    ),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252", "gb18030"]),
    suffix=st.sampled_from([".csv", ".tsv"]),
    index=st.booleans(),
)
def test_what_pandas_writes_is_read_back_equal_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    separator: str,
    quoting: Any,
    end: str,
    encoding: str,
    suffix: str,
    index: bool,
) -> None:
    # without quoting, a text of quotes may be written as a valid table of other rows: nobody can tell which was meant
    assume(quoting != csv.QUOTE_NONE or not any('"' in text for text, _ in rows))
    path = tmp_path_factory.mktemp("tables") / f"table{suffix}"
    frame = pandas.DataFrame(rows, columns=["text", "label"])
    options: dict[str, Any] = {"lineterminator": end, "encoding": encoding, "index": index}
    try:
        frame.to_csv(path, sep=separator, quoting=quoting, **options)
    except (csv.Error, UnicodeEncodeError):
        return  # pandas cannot write it so
    refusal = ""
    try:
        found = read_labelled(path, encoding=encoding).examples
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert str(path) in refusal
    else:
        assert [(example["text"], example["label"]) for example in found] == rows
