"""Labelled examples from files: tasks and columns inferred, and what is refused with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import electra
from electra.labelled.labelled_examples import labelled_task, read_columns, read_labelled, task_of
from electra.labelled.task_presets import NamedTask
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification
from tests.tasks.tiny import LONGEST, VOCABULARY


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return electra.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=LONGEST)


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


# -- inferred -------------------------------------------------------------------------

ANSWER = {"text": "sea", "answer_start": 4}


@pytest.mark.parametrize(
    ("row", "kind", "example"),
    [
        ({"text": "x", "label": "a", "id": 3}, TextClassification, {"text": "x", "label": "a"}),
        ({"sentence": "x", "label": 1}, TextClassification, {"text": "x", "label": 1}),
        (
            {"question1": "x", "question2": "y", "label": 0},
            TextClassification,
            {"text": "x", "text_pair": "y", "label": 0},
        ),
        (
            {"question": "x", "sentence": "y", "label": "a"},
            TextClassification,
            {"text": "x", "text_pair": "y", "label": "a"},
        ),
        ({"tokens": ["x"], "ner_tags": ["O"]}, TokenClassification, {"tokens": ["x"], "tags": ["O"]}),
        ({"words": "x y", "tags": "O B-X"}, TokenClassification, {"tokens": ["x", "y"], "tags": ["O", "B-X"]}),
        (
            {"question": "q", "context": "the sea", "answers": {"text": ["sea"], "answer_start": [4]}},
            QuestionAnswering,
            {"question": "q", "context": "the sea", "answers": [ANSWER]},
        ),
        (
            {"question": "q", "context": "the sea", "answers": [ANSWER], "is_impossible": True},
            QuestionAnswering,
            {"question": "q", "context": "the sea", "answers": []},
        ),
        (
            {"article": "x", "question": "y", "options": ["a", "b"], "answer": "B"},
            MultipleChoice,
            {"choices": ["a", "b"], "context": "x", "question": "y", "label": "B"},
        ),
        (
            {"query": "q", "positive": "x", "negative": ["y", "z"]},
            TextRanking,
            {"query": "q", "texts": ["x", "y", "z"], "labels": [1, 0, 0]},
        ),
        (
            {"query": "q", "positive": "x", "negative": "y", "scores": [3, 1.5]},
            TextRanking,
            {"query": "q", "texts": ["x", "y"], "labels": [1, 0], "scores": [3, 1.5]},
        ),
        (
            {"query": "q", "texts": ["x", "y"], "scores": [3, 1.5]},
            TextRanking,
            {"query": "q", "texts": ["x", "y"], "scores": [3, 1.5]},
        ),
    ],
)
def test_task_and_columns_are_inferred(tmp_path: Path, row: Any, kind: Any, example: Any) -> None:
    found = read_labelled(written(tmp_path / "a.jsonl", row))
    assert (found.kind, found.examples) == (kind, [example])


def test_passages_of_a_query_are_one_example(tmp_path: Path) -> None:
    rows = ["1\t7\tq\tx\t1", "2\t7\tr\tx\t0", "1\t8\tq\ty\t0", "2\t9\tr\tz\t1"]
    path = written(tmp_path / "a.tsv", "qid\tpid\tquery\tpassage\tlabel", *rows)
    found = read_labelled(path)
    assert found.examples == [
        {"query": "q", "texts": ["x", "y"], "labels": [1, 0]},
        {"query": "r", "texts": ["x", "z"], "labels": [0, 1]},
    ]
    assert [record.line for record in found.records] == [2, 3]


@pytest.mark.parametrize(("given", "answers"), [("False", 1), ("0", 1), ("true", 0), ("TRUE", 0), ("1", 0)])
def test_whether_there_is_an_answer_in_a_table(tmp_path: Path, given: str, answers: int) -> None:
    path = written(tmp_path / "a.csv", "question,context,answer,is_impossible", f"q,the sea,sea,{given}")
    assert len(read_labelled(path).examples[0]["answers"]) == answers


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ({"query": "q", "positive": "x"}, {"query": "r", "positive": "x", "negative": ["y", "z"]},
         {"query": "r", "texts": ["x", "y", "z"], "labels": [1, 0, 0]}),
        ({"text": "x", "label": "a"}, {"text": "x", "label": "a", "text_pair": "y"},
         {"text": "x", "text_pair": "y", "label": "a"}),
        ({"question": "q", "context": "the sea", "answers": [ANSWER]},
         {"question": "q", "context": "the sea", "answers": [ANSWER], "is_impossible": True},
         {"question": "q", "context": "the sea", "answers": []}),
        ({"text": "x", "choices": ["a", "b"], "label": 0}, {"question": "y", "choices": ["a", "b"], "label": 1},
         {"question": "y", "choices": ["a", "b"], "label": 1}),
        # the first one's name for a part goes before one that only others have
        ({"sentence": "x", "label": "a"}, {"sentence": "y", "label": "b", "text": "z"}, {"text": "y", "label": "b"}),
    ],
)  # fmt: skip
def test_a_column_that_the_first_record_lacks(tmp_path: Path, first: Any, then: Any, expected: Any) -> None:
    assert read_labelled(written(tmp_path / "a.jsonl", first, then)).examples[1] == expected


def test_the_task_is_told_by_the_columns_of_all_records(tmp_path: Path) -> None:
    """A text and a label, but to the others belong choices: the first one is what is wrong."""
    rows = [{"text": "x", "label": 1}, {"text": "x", "choices": ["a", "b"], "label": 1}]
    with pytest.raises(ValueError, match=r"a\.jsonl:1: no 'choices': every example needs one"):
        read_labelled(written(tmp_path / "a.jsonl", *rows))


@pytest.mark.parametrize("name", ["sentence", "hypothesis", "text_pair"])
def test_a_label_is_no_text_whatever_its_column_is_called(tmp_path: Path, name: str) -> None:
    """Given with the call, known of the task, and known of what a model was fitted to."""
    path = written(tmp_path / "a.jsonl", {"facts": "x", name: "a"})
    expected = [{"text": "x", "label": "a"}]
    assert read_labelled(path, columns={"text": "facts", "label": name}).examples == expected
    known = NamedTask(task="text-classification", columns={"text": ("facts",), "label": (name,)})
    assert read_labelled(path, (TextClassification,), named=known).examples == expected
    path = written(tmp_path / "a.jsonl", {"text": "x", "sentence": "y"})
    assert read_labelled(path, columns={"label": "text"}).examples == [{"text": "y", "label": "x"}]
    with pytest.raises(ValueError, match=r"no column with the text: .*; the file has text \(text: another part"):
        read_labelled(written(tmp_path / "a.jsonl", {"text": "x"}), (TextClassification,), columns={"label": "text"})


def test_columns_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "review,stars,label", "good,5.0,x", "bad,1.5,y")
    found = read_labelled(path, columns=read_columns("text=review, label=stars"))
    assert found.examples == [{"text": "good", "label": "5.0"}, {"text": "bad", "label": "1.5"}]
    task = TextClassification.from_examples(found.examples)
    assert task.problem == "regression"
    assert task.target(found.examples[1]) == 1.5


@pytest.mark.parametrize("text", ["text", "text=", "=review", "text=a,text=b"])
def test_columns_that_are_not_named_right(text: str) -> None:
    with pytest.raises(ValueError, match="columns is"):
        read_columns(text)


# -- what is refused ------------------------------------------------------------------

GOOD = {"text": "cat", "label": "a"}
NAN = '{"text": "cat", "label": NaN}'
TASK = TextClassification(labels=("a", "b"), max_length=LONGEST)
REGRESSION = TextClassification(labels=("LABEL_0",), problem_type="regression", max_length=LONGEST)
QUESTION = {"question": "cat", "context": "the sea", "answers": [ANSWER]}


@pytest.mark.parametrize(
    ("rows", "task", "message"),
    [
        ([{"body": "x", "label": 1}], None, r"a\.jsonl:1: the columns body, label are of no known task"),
        ([{"body": "x", "label": 1}], TASK, r"a\.jsonl:1: no column with the text: looked for .*; the file has body"),
        ([], None, r"a\.jsonl holds no examples"),
        ([GOOD, "{"], None, r"a\.jsonl:2: not JSON"),
        ([GOOD, {"text": "x"}], None, r"a\.jsonl:2: no 'label': every example needs one"),
        ([GOOD, {**GOOD, "label": "c"}], TASK, r"a\.jsonl:2: the label 'c' is none of this task's 2"),
        ([{**GOOD, "id": 7}, {**GOOD, "id": 8}, {**GOOD, "id": 7}], None,
         r"a\.jsonl:3: the id 7 is also that of line 1"),
        ([{"text": "cat", "label": 0.5}, NAN], REGRESSION, r"a\.jsonl:2: .*nan: it must be a finite number"),
        ([QUESTION, {**QUESTION, "answers": [{"text": "lake", "answer_start": 0}]}], None,
         r"a\.jsonl:2: the answer 'lake' is not in its context"),
        ([{"tokens": ["a"], "tags": ["O"]}, {"tokens": ["a"], "tags": ["O", "O"]}],
         TokenClassification(labels=("O", "X")), r"a\.jsonl:2: 1 tokens and 2 tags"),
        ([{**QUESTION, "is_impossible": "False"}, {**QUESTION, "is_impossible": "no"}], None,
         r"a\.jsonl:2: is_impossible is 'no': it must be true, false, 1 or 0"),
        ([{"tokens": [], "tags": []}] * 2, None, r"a\.jsonl: no sentence has a word"),
        ([{"tokens": ["a"], "tags": 3}], None, r"a\.jsonl:1: tags is 3: it must be a list of words"),
        ([{"query": "q", "positive": "x", "negative": "y"}, {"query": "q"}], None,
         r"a\.jsonl:2: a labelled ranking has"),
        ([{"query": "q", "passage": "x", "label": "nan"}], None, r"a\.jsonl:1: .*'nan': it must be a finite number"),
    ],
)  # fmt: skip
def test_file_and_line_of_what_cannot_be_used(
    tmp_path: Path, tokenizer: Any, rows: list[Any], task: Any, message: str
) -> None:
    path = written(tmp_path / "a.jsonl", *rows)

    def read() -> None:
        found = read_labelled(path, *([(type(task),)] if task else []))
        found.usable(task or found.kind(), tokenizer)

    with pytest.raises(ValueError, match=message):
        read()


def test_one_class_only_names_the_file(tmp_path: Path) -> None:
    found = read_labelled(written(tmp_path / "a.jsonl", GOOD, GOOD))
    with pytest.raises(ValueError, match=r"a\.jsonl: the 2 examples all have the label 'a'"):
        found.checked(found.kind.from_examples)


def test_a_row_that_is_too_long_is_cut_or_refused(tmp_path: Path, tokenizer: Any) -> None:
    found = read_labelled(written(tmp_path / "a.jsonl", GOOD, {**GOOD, "text": "cat " * 30}))
    assert found.usable(TASK, tokenizer) is found
    with pytest.raises(ValueError, match=r"a\.jsonl:2: the example is 8 tokens too long for rows of 24"):
        found.usable(TASK, tokenizer, cut=False)
    kept = found.usable(TASK, tokenizer, cut=False, skip_invalid=True)
    assert (len(kept), len(kept.skipped)) == (1, 1)


def test_what_cannot_be_used_is_left_out_on_request(tmp_path: Path, tokenizer: Any) -> None:
    rows = [GOOD, "{", {**GOOD, "label": "c"}, {"text": "x"}, {**GOOD, "label": "b"}, [1]]
    found = read_labelled(written(tmp_path / "a.jsonl", *rows), skip_invalid=True)
    found = found.usable(TASK, tokenizer, skip_invalid=True)
    assert [example["label"] for example in found.examples] == ["a", "b"]
    assert [record.line for record in found.records] == [1, 5]
    assert sorted(complaint.split(":")[1] for complaint in found.skipped) == ["2", "3", "4", "6"]
    with pytest.raises(ValueError, match=r"holds no examples that can be used: .*a\.jsonl:1: the label"):
        read_labelled(written(tmp_path / "a.jsonl", {**GOOD, "label": "c"})).usable(TASK, tokenizer, skip_invalid=True)


def test_leaving_many_out_takes_no_longer_than_it_must(tmp_path: Path, tokenizer: Any) -> None:
    tried = 0

    class Counting(TextClassification):
        def encode_all(self, examples: Any, tokenizer: Any) -> Any:
            nonlocal tried
            tried += len(examples)
            return super().encode_all(examples, tokenizer)

    rows = [{"text": "cat " * (3 if i % 50 == 0 else 30), "label": "ab"[i % 2]} for i in range(300)]
    found = read_labelled(written(tmp_path / "a.jsonl", *rows))
    kept = found.usable(Counting(labels=("a", "b"), max_length=LONGEST), tokenizer, cut=False, skip_invalid=True)
    assert [record.line for record in kept.records] == [1, 51, 101, 151, 201, 251]
    assert len(kept.skipped) == 294
    assert kept.skipped[0].startswith(f"{tmp_path}/a.jsonl:2: the example is 8 tokens too long")
    assert tried <= 2 * 300 * 9, "each is tried twice at every size from 256 down to 1"


def test_duplicate_ids_are_left_out_on_request(tmp_path: Path) -> None:
    rows = [{**GOOD, "id": 1}, {**GOOD, "id": 1}, {**GOOD, "id": 2}]
    found = read_labelled(written(tmp_path / "a.jsonl", *rows), skip_invalid=True)
    assert (len(found), len(found.skipped)) == (2, 1)


def test_an_empty_id_is_none(tmp_path: Path) -> None:
    assert len(read_labelled(written(tmp_path / "a.csv", "id,text,label", ",x,a", ",y,b", "1,z,b"))) == 3


def test_parts_and_tasks_that_there_are_not(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", GOOD)
    with pytest.raises(
        ValueError, match=r"columns names 'txt', and text-classification has no such part. Did you mean"
    ):
        read_labelled(path, columns={"txt": "text", "label": "label"})
    with pytest.raises(ValueError, match="no column with the label: looked for stars; the file has text, label"):
        read_labelled(path, columns={"label": "stars"})
    with pytest.raises(ValueError, match=r"task is 'text-clasification'.*Did you mean text-classification"):
        labelled_task("text-clasification")
    assert labelled_task("ner") is TokenClassification
    assert task_of(read_labelled(path).records, {}) is TextClassification
