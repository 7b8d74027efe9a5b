"""Files as people have them: read as their authors meant them, or refused with file, line, cause and remedy."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from electra.labelled.cells import looks_like_several, read_cell
from electra.labelled.columns import read_columns
from electra.labelled.fitted_task import known_of_files
from electra.labelled.labelled_examples import LabelledExamples, read_labelled
from electra.labelled.task_presets import read_table
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification


def read(path: Path, content: str, columns: str = "", **options: Any) -> LabelledExamples:
    path.write_bytes(content.encode())
    return read_labelled(path, columns=read_columns(columns), **options)


def refused(path: Path, content: str, *words: str, columns: str = "", **options: Any) -> None:
    with pytest.raises(ValueError) as caught:
        read(path, content, columns, **options)
    for word in (path.name, *words):
        assert word in str(caught.value)


# -- lists in cells -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "values"),
    [
        ("['John', 'lives']", ["John", "lives"]),
        ('["B-PER", "O"]', ["B-PER", "O"]),
        ("['John' 'lives'\n 'here']", ["John", "lives", "here"]),
        ("[0, 1]", [0, 1]),
        ("[0 1 0]", [0, 1, 0]),
        ("[0. 1.]", [0.0, 1.0]),
        ("[B-PER, O]", ["B-PER", "O"]),
        ("[joy]", ["joy"]),
        ("[]", []),
        ('["it\'s", "\\"quoted\\""]', ["it's", '"quoted"']),
        ("[\"it's\", 'a']", ["it's", "a"]),
        ("[(0, 3, 'PER')]", [(0, 3, "PER")]),
        ("{'text': array(['sea'], dtype=object), 'answer_start': array([4])}", {"text": ["sea"], "answer_start": [4]}),
        ("[ a film ]", "[ a film ]"),
        ("[sic] a film", "[sic] a film"),
        ("good", "good"),
    ],
)
def test_lists_in_cells(cell: str, values: Any) -> None:
    assert read_cell(cell) == values


def test_a_list_that_numpy_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="the list was cut short when it was written"):
        read_cell("['a' 'b' ... 'y' 'z']")


def test_lists_in_a_table_of_words(tmp_path: Path) -> None:
    first, second = '1,"[\'John\', \'lives\']","[""B-PER"", ""O""]"', "2,['in' 'Rome'],['O' 'B-LOC']"
    rows = f"id,tokens,ner_tags\n{first}\n{second}\n"
    assert read(tmp_path / "a.csv", rows).examples == [
        {"tokens": ["John", "lives"], "tags": ["B-PER", "O"]},
        {"tokens": ["in", "Rome"], "tags": ["O", "B-LOC"]},
    ]


def test_questions_of_a_data_set_that_pandas_wrote(tmp_path: Path) -> None:
    answers = "\"{'text': array(['sea'], dtype=object), 'answer_start': array([4], dtype=int32)}\""
    found = read(tmp_path / "a.csv", f"question,context,answers\nWhat?,the sea,{answers}\n")
    assert found.examples[0]["answers"] == [{"text": "sea", "answer_start": 4}]


@pytest.mark.parametrize("separator", ["|", ";"])
def test_several_labels_in_a_cell_ask_for_their_separator(tmp_path: Path, separator: str) -> None:
    rows = f'text,label\nx,"joy{separator}love"\ny,joy\n'
    refused(tmp_path / "a.csv", rows, ":2:", f"'joy{separator}love' looks like several", "--label-separator")
    found = read(tmp_path / "a.csv", rows, label_separator=separator)
    assert [example["label"] for example in found.examples] == [["joy", "love"], ["joy"]]


def test_commas_in_the_names_of_classes_are_no_separators() -> None:
    assert looks_like_several(["Business, Economy", "Sport"]) is None
    assert looks_like_several(["joy,love", "joy", "love"]) == ("joy,love", ",")
    assert looks_like_several(["joy/love", "love/fear", "joy/fear", "joy"]) == ("joy/fear", "/")
    assert looks_like_several([1, 2]) is None


def test_a_column_for_each_label(tmp_path: Path) -> None:
    rows = "comment,toxic,insult,threat\nx,1,0,1\ny,0,0,0\nz,0.0,1.0,0.0\n"
    found = read(tmp_path / "a.csv", rows, "text=comment,labels=toxic+insult+threat")
    assert [example["label"] for example in found.examples] == [["toxic", "threat"], [], ["insult"]]
    task = TextClassification.from_examples(found.examples)
    assert (task.problem_type, set(task.labels)) == ("multi_label_classification", {"toxic", "insult", "threat"})
    rows = rows.replace("x,1", "x,7")
    refused(tmp_path / "a.csv", rows, ":2:", "'toxic' is '7'", columns="text=comment,labels=toxic+insult+threat")


def test_a_fitted_model_s_files_are_read_as_it_was_fitted(tmp_path: Path) -> None:
    """What config.json says of the files is enough to read such a file again: columns, separator, ids."""

    def again(path: Path, content: str, columns: str = "", **options: Any) -> Any:
        fitted = read(path, content, columns, **options)
        task = fitted.kind.from_examples(fitted.examples)
        known = known_of_files(task, None, read_columns(columns), **options)
        found = read_labelled(path, (fitted.kind,), named=read_table("x", known))
        assert found.examples == fitted.examples
        return found

    rows = "comment,toxic,insult\nx,1,0\ny,0,0\nz,0,1\n"
    again(tmp_path / "a.csv", rows, "text=comment,labels=toxic+insult")
    again(tmp_path / "a.csv", "text,label\nx,a|b\ny,a\n", label_separator="|")
    assert again(tmp_path / "a.csv", "id,text,label\n1,x,a\n1,y,b\n", "id=").ids == [None, None]
    rows = "Ann NNP B-NP B-PER\nsat VBD B-VP O\n"
    again(tmp_path / "a.conll", rows, "tokens=1,tags=3")


# -- one word per row -----------------------------------------------------------------

SENTENCES = [
    {"tokens": ["Ann", "sat"], "tags": ["B-PER", "O"]},
    {"tokens": ["Rome"], "tags": ["B-LOC"]},
]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("a.csv", "sentence_id,words,labels\n0,Ann,B-PER\n0,sat,O\n1,Rome,B-LOC\n"),
        ("a.csv", "Sentence #,Word,POS,Tag\nSentence: 1,Ann,NNP,B-PER\n,sat,VBD,O\nSentence: 2,Rome,NNP,B-LOC\n"),
        ("a.tsv", "sent_id\ttoken\ttag\ns1\tAnn\tB-PER\ns1\tsat\tO\ns2\tRome\tB-LOC\n"),
        ("a.csv", "Word,Tag,sentence_idx\nAnn,B-PER,1.0\nsat,O,1.0\nRome,B-LOC,2.0\n"),
        ("a.jsonl", '{"sentence_id": 1, "word": "Ann", "tag": "B-PER"}\n{"sentence_id": 1, "word": "sat", "tag": "O"}\n'
         '{"sentence_id": 2, "word": "Rome", "tag": "B-LOC"}\n'),
    ],
)  # fmt: skip
def test_one_word_per_row(tmp_path: Path, name: str, rows: str) -> None:
    found = read(tmp_path / name, rows)
    assert (found.kind, found.examples) == (TokenClassification, SENTENCES)


def test_the_column_of_the_sentence_is_named(tmp_path: Path) -> None:
    rows = "doc,w,t\n0,Ann,B-PER\n0,sat,O\n1,Rome,B-LOC\n"
    found = read(tmp_path / "a.csv", rows, "tokens=w,tags=t,sentence=doc")
    assert found.examples == SENTENCES
    refused(tmp_path / "a.csv", "Word,Tag\nAnn,B-PER\nsat,O\n", ":2:", "one word and its tag", "--columns sentence=")
    rows = "sentence_id,word,tag\n0,Ann,O\n1,sat,O\n0,Bo,O\n"
    refused(tmp_path / "a.csv", rows, ":4:", "sentence '0' began on line 2")
    refused(tmp_path / "a.csv", "sentence_id,word,tag\n0,Ann,O\n0,,O\n", ":3:", "no 'word' in this row")


# -- tagged files ---------------------------------------------------------------------

CONLLU = """# sent_id = 1
# text = Vámonos al mar
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tya\tya\tADV\t_\t_\t_\t_\t_\t_
3\tmar\tmar\tNOUN\t_\t_\t1\tobl\t_\tSpaceAfter=No

"""


def test_conll_u(tmp_path: Path) -> None:
    for name in ("a.conllu", "a.conll", "a.txt"):
        found = read(tmp_path / name, CONLLU)
        assert found.examples == [{"tokens": ["Vamos", "nos", "mar"], "tags": ["VERB", "PRON", "NOUN"]}]
    for columns in ("tokens=LEMMA,tags=DEPREL", "tokens=3,tags=8"):
        found = read(tmp_path / "a.conllu", CONLLU, columns)
        assert found.examples == [{"tokens": ["ir", "nosotros", "mar"], "tags": ["root", "obj", "obl"]}]
    refused(tmp_path / "a.conllu", CONLLU, "tags='UPSO'", "Did you mean UPOS?", columns="tags=UPSO")


def test_columns_by_number_and_by_name(tmp_path: Path) -> None:
    rows = "Ann NNP B-NP B-PER\nsat VBD B-VP O\n\nRome NNP B-NP B-LOC\n"
    assert read(tmp_path / "a.conll", rows).examples == SENTENCES
    found = read(tmp_path / "a.conll", rows, "tokens=1,tags=3")
    assert [example["tags"] for example in found.examples] == [["B-NP", "B-VP"], ["B-NP"]]
    found = read(tmp_path / "a.conll", "word pos tag\n" + rows.replace("B-NP ", "").replace("B-VP ", ""), "tags=pos")
    assert [example["tags"] for example in found.examples] == [["NNP", "VBD"], ["NNP"]]
    refused(tmp_path / "a.conll", rows, "tags='5'", "the numbers 1 to 4", columns="tags=5")


def test_comments_and_a_column_that_counts(tmp_path: Path) -> None:
    rows = "#\thttp://example.org [2009-10-17]\n1\tAnn\tB-PER\tO\n2\tsat\tO\tO\n\n# a comment\n1\tRome\tB-LOC\tO\n"
    assert read(tmp_path / "a.tsv.conll", rows, "tags=3").examples == SENTENCES
    assert read(tmp_path / "a.conll", rows).examples[0]["tokens"] == ["Ann", "sat"]
    both = rows.replace("B-LOC\tO", "B-LOC\tB-X")
    refused(tmp_path / "a.conll", both, "columns 3 and 4 have tags of entities", "tokens=2,tags=3")


def test_white_space_that_is_a_word(tmp_path: Path) -> None:
    found = read(tmp_path / "a.conll", "Ann B-PER\n\u00a0 O\n\u3000 O\n\nRome\tB-LOC\n\u3000\tO\n")
    assert [example["tokens"] for example in found.examples] == [["Ann", "\u00a0", "\u3000"], ["Rome", "\u3000"]]
    found = read(tmp_path / "a.csv", "tokens,tags\nAnn \u00a0 sat,B-PER O O\n")
    assert found.examples[0]["tokens"] == ["Ann", "\u00a0", "sat"]


def test_the_line_at_fault_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "a.conll", "Ann NNP B-PER\nsat VBD O\n\nin IN O\nRome B-LOC\n", "a.conll:5:", "2 columns")
    refused(tmp_path / "a.conll", "Ann NNP B-PER\nsat VBD O\n\nRome B-LOC\n", "a.conll:4:", "2 columns")


def test_a_txt_with_tabs_and_a_header_is_a_table(tmp_path: Path) -> None:
    found = read(tmp_path / "a.txt", "text\tlabel\na film\tgood\na day\tbad\n")
    assert found.examples == [{"text": "a film", "label": "good"}, {"text": "a day", "label": "bad"}]
    found = read(tmp_path / "a.txt", "title\tstars\na film\tgood\na day\tbad\n", "text=title,label=stars")
    assert [example["label"] for example in found.examples] == ["good", "bad"]


def test_tags_that_fit_no_scheme_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="electra"):
        read(tmp_path / "a.conll", "Ann B-PER\nsat O\nin I-PER\nRome MISC\n")
    assert "the tags MISC fit no tag scheme" in caplog.text


# -- character spans ------------------------------------------------------------------

TEXT = "Ann Lee met Bo in Rome."
WORDS = [(0, 3), (4, 7), (8, 11), (12, 14), (15, 17), (18, 22), (22, 23)]
TAGS = ["B-PER", "I-PER", "O", "B-PER", "O", "B-LOC", "O"]
SPANS = [[0, 7, "PER"], [12, 14, "PER"], [18, 22, "LOC"]]
OBJECTS = [{"start": start, "end": end, "label": label} for start, end, label in SPANS]
STUDIO = [
    {"value": {"start": a, "end": b, "text": TEXT[a:b], "labels": [label]}, "from_name": "label", "type": "labels"}
    for a, b, label in SPANS
]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("doccano.jsonl", {"id": 7, "text": TEXT, "label": SPANS}),
        ("doccano.jsonl", {"id": 7, "data": TEXT, "label": SPANS}),
        ("doccano.jsonl", {"text": TEXT, "entities": [
            {"id": 1, "label": label, "start_offset": a, "end_offset": b} for a, b, label in SPANS], "relations": []}),
        ("prodigy.jsonl", {"text": TEXT, "spans": OBJECTS, "answer": "accept", "_task_hash": 1,
            "tokens": [{"text": TEXT[a:b], "start": a, "end": b} for a, b in WORDS]}),
        ("spacy.jsonl", {"text": TEXT, "entities": SPANS}),
        ("spacy.json", [[TEXT, {"entities": SPANS}]]),
        ("studio.json", [{"id": 7, "data": {"text": TEXT}, "annotations": [{"result": STUDIO}]}]),
        ("studio.json", [{"id": 7, "text": TEXT, "label": [each["value"] for each in STUDIO]}]),
    ],
)  # fmt: skip
def test_exports_of_annotation_tools(tmp_path: Path, name: str, content: Any) -> None:
    found = read(tmp_path / name, json.dumps(content))
    assert found.examples == [{"tokens": ["Ann", "Lee", "met", "Bo", "in", "Rome", "."], "tags": TAGS}]


def test_spacy_s_train_data_in_memory_and_a_text_without_entities() -> None:
    found = read_labelled([(TEXT, {"entities": [(0, 7, "PER")]}), ("Nobody.", {"entities": []})])
    assert found.examples[0]["tags"] == ["B-PER", "I-PER", "O", "O", "O", "O", "O"]
    assert found.examples[1] == {"tokens": ["Nobody", "."], "tags": ["O", "O"]}


def test_what_is_not_annotated_or_not_accepted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [{"text": TEXT, "spans": OBJECTS, "answer": answer, "_task_hash": 1} for answer in ("accept", "reject")]
    with caplog.at_level(logging.WARNING, logger="electra"):
        found = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, lines)))
    assert len(found) == 1
    assert "1 annotations that were not accepted" in caplog.text
    tasks = [{"id": 1, "data": {"text": TEXT}, "annotations": []}]
    refused(tmp_path / "a.json", json.dumps(tasks), "record 1", "the task has no annotation")


def test_choices_of_label_studio_and_prodigy(tmp_path: Path) -> None:
    choice = {"value": {"choices": ["good"]}, "type": "choices"}
    tasks = [{"id": 1, "data": {"text": "a film"}, "annotations": [{"result": [choice]}]}]
    assert read(tmp_path / "a.json", json.dumps(tasks)).examples == [{"text": "a film", "label": "good"}]


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([[1, 7, "PER"]], "1-7 ('nn Lee', PER) begins inside the word 'Ann'"),
        ([[0, 5, "PER"]], "0-5 ('Ann L', PER) ends inside the word 'Lee'"),
        ([[0, 4, "PER"]], "ends where no word does"),
        ([[0, 7, "PER"], [4, 7, "X"]], "overlaps another span"),
        ([[0, 99, "PER"]], "is not in the text"),
        ([[3, 3, "PER"]], "is not in the text"),
    ],
)
def test_a_span_that_is_no_words_is_named(tmp_path: Path, spans: Any, words: str) -> None:
    refused(tmp_path / "a.jsonl", json.dumps({"text": TEXT, "label": spans}), ":1:", words)


def test_spans_that_javascript_counted(tmp_path: Path) -> None:
    """A character beyond U+FFFF is two for JavaScript; Label Studio says what a span's text is."""
    task = {"text": "😀 Ann", "label": [{"start": 3, "end": 6, "text": "Ann", "labels": ["PER"]}]}
    assert read(tmp_path / "a.json", json.dumps([task])).examples[0]["tags"] == ["O", "B-PER"]
    task["label"][0]["text"] = "Bo"  # type: ignore[index]
    refused(tmp_path / "a.json", json.dumps([task]), "record 1", "'Bo' in the export")


# -- classes and ids ------------------------------------------------------------------


def test_whole_numbers_with_a_fraction_are_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="electra"):
        found = read(tmp_path / "a.csv", "text,label\nx,0.0\ny,1.0\nz,2.0\n")
    assert [example["label"] for example in found.examples] == ["0", "1", "2"]
    assert "taken as classes" in caplog.text
    found = read(tmp_path / "a.jsonl", '{"text": "x", "label": 0.0}\n{"text": "y", "label": 1.0}\n')
    assert [example["label"] for example in found.examples] == ["0", "1"]
    found = read(tmp_path / "a.csv", "text,label\nx,0.5\ny,1.0\n")
    assert TextClassification.from_examples(found.examples).problem == "regression"


def test_white_space_around_classes_does_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="electra"):
        found = read(tmp_path / "a.csv", "text,label\nx,billing \ny,billing\nz, card\n")
    assert [example["label"] for example in found.examples] == ["billing", "billing", "card"]
    assert "2 labels have white space around them" in caplog.text


def test_names_of_classes_in_the_schema_of_a_parquet_file(tmp_path: Path) -> None:
    features = {
        "label": {"names": ["neg", "pos"], "_type": "ClassLabel"},
        "text": {"dtype": "string", "_type": "Value"},
    }
    table = pyarrow.table({"text": ["x", "y"], "label": [1, 0]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert [example["label"] for example in read_labelled(tmp_path / "a.parquet").examples] == ["pos", "neg"]
    features = {"ner_tags": {"feature": {"names": ["O", "B-X"], "_type": "ClassLabel"}, "_type": "List"}}
    table = pyarrow.table({"tokens": [["a", "b"]], "ner_tags": [[1, 0]]})
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert read_labelled(tmp_path / "a.parquet").examples == [{"tokens": ["a", "b"], "tags": ["B-X", "O"]}]


def test_an_id_is_disowned_or_named(tmp_path: Path) -> None:
    rows = "id,text,label\n1,x,a\n1,y,b\n"
    refused(tmp_path / "a.csv", rows, ":3:", "the id '1' is also that of line 2", "--columns id=")
    assert read(tmp_path / "a.csv", rows, "id=").ids == [None, None]
    assert read(tmp_path / "a.csv", rows.replace("1,y", "2,y")).ids == ["1", "2"]
    rows = "ticket,text,label\nT1,x,a\nT2,y,b\n"
    assert read(tmp_path / "a.csv", rows, "id=ticket").ids == ["T1", "T2"]
    refused(tmp_path / "a.csv", rows, "no column 'nr' (id)", columns="id=nr")


def test_empty_texts_are_told_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="electra"):
        found = read(tmp_path / "a.csv", "text,label\nx,a\n,b\n  ,a\ny,b\n")
    assert [example["text"] for example in found.examples] == ["x", "y"]
    assert "2 of 4 examples have an empty text and are left out" in caplog.text
    assert "a.csv:3" in found.notices[0]


# -- encodings and shapes -------------------------------------------------------------


def test_encodings(tmp_path: Path) -> None:
    for encoding in ("cp1252", "utf-16", "utf-8-sig", "latin-1"):
        (tmp_path / "a.csv").write_bytes("text,label\ncafé,a\nx,b\n".encode(encoding))
        assert read_labelled(tmp_path / "a.csv", encoding=encoding).examples[0]["text"] == "café"
    (tmp_path / "a.csv").write_bytes("text,label\nx,b\ncafé,a\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"a\.csv:3: byte 0xe9.*as cp1252 the place reads 'café,a'.*--encoding cp1252"):
        read_labelled(tmp_path / "a.csv")


def test_folders_and_patterns(tmp_path: Path) -> None:
    for name, text in (("part-1.jsonl", "x"), ("part-2.jsonl", "y")):
        (tmp_path / name).write_text(json.dumps({"text": text, "label": text}))
    (tmp_path / "notes.md").write_text("-")
    for source in (tmp_path, tmp_path / "part-*.jsonl", str(tmp_path / "part-?.jsonl")):
        found = read_labelled(source)
        assert [example["text"] for example in found.examples] == ["x", "y"]
        assert [record.source.name for record in found.records] == ["part-1.jsonl", "part-2.jsonl"]
    with pytest.raises(FileNotFoundError, match="no file matches"):
        read_labelled(tmp_path / "*.parquet")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*gone\.csv"):
        read_labelled(tmp_path / "gone.csv")


ROWS = [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}]


@pytest.mark.parametrize(
    "content",
    [
        ROWS,
        {"data": ROWS},
        {"text": {"0": "x", "1": "y"}, "label": {"0": "a", "1": "b"}},
        {"columns": ["text", "label"], "index": [0, 1], "data": [["x", "a"], ["y", "b"]]},
    ],
)
def test_json_files(tmp_path: Path, content: Any) -> None:
    assert read(tmp_path / "a.json", json.dumps(content, indent=1)).examples == ROWS
    assert read(tmp_path / "a.json", "\n".join(map(json.dumps, ROWS))).examples == ROWS
    refused(tmp_path / "a.json", '{"text": "x"}', "a .json file must be one of these")


def test_a_table_without_names_is_named(tmp_path: Path) -> None:
    rows = "I love this film very much,pos\nNot a good day for it,neg\n"
    refused(tmp_path / "a.csv", rows, "a.csv:2:", "The first line of a table names its columns")


def test_numbers_of_thousands_of_digits_and_damaged_pages_have_their_line(tmp_path: Path) -> None:
    refused(
        tmp_path / "a.jsonl", '{"text": "x", "label": "a"}\n{"text": "y", "label": ' + "1" * 5000 + "}", ":2:", "digits"
    )
    table = pyarrow.table({"text": ["x"] * 5000, "label": [str(i % 7) for i in range(5000)]})
    path = tmp_path / "a.parquet"
    parquet.write_table(table, path)
    content = bytearray(path.read_bytes())
    content[40:200] = b"\xff" * 160
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.parquet"):
        read_labelled(path)


def test_answers_and_labels_of_a_wrong_type_have_their_line(tmp_path: Path) -> None:
    answer = {"text": "sea", "answer_start": "4"}
    row = {"question": "q", "context": "the sea", "answers": [answer]}
    refused(tmp_path / "a.jsonl", json.dumps(row), ":1:", "answer")
    skipped = read(
        tmp_path / "a.jsonl",
        "\n".join(map(json.dumps, [row, {**row, "answers": ["sea"]}, {**row, "answers": 3}])),
        skip_invalid=True,
    )
    assert (len(skipped), len(skipped.skipped)) == (1, 2)


# -- tables in memory -----------------------------------------------------------------


def test_tables_in_memory() -> None:
    for source in (
        ROWS,
        {"text": ["x", "y"], "label": ["a", "b"]},
        pyarrow.table({"text": ["x", "y"], "label": ["a", "b"]}),
        ({**row} for row in ROWS),
    ):
        assert read_labelled(source).examples == ROWS
    values = [{"tokens": np.array(["a", "b"]), "tags": np.array(["O", "B-X"])}]
    assert read_labelled(values).examples == [{"tokens": ["a", "b"], "tags": ["O", "B-X"]}]
    with pytest.raises(ValueError, match="list, row 2: 3 is neither a dict nor a text"):
        read_labelled([{"text": "x", "label": "a"}, 3])
    with pytest.raises(ValueError, match="a path, a table or a list"):
        read_labelled(3)


def test_frames_of_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, index=[7, 9])
    assert read_labelled(frame).examples == ROWS
    frame = pandas.DataFrame({"text": ["x", None, "y"], "label": [1.0, 0.0, float("nan")]})
    with pytest.raises(ValueError, match="DataFrame, row 2: no 'text'"):
        read_labelled(frame)


def test_frames_of_polars() -> None:
    polars = pytest.importorskip("polars")
    assert read_labelled(polars.DataFrame(ROWS)).examples == ROWS


def test_a_data_set_with_names_of_classes() -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    data = datasets.Dataset.from_dict({"text": ["x", "y"], "label": [1, 0]}, features=features)
    assert [example["label"] for example in read_labelled(data).examples] == ["pos", "neg"]
