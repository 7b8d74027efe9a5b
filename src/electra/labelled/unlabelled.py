"""Records to predict: words out of tables with one word per row, lists out of cells; labels are not needed"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from electra.files.lines import refuse
from electra.labelled.label_values import split_words
from electra.labelled.records import Record, is_tagged, stream_records
from electra.labelled.word_rows import group_words


def unlabelled_records(
    source: Path,
    *,
    words: bool,
    columns: Mapping[str, str],
    header: Sequence[str] = (),
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """The records of a file, a folder or a pattern, one at a time; tables of words are read whole.

    Args:
        source: of any format that labelled examples have.
        words: whether the task reads lists of words, so that rows of one word each are sentences.
        columns: which columns the user says the parts of an example are in. Words are under this name too.
        header: what the columns of a file are called whose first line does not name any of them.
        encoding: of the text.

    Raises:
        ValueError: see `read_records` and `group_words`.
    """
    records = stream_records(source, header=header, encoding=encoding, columns=columns)
    if not words:
        yield from records
        return
    rows = list(records)
    if not rows:
        raise ValueError(f"{source} holds no examples")
    sentences = group_words(rows, columns, refuse)
    made = sentences[0] is not rows[0] or is_tagged(sentences[0].source) if sentences else False
    name = columns.get("tokens")
    for sentence in sentences:
        if made and name is not None and name not in sentence.values and "tokens" in sentence.values:
            sentence = replace(sentence, values={**sentence.values, name: sentence.values["tokens"]})
        yield sentence


def words_of(value: Any) -> Any:
    """The words of a cell in which blanks separate them; other values as they are."""
    return split_words(value) if isinstance(value, str) else value
