"""What looks like one thing and would be read as another: refused, understood, or told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from electra.labelled.labelled_examples import LabelledExamples, read_labelled
from electra.labelled.records import read_records
from electra.tasks.text_classification import TextClassification


def read(folder: Path, name: str, text: str, **options: Any) -> LabelledExamples:
    (folder / name).write_text(text, "utf-8")
    return read_labelled(folder / name, **options)


def labels(found: LabelledExamples) -> list[Any]:
    return [example["label"] for example in found.examples]


@pytest.mark.parametrize("number", ["1,5", "1e-3", "50%", "50 %", "1.000,5", "1.000.000", "+1", ".5"])
def test_numbers_in_another_notation_are_no_classes(tmp_path: Path, number: str) -> None:
    with pytest.raises(ValueError, match=r"t.tsv:2: the labels in 'label' look like numbers"):
        read(tmp_path, "t.tsv", f"text\tlabel\na\t{number}\nb\t2\n")
    assert labels(read(tmp_path, "t.tsv", f"text\tlabel\na\t{number}\nb\tjoy\n")) == [number, "joy"]


def test_tuples_and_sets_are_lists(tmp_path: Path) -> None:
    text = "text\tlabel\na\t('joy', 'love')\nb\t('joy',)\nc\t{'love'}\nd\t{'joy', 'love'}\n"
    assert labels(read(tmp_path, "t.tsv", text)) == [["joy", "love"], ["joy"], ["love"], ["joy", "love"]]
    assert labels(read(tmp_path, "t.tsv", "text\tlabel\na\t(other)\nb\t{x}\n")) == ["(other)", "{x}"]


@pytest.mark.parametrize("separator", [" ", "#", "-", "_"])
def test_labels_of_which_every_part_comes_alone(tmp_path: Path, separator: str) -> None:
    with pytest.raises(ValueError, match="looks like several"):
        read(tmp_path, "t.csv", f"text,label\na,joy{separator}love\nb,joy\nc,love\n")
    text = "text,label\na,very good\nb,good\nc,very bad\nd,bad\n"
    assert labels(read(tmp_path, "t.csv", text)) == ["very good", "good", "very bad", "bad"]


def test_two_bits_are_places_not_names() -> None:
    examples = [{"text": "a", "label": [0, 1]}, {"text": "b", "label": [1, 0]}]
    task = TextClassification.from_examples(examples)
    assert [task.target(example) for example in examples] == [(0.0, 1.0), (1.0, 0.0)]


def test_a_label_that_is_an_object() -> None:
    with pytest.raises(ValueError, match="it must be a name, a number or a list of names"):
        TextClassification.from_examples([{"text": "a", "label": {"x": 1}}, {"text": "b", "label": {"x": 0}}])


def test_spellings_of_a_label(tmp_path: Path) -> None:
    found = read(tmp_path, "t.csv", "text,label\na,Billing\nb,billing\nc,nan\n")
    assert any("'Billing' and 'billing'" in notice for notice in found.notices)
    assert any("'nan', which programs write where there is no value" in notice for notice in found.notices)
    found = read(tmp_path, "t.csv", "text,label\na,Sto\u0308rung\nb,St\u00f6rung\n")
    assert labels(found) == ["St\u00f6rung"] * 2
    assert "composed form" in found.notices[0]
    assert not read(tmp_path, "t.csv", "text,label\na,x\nb,y\n").notices


def test_choices_in_columns(tmp_path: Path) -> None:
    for names in ("choice0,choice1", "ending_0,ending_1", "Option A,Option B"):
        with pytest.raises(ValueError, match="look like the choices of a question"):
            read(tmp_path, "t.csv", f"question,{names},label\nq,a,b,1\n")
    named = read(tmp_path, "t.csv", "question,choice0,choice1,label\nq,a,b,1\n", kinds=[TextClassification])
    assert labels(named) == ["1"]


def test_sentences_without_names(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'Sentence #' of the sentence is empty in every row"):
        read(tmp_path, "t.csv", "Sentence #,Word,POS,Tag\n,Ann,NNP,B-PER\n,sat,VBD,O\n")
    found = read(tmp_path, "t.csv", "sentence_id,word,tag\n1.0,Ann,B-PER\nnan,sat,O\n2.0,Bob,B-PER\n")
    assert [example["tokens"] for example in found.examples] == [["Ann", "sat"], ["Bob"]]


def test_lines_without_a_word_or_a_tag(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t.conll:3: the line has no tag"):
        read(tmp_path, "t.conll", "Ann\tB-PER\nsat\tO\nhere\t\n\nBob\tB-PER\n")
    with pytest.raises(ValueError, match=r"t.conll:2: the line has no word"):
        read(tmp_path, "t.conll", "Ann\tB-PER\n\tO\n\nBob\tB-PER\n")


def test_entities_that_are_not_in_the_last_column(tmp_path: Path) -> None:
    for text in (
        "1\tAnn\tB-PER\tx\n2\tsat\tO\ty\n\n1\tBob\tB-PER\tx\n",
        "Ann B-PER NNP\nsat O VBD\n\nBob B-PER NNP\n",
    ):
        with pytest.raises(ValueError, match="has tags of entities, and the last one has none: say which one is meant"):
            read(tmp_path, "t.conll", text)
    found = read(tmp_path, "t.conll", "1\tAnn\tB-PER\tO\n2\tsat\tO\tO\n\n1\tBob\tB-PER\tO\n")
    assert found.examples[0]["tags"] == ["B-PER", "O"]
    found = read(tmp_path, "t.conll", "Ann B-PER NNP\nsat O VBD\n", columns={"tokens": "1", "tags": "2"})
    assert found.examples[0]["tags"] == ["B-PER", "O"]


def test_rejected_classes_of_prodigy(tmp_path: Path) -> None:
    text = "".join(
        json.dumps({"text": text, "label": label, "answer": answer}) + "\n"
        for text, label, answer in (("a", "POS", "accept"), ("b", "POS", "reject"), ("c", "NEG", "accept"))
    )
    found = read(tmp_path, "t.jsonl", text)
    assert labels(found) == ["POS", "NEG"]
    assert "1 annotations that were not accepted" in found.notices[0]


def test_questions_that_contradict_themselves(tmp_path: Path) -> None:
    def squad(**fields: Any) -> str:
        qas = [{"id": "1", "question": "where?", **fields}]
        return json.dumps({"data": [{"paragraphs": [{"context": "Ann is in Paris, in Paris.", "qas": qas}]}]})

    answers = [{"text": "Ann", "answer_start": 0}]
    with pytest.raises(ValueError, match="the question is_impossible, and it has answers"):
        read(tmp_path, "t.json", squad(is_impossible=True, answers=answers))
    with pytest.raises(ValueError, match=r"no .answers.|no column with the answers|of no known task"):
        read(tmp_path, "t.json", squad(is_impossible=False, answers=[]))
    assert read(tmp_path, "t.json", squad(is_impossible=True, answers=[])).examples[0]["answers"] == []


def test_answers_in_several_places(tmp_path: Path) -> None:
    found = read(tmp_path, "t.csv", "question,context,answer\nw,Ann is in Paris in Paris,Paris\nv,Ann is here,Ann\n")
    assert "1 of 2 questions have an answer without answer_start" in found.notices[0]


def test_empty_negatives_are_none(tmp_path: Path) -> None:
    found = read(tmp_path, "t.csv", "query,positive,negative\nq,a,b\nr,c,\n")
    assert [example["texts"] for example in found.examples] == [["a", "b"], ["c"]]
    with pytest.raises(ValueError, match="'positive' is empty"):
        read(tmp_path, "t.csv", "query,positive,negative\nq,a,b\nr,,c\n")


def test_texts_of_different_pairs(tmp_path: Path) -> None:
    text = "sentence1,sentence2,text,label\na,b,c,x\nd,e,f,y\n"
    with pytest.raises(ValueError, match="'text' and 'sentence1' may both be the text"):
        read(tmp_path, "t.csv", text)
    found = read(tmp_path, "t.csv", text, columns={"text": "sentence1", "text_pair": "sentence2"})
    assert found.examples[0] == {"text": "a", "text_pair": "b", "label": "x"}


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.jsonl", '{"text": "b", "label": "y"}\n{"text": "a", "text": "z", "label": "x"}\n', r"a\.jsonl:2: "),
        ("a.json", '[{"text": "a", "text": "z", "label": "x"}]', r"a\.json: "),
        ("b.jsonl", '{"text": "a", "label": {"x": 1, "x": 2}}\n', r"b\.jsonl:1: "),
    ],
)
def test_a_name_that_an_object_has_twice(tmp_path: Path, name: str, text: str, where: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=where + "the name '(text|x)' occurs 2 times in one object"):
        read_records(tmp_path / name)
