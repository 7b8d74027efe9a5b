"""Labelled examples: rows and labels to train on, scores, and what is refused."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

import electra
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.task import ExampleError
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from tests.parity.twins import SIZES
from tests.tasks.tiny import LONG_TEXT, LONGEST, VOCABULARY


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return electra.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=LONGEST)


def model_for(task: LabelledTask[Any]) -> Any:
    fields = {**SIZES, "vocab_size": len(VOCABULARY), "max_position_embeddings": LONGEST, **task.config_fields()}
    return getattr(electra, task.architecture)(electra.ElectraConfig(**fields))


@pytest.mark.parametrize(
    ("labels", "names", "problem", "expected"),
    [
        (["bad", "good", "bad"], ("bad", "good"), "single_label_classification", [0, 1, 0]),
        ([10, 9, 9], ("9", "10"), "single_label_classification", [1, 0, 0]),
        ([0.5, 2.0, -1.0], ("LABEL_0",), "regression", [0.5, 2.0, -1.0]),
        (["0.5", "2", "-1.0"], ("LABEL_0",), "regression", [0.5, 2.0, -1.0]),
        (["1.0", "2", "v2.0"], ("1.0", "2", "v2.0"), "single_label_classification", [0, 1, 2]),
        (
            [["b", "a"], [], ["b"]],
            ("a", "b"),
            "multi_label_classification",
            [[1.0, 1.0], [0.0, 0.0], [0.0, 1.0]],
        ),
        # fastText's: one label is a string
        (["b", ["a", "b"], "a"], ("a", "b"), "multi_label_classification", [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]),
        # a 0 or 1 for each label
        (
            [[0, 1, 0], [1.0, 0.0, 1.0], [True, False, False]],
            ("0", "1", "2"),
            "multi_label_classification",
            [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 0.0, 0.0]],
        ),
        ([[0, 1], [1, 1], [1, 0]], ("0", "1"), "multi_label_classification", [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]),
        ([[0, 1], [1], []], ("0", "1"), "multi_label_classification", [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]),
    ],
)
def test_text_classification_reads_labels_off_the_examples(
    tokenizer: Any, labels: list[Any], names: tuple[str, ...], problem: str, expected: list[Any]
) -> None:
    texts = ["the cat", "sat on a mat", LONG_TEXT]
    examples = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    task = TextClassification.from_examples(examples, max_length=LONGEST)
    assert (task.labels, task.problem) == (names, problem)
    rows = task.training_items(examples, tokenizer)
    assert [len(row) for row in rows] == [4, 6, LONGEST]
    batch = task.training_batch(rows)
    assert batch.labels["labels"].tolist() == expected
    assert batch.count == 3
    model = model_for(task)
    assert model.config.problem_type == problem
    loss = task.loss(model, batch)
    alone = [task.training_batch([row]) for row in rows]
    losses = [task.loss(model, one).item() for one in alone]
    assert loss.item() == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_token_classification_labels_each_words_first_token_once(tokenizer: Any) -> None:
    examples = [
        {"tokens": ["Ann", "singing", "in", "New", "York"], "tags": ["B-PER", "O", "O", "B-LOC", "I-LOC"]},
        {"tokens": LONG_TEXT.split(), "tags": ["O"] * len(LONG_TEXT.split())},
    ]
    task = TokenClassification.from_examples(examples, max_length=LONGEST)
    assert task.labels == ("O", "B-LOC", "B-PER", "I-LOC")
    rows = task.training_items(examples, tokenizer)
    assert rows[0].labels == [-100, 2, 0, -100, -100, 0, 1, 3, -100]  # [CLS] ann s ##ing ##ing in new york [SEP]
    assert len(rows) > 3
    assert sum(label != -100 for row in rows[1:] for label in row.labels) == len(LONG_TEXT.split())
    assert all(len(row.labels) == len(row) <= LONGEST for row in rows)
    batch = task.training_batch(rows)
    assert batch.labels["labels"].shape == batch.batch.input_ids.shape
    assert batch.count == 5 + len(LONG_TEXT.split())
    assert torch.isfinite(task.loss(model_for(task), batch))


def test_a_0_or_1_for_each_label() -> None:
    """Names that are given are in their order; what is read of two of these alone is what was read of many."""
    rows = [{"text": "x", "label": label} for label in ([0, 1, 1], [1, 0, 0])]
    options = {"labels": ["c", "b", "a"], "problem_type": "multi_label_classification"}
    task = TextClassification.from_examples(rows, **options)
    assert task.labels == ("c", "b", "a")
    assert [task.target(row) for row in rows] == [(0, 1, 1), (1, 0, 0)]
    task = TextClassification.from_examples([{"text": "x", "label": label} for label in ([0, 0], [0, 1])])
    assert task.target({"text": "x", "label": [1, 0]}) == (1, 0)
    for label in ([1, 0, 0], [2, 0], ["0"], "0", 1):
        with pytest.raises(ValueError, match="has a list with a 0 or 1 for each of the 2 labels, not"):
            task.target({"text": "x", "label": label})


@pytest.mark.parametrize(
    "labels", [[["a"], [0.5]], [[0, 1, 1], [0, 1]], [["a"], [1.0, 0.0]], [["a"], [None]], [["a"], 3]]
)
def test_lists_of_labels_that_can_mean_nothing(labels: list[Any]) -> None:
    with pytest.raises(ExampleError, match=r"a list has names, or in all|has a list of them"):
        TextClassification.from_examples([{"text": "x", "label": label} for label in labels])


@pytest.mark.parametrize(("labels", "label"), [(("1", "2", "3", "4"), 0), (("-1", "x"), 0), (("0", "2"), 1)])
def test_a_number_is_no_index_where_labels_are_numbers(labels: tuple[str, ...], label: int) -> None:
    with pytest.raises(ValueError, match=f"the label {label} is none of this task's"):
        TextClassification(labels=labels).label_index(label)
    assert TextClassification(labels=("a", "1 star")).label_index(1) == 1


def test_what_is_learnt_of_several_numbers() -> None:
    task = TextClassification(labels=("a", "b"), problem_type="regression")
    assert task.target({"text": "x", "label": [1, "0.5"]}) == (1.0, 0.5)
    for label in (0.5, [1, 2, 3], "12"):
        with pytest.raises(
            ValueError, match=r"regression on 2 outputs is .*: it must be a list with a number for each"
        ):
            task.target({"text": "x", "label": label})
    with pytest.raises(ValueError, match="'y': it must be a finite number"):
        task.target({"text": "x", "label": [1, "y"]})


def test_labels_written_in_two_ways_are_one() -> None:
    mixed = [{"text": "x", "label": label} for label in (1, "1", 0, "0")]
    task = TextClassification.from_examples(mixed)
    assert task.labels == ("0", "1")
    assert [task.target(example) for example in mixed] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("task", "example", "message"),
    [
        (
            TextClassification(labels=("a", "b")),
            {"text": "x"},
            "a labelled example is a dict with 'label'; it has 'text'",
        ),
        (TextClassification(labels=("a", "b")), "x", "a labelled example is a dict with 'label'; this is 'x'"),
        (
            TextClassification(labels=("a", "b")),
            {"text": "x", "label": "c"},
            "the label 'c' is none of this task's 2: 'a', 'b'",
        ),
        (TextClassification(labels=("a", "b")), {"text": "x", "label": 2}, "the label 2 is none"),
        (TextClassification(labels=("a", "b")), {"text": "x", "label": -1}, "the label -1 is none"),
        (TextClassification(labels=("a",)), {"text": "x", "label": float("nan")}, "nan: it must be a finite number"),
        (TextClassification(labels=("a",)), {"text": "x", "label": "high"}, "'high': it must be a finite number"),
        (
            TextClassification(labels=("a",)),
            {"text": "x", "label": 10**400},
            "a number of about 401 digits: it must be a finite number",
        ),
        (
            TextClassification(labels=("a", "b"), problem_type="multi_label_classification"),
            {"text": "x", "label": 3},
            "has a list of them, not 3",
        ),
        (TokenClassification(labels=("O", "X")), {"tokens": ["x", "y"], "tags": ["O"]}, "2 tokens and 1 tags"),
        (TokenClassification(labels=("O", "X")), {"tokens": ["x"], "tags": ["Y"]}, "the label 'Y' is none"),
        (TokenClassification(labels=("O", "X")), {"tokens": ["x"], "tags": "O"}, "'tags' is a list"),
        (TokenClassification(labels=("O", "X")), {"tokens": "x", "tags": ["O"]}, "a list of words"),
        (TokenClassification(labels=("O", "X")), {"tokens": ["x"]}, "a dict with 'tags'"),
    ],
)
def test_a_bad_labelled_example_is_named(tokenizer: Any, task: Any, example: Any, message: str) -> None:
    good = {"text": "x", "tokens": ["x"], "tags": ["O"]}
    good["label"] = {"single_label_classification": "a", "regression": 1.0}.get(getattr(task, "problem", ""), ["a"])
    with pytest.raises(ExampleError, match=message) as caught:
        task.training_items([good, example], tokenizer)
    assert caught.value.index == 1


def test_labels_are_not_the_letters_of_a_word() -> None:
    with pytest.raises(ValueError, match="labels='yes': a list of names is needed"):
        TextClassification(labels="yes")


def test_one_label_is_no_classification() -> None:
    with pytest.raises(ValueError, match="2 examples all have the label 'a': a classifier needs at least two"):
        TextClassification.from_examples([{"text": "x", "label": "a"}] * 2)
    with pytest.raises(ExampleError, match="example 1: the label is NaN"):
        TextClassification.from_examples([{"text": "x", "label": label} for label in ("a", float("nan"))])
    for label in ("", " ", ["a", ""]):
        with pytest.raises(ExampleError, match="example 1: the label is empty: every example needs one"):
            TextClassification.from_examples([{"text": "x", "label": label} for label in ("a", label)])
    with pytest.raises(ValueError, match="the 0 examples have no label"):
        TextClassification.from_examples([])
    with pytest.raises(ValueError, match=r"tags are \['O'\]"):
        TokenClassification.from_examples([{"tokens": ["x"], "tags": ["O"]}])


def test_scores_of_text_classification() -> None:
    task = TextClassification(labels=("a", "b"))
    examples = [{"text": "", "label": label} for label in "aabb"]
    predictions = [{"label": label, "score": 1.0} for label in "abbb"]
    expected = {"accuracy": 0.75, "macro_f1": (2 / 3 + 4 / 5) / 2, "matthews": 2 / 12**0.5, "f1": 4 / 5}
    assert task.score(predictions, examples) == pytest.approx(expected)

    task = TextClassification(labels=("a", "b"), problem_type="multi_label_classification")
    examples = [{"text": "", "label": list(labels)} for labels in ("ab", "", "a")]
    predictions = [
        [{"label": "b", "score": b}, {"label": "a", "score": a}] for a, b in ((0.9, 0.2), (0, 0), (0.5, 0.1))
    ]
    assert task.for_scoring().top_k is None
    found = task.score(predictions, examples)
    assert found == pytest.approx({"micro_f1": 0.8, "macro_f1": 0.5, "accuracy": 2 / 3})

    task = TextClassification(labels=("a",))
    found = task.score([{"label": "a", "score": s} for s in (1.0, 2.0, 4.0)], [{"label": x} for x in (2.0, 4.0, 8.0)])
    assert found == pytest.approx({"pearson": 1.0, "spearman": 1.0, "mean_squared_error": (1 + 4 + 16) / 3})
    assert task.for_scoring().function_to_apply == "none"


def tokens_saying(words: list[str], tags: list[str | None]) -> list[dict[str, Any]]:
    """What a tagger says of words that are two tokens each; the second is of no account. None: no tokens."""
    found, start = [], 0
    for word, tag in zip(words, tags, strict=True):
        if tag is not None:
            found.append({"entity": tag, "score": 0.9, "start": start, "end": start + 1})
            found.append({"entity": "B-X", "score": 0.9, "start": start + 1, "end": start + len(word)})
        start += len(word) + 1
    return found


def test_scores_of_token_classification() -> None:
    words = ["Ann", "Lee", "sat", "in", "Rome"]
    examples = [{"tokens": words, "tags": ["B-X", "I-X", "O", "O", "B-Y"]}] * 2
    task = TokenClassification(labels=("O", "B-X", "I-X", "B-Y"))
    right = tokens_saying(words, ["B-X", "I-X", None, "O", "B-Y"])
    wrong = tokens_saying(words, ["B-X", "O", "O", "O", "B-Y"])
    expected = dict.fromkeys(("precision", "recall", "f1", "conlleval_f1"), 3 / 4) | {"accuracy": 9 / 10}
    assert task.score([right, wrong], examples) == pytest.approx(expected)

    task = TokenClassification(labels=("DET", "NOUN"))
    found = task.score(
        [tokens_saying(["the", "cat"], ["DET", "DET"])], [{"tokens": ["the", "cat"], "tags": ["DET", "NOUN"]}]
    )
    assert found == pytest.approx({"accuracy": 0.5, "macro_f1": 1 / 3, "matthews": 0, "word_f1": 0})


@pytest.mark.parametrize(
    ("missing", "task", "prediction", "example"),
    [
        ("sklearn.metrics", TextClassification(labels=("a", "b")), {"label": "a"}, {"label": "a"}),
        ("seqeval.metrics", TokenClassification(labels=("O", "B-X")), [], {"tokens": [], "tags": []}),
    ],
)
def test_scores_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, missing: str, task: Any, prediction: Any, example: Any
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install 'electra\[train\]'"):
        task.score([prediction], [example])
