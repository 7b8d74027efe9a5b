"""Tables as programs write them are read as they were meant, or refused with the line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from electra.files.delimited import read_delimited
from electra.files.encodings import Decoding


def rows(path: Path, content: str, delimiter: str = ",") -> list[dict[str, Any]]:
    path.write_bytes(content.encode())
    return [row.values for row in read_delimited(path, delimiter=delimiter)]


GOOD = [{"text": "a fine film", "label": "pos"}, {"text": "dull, and long", "label": "neg"}]


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ('text,label\na fine film,pos\n"dull, and long",neg\n', ","),
        ("text;label\na fine film;pos\ndull, and long;neg\n", ","),
        ("text\tlabel\na fine film\tpos\ndull, and long\tneg\n", ","),
        ("text|label\na fine film|pos\ndull, and long|neg\n", ","),
        ('text,label\na fine film,pos\n"dull, and long",neg\n', "\t"),
        ('text, label\na fine film, pos\n"dull, and long", neg\n', ","),
        ('label, text\npos, a fine film\nneg, "dull, and long"\n', ","),
        ('label,text\npos, a fine film\nneg, "dull, and long"\n', ","),
        ("'text','label'\n'a fine film','pos'\n'dull, and long','neg'\n", ","),
        ("text,label\na fine film,pos\ndull\\, and long,neg\n", ","),
        ('"text"\t"label"\n"a fine film"\t"pos"\n"dull, and long"\t"neg"\n', "\t"),
        ('text\tlabel\na fine film\tpos\n"dull, and long"\tneg\n', "\t"),
    ],
)
def test_separators_blanks_and_quotes(tmp_path: Path, content: str, delimiter: str) -> None:
    assert [dict(sorted(row.items())) for row in rows(tmp_path / "a", content, delimiter)] == [
        dict(sorted(row.items())) for row in GOOD
    ]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('sentence\tlabel\n"so he said\t1\n', '"so he said'),
        ('sentence\tlabel\n"Hello"\t1\n', '"Hello"'),
        ('sentence\tlabel\n"Hello, you" and "me, too"\t1\n', '"Hello, you" and "me, too"'),
        ('sentence\tlabel\n"say ""hi"""\t1\n', 'say "hi"'),
        ('sentence\tlabel\n"two\nlines"\t1\n', "two\nlines"),
        ("sentence\tlabel\nC:\\new\\\t1\n", "C:\\new\\"),
    ],
)
def test_quotes_in_tabbed_files_are_characters_unless_they_enclose_cells(
    tmp_path: Path, content: str, text: str
) -> None:
    assert rows(tmp_path / "a.tsv", content, "\t") == [{"sentence": text, "label": "1"}]


def test_two_likely_separators_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.csv:1: the columns may be separated by semicolons or vertical bars"):
        rows(tmp_path / "a.csv", "a;b|c\n1;2|3\n")


def test_quotes_that_may_enclose_lines_or_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a\.tsv:1: quotes open on one line and close on another"):
        rows(tmp_path / "a.tsv", 'sentence\tlabel\n"so he\t1\nsaid"\t1\n', "\t")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.text(
    "ab ,;|\t\"'\\\n\r", max_size=8
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    table=st.lists(st.tuples(TEXTS, st.sampled_from(["pos", "neg", "so, so", "1"])), min_size=1, max_size=4),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
    suffix=st.sampled_from(",\t"),
)
def test_what_the_csv_module_writes_is_read_back_equal_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    table: list[tuple[str, str]],
    delimiter: str,
    quoting: Any,
    end: str,
    encoding: str,
    suffix: str,
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("text", "label"), *table])
    path = tmp_path_factory.mktemp("tables") / "table"
    path.write_bytes(file.getvalue().encode(encoding))
    refusal = ""
    try:
        found = [tuple(row.values.values()) for row in read_delimited(path, Decoding(encoding), delimiter=suffix)]
    except ValueError as error:
        refusal = str(error)
    assert f"{path}:" in refusal if refusal else found == table
