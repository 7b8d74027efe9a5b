"""CoNLL files, and the schemes in which they tag entities."""

from __future__ import annotations

from pathlib import Path

from electra.labelled.records import read_records


def test_first_and_last_column_of_sentences_between_blank_lines(tmp_path: Path) -> None:
    path = tmp_path / "eng.train"
    path.write_text("-DOCSTART- -X- O O\n\nI-95 NNP I-NP I-LOC\nis VBZ I-VP O\n\n \nAnn\tNNP\tI-NP\tI-PER\n")
    records = read_records(path)
    assert [record.values for record in records] == [
        {"tokens": ["I-95", "is"], "tags": ["B-LOC", "O"]},
        {"tokens": ["Ann"], "tags": ["B-PER"]},
    ]
    assert [record.line for record in records] == [3, 7]


def test_the_name_of_a_sentence_is_no_word(tmp_path: Path) -> None:
    """MultiCoNER's files have as many columns in it as in a word's line; a word that is # stays one."""
    path = tmp_path / "a.conll"
    path.write_text("# id 1-abc domain=en\nred _ _ B-A\n# _ _ O\n\n# id 2\tdomain=en\n# _ _ O\n")
    assert [record.values for record in read_records(path)] == [
        {"tokens": ["red", "#"], "tags": ["B-A", "O"]},
        {"tokens": ["#"], "tags": ["O"]},
    ]
