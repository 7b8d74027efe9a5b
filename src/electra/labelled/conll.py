"""CoNLL files -> sentences of words and tags: a word to a line, its columns apart, a blank line after a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from electra.files.lines import Line, Refuse, Row
from electra.metrics.tag_schemes import recognise_scheme

SUFFIXES = (".conll", ".bio", ".iob", ".bioes", ".train", ".testa", ".testb")
"""The last three as in eng.train of CoNLL-2003."""
DOCUMENT = "-DOCSTART-"
"""What stands in place of a word where a document begins."""
COMMENT = "# id "
"""How a line begins that names a sentence, as in MultiCoNER's files."""


def sentences(path: Path, lines: Iterable[Line], refuse_row: Refuse) -> Iterator[Row]:
    """Each sentence's first line, and its `tokens` and `tags`: the first and the last column.

    Columns are separated by tabs, or else by white space. Tags of entities become IOB2, whichever of IOB1, IOB2, BIOES
    and BILOU they are in.
    """
    words: list[list[str]] = []
    complaint, begins_at = "", 0
    for number, line, _ in chain(lines, [Line(0, "")]):  # a blank line ends the last sentence
        if line.startswith(COMMENT):
            continue
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if any(fields) and fields[0] != DOCUMENT:
            begins_at = begins_at if words else number
            words.append(fields)
            wrong = _wrong(fields, words[0])
            complaint = complaint or (f"{path}:{number}: {wrong}" if wrong else "")
        elif words:
            if complaint:
                refuse_row(complaint)
            else:
                yield Row(begins_at, {"tokens": [word for word, *_ in words], "tags": iob2([tag for *_, tag in words])})
            words, complaint = [], ""


def _wrong(fields: Sequence[str], first: Sequence[str]) -> str:
    if len(fields) < 2:
        return f"{len(fields)} column, where a word and its tag are needed"
    if len(fields) != len(first):
        return f"{len(fields)} columns, the sentence's first line has {len(first)}"
    return ""


def iob2(tags: Sequence[str]) -> list[str]:
    """Tags in which every entity begins with B- and continues with I-, from any scheme that is recognised.

    Where something is no such tag (parts of speech), all are returned as they are.
    """
    scheme = recognise_scheme(set(tags))
    return list(tags) if scheme is None else scheme.to_iob2(tags)
