"""The worst answers, and what is marked in their text."""

from __future__ import annotations

from typing import Any

import pytest

from electra.evaluation.dataset_summary import labels
from electra.evaluation.error_analysis import worst
from electra.reporting.marked_text import Mark
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification


def messages(task: Any, examples: list[Any], answers: list[Any], most: int = 9) -> list[tuple[int, str]]:
    correctness = task.for_scoring().outcomes(answers, examples).correctness().tolist()
    return [(case.index, case.message) for case in worst(task, examples, answers, correctness, most)]


def test_the_surest_of_the_wrong_labels_come_first() -> None:
    task = TextClassification(labels=("bad", "good"))
    examples = [{"text": "t", "text_pair": "p", "label": label} for label in ("good", "bad", "bad", "good")]
    answers = [{"label": "bad", "score": score} for score in (0.6, 0.99, 0.9, 0.8)]
    assert messages(task, examples, answers) == [
        (3, "predicted: bad (0.80) · expected: good"),
        (0, "predicted: bad (0.60) · expected: good"),
    ]
    assert messages(task, examples, answers, most=1) == [(3, "predicted: bad (0.80) · expected: good")]
    (case, *_) = worst(task, examples, answers, [0, 1, 1, 0], 9)
    assert [(part.name, part.text) for part in case.parts] == [("text", "t"), ("text_pair", "p")]


def test_of_several_labels_those_that_are_farthest_off() -> None:
    task = TextClassification(labels=("a", "b"), problem_type="multi_label_classification", decision_threshold=0.4)
    scores = [(0.9, 0.1), (0.5, 0.9), (0.2, 0.3)]
    answers = [[{"label": name, "score": score} for name, score in zip("ab", pair, strict=True)] for pair in scores]
    assert messages(task, [{"label": ["a"]}, {"label": []}, {"label": ["a", "b"]}], answers) == [
        (2, "predicted: no label · expected: a, b"),
        (1, "predicted: a (0.50), b (0.90) · expected: no label"),
    ]


def test_the_largest_differences_of_numbers() -> None:
    task = TextClassification(labels=("LABEL_0",), problem_type="regression")
    answers = [{"label": "LABEL_0", "score": score} for score in (1.0, -2.0, 3.0)]
    found = messages(task, [{"text": "t", "label": label} for label in (1.5, 1.0, 3.0)], answers)
    assert found == [
        (1, "predicted: -2 · expected: 1"),
        (0, "predicted: 1 · expected: 1.5"),
        (2, "predicted: 3 · expected: 3"),
    ]


def tokens(*labels: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"entity": label, "score": score, "start": 4 * i} for i, (label, score) in enumerate(labels)]


def test_entities_are_marked_where_they_are_and_where_they_were_said() -> None:
    task = TokenClassification(labels=("O", "B-X", "I-X"))
    examples = [{"tokens": ["one", "two", "six"], "tags": tags} for tags in (["B-X", "I-X", "O"], ["O"] * 3)]
    answers = [tokens(("B-X", 0.9), ("O", 0.8), ("O", 0.9)), tokens(("O", 0.9), ("B-X", 0.7), ("I-X", 0.6))]
    first, second = worst(task, examples, answers, [0.0, 0.0], 9)
    assert (first.index, second.index) == (1, 0)
    assert first.parts[0].marks == (Mark(4, 11, "X", expected=False),)
    assert second.parts[0].marks == (Mark(0, 7, "X"), Mark(0, 3, "X", expected=False))


def test_other_labels_are_marked_where_they_are_wrong() -> None:
    task = TokenClassification(labels=("NOUN", "VERB"))
    example = {"tokens": ["one", "two"], "tags": ["NOUN", "VERB"]}
    (case,) = worst(task, [example], [tokens(("NOUN", 0.9), ("NOUN", 0.9))], [0.5], 9)
    assert case.parts[0].marks == (Mark(4, 7, "VERB"), Mark(4, 7, "NOUN", expected=False))


def question(*answers: tuple[str, int]) -> dict[str, Any]:
    found = [{"text": text, "answer_start": start} for text, start in answers]
    return {"question": "which?", "context": "one two six", "answers": found}


def test_answers_are_marked_in_their_context() -> None:
    task = QuestionAnswering(no_answer_threshold=1.0)
    said = {"answer": "six", "start": 8, "end": 11, "score": 0.5, "no_answer": 0.0}
    examples = [question(("one", 0), ("one two", 0)), question(), question(("two", 4))]
    answers = [said, said, {**said, "no_answer": 2.0}]
    found = worst(task, examples, answers, [0.0, 0.0, 0.0], 9)
    assert [case.message for case in found] == [
        "predicted: six · expected: one / one two",
        "predicted: six · expected: no answer",
        "predicted: no answer · expected: two",
    ]
    marks = [case.parts[1].marks for case in found]
    assert marks[0] == (Mark(0, 3), Mark(0, 7), Mark(8, 11, expected=False))
    assert marks[1] == (Mark(8, 11, expected=False),)
    assert marks[2] == (Mark(4, 7),)
    (case,) = worst(task, examples[2:], answers[2:], [0.0], 9)
    assert case.message == "predicted: six · expected: two", "where every question has an answer, none is held back"


def test_choices_and_rankings() -> None:
    choice = {"context": "c", "question": "q", "choices": ["x", "y"], "label": 0}
    answer = [{"label": 1, "choice": "y", "score": 0.7}, {"label": 0, "choice": "x", "score": 0.3}]
    (case,) = worst(MultipleChoice(), [choice], [answer], [0.0], 9)
    assert case.message == "predicted: y (0.70) · expected: x"
    assert [part.name for part in case.parts] == ["context", "question"]
    ranking = {"query": "q", "texts": ["a", "b", "c"], "labels": [0.0, 0.0, 1.0]}
    lower = [{"corpus_id": i, "score": -i} for i in (0, 1, 2)]
    higher = [{"corpus_id": i, "score": -i} for i in (0, 2, 1)]
    none = {**ranking, "labels": [0.0] * 3}
    assert messages(TextRanking(), [ranking, ranking, none], [higher, lower, lower]) == [
        (1, "the first relevant text is ranked 3 of 3"),
        (0, "the first relevant text is ranked 2 of 3"),
        (2, "none of the texts is relevant"),
    ]
    (case,) = worst(TextRanking(), [ranking], [higher], [0.6], 9)
    assert [(part.name, part.text) for part in case.parts] == [("query", "q"), ("relevant", "c"), ("ranked first", "a")]


@pytest.mark.parametrize(
    ("task", "examples", "expected"),
    [
        (TextClassification(labels=("a", "b")), [{"label": "b"}] * 2, {"a": 0, "b": 2}),
        (TextClassification(labels=("a", "b"), problem_type="multi_label_classification"),
         [{"label": ["a", "b"]}, {"label": ["b"]}], {"a": 1, "b": 2}),
        (TextClassification(labels=("x",), problem_type="regression"), [{"label": 1.0}, {"label": 2.0}],
         {"lowest": 1.0, "mean": 1.5, "highest": 2.0}),
        (TokenClassification(labels=("O", "B-X")), [{"tokens": ["a", "b"], "tags": ["O", "O"]}], {"O": 2, "B-X": 0}),
        (QuestionAnswering(), [question(), question(("one", 0))], {"with an answer": 1, "without an answer": 1}),
        (MultipleChoice(), [{"text": "t", "choices": ["x", "y"], "label": "B"}],
         {"choice 0 is right": 0, "choice 1 is right": 1}),
        (TextRanking(), [{"query": "q", "texts": ["a", "b"], "labels": [0, 1]},
                         {"query": "q", "texts": ["a"], "labels": [0]}],
         {"texts": 3, "relevant texts": 1, "queries without a relevant text": 1}),
    ],
)  # fmt: skip
def test_labels_are_counted(task: Any, examples: list[Any], expected: dict[str, float]) -> None:
    assert labels(task, examples) == expected
