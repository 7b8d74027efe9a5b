"""Multiple choice against transformers' network on rows that its tokenizer made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from electra import pipeline
from tests.tasks.tiny import LONG_TEXT, LONGEST, assert_same, make_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("choice"), "ElectraForMultipleChoice")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    return pipeline("multiple-choice", folder, device="cpu")


def expected(folder: Path, firsts: list[str], seconds: list[str], choices: list[str]) -> list[dict[str, Any]]:
    """The answer for rows of these pairs."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = tokenizer(firsts, seconds, truncation="only_first", padding=True, return_tensors="pt")
    model = transformers.ElectraForMultipleChoice.from_pretrained(folder).eval()
    with torch.inference_mode():
        scores = model(**{name: column[None] for name, column in rows.items()}).logits[0].softmax(0).tolist()
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return [{"label": i, "choice": choices[i], "score": scores[i]} for i in order]


CHOICES = ["sat on a mat", "is in New York .", "and", "bigger"]


def test_a_row_is_the_text_and_the_choice(folder: Path, ours: Any) -> None:
    answers = expected(folder, ["Ann"] * 4, CHOICES, CHOICES)
    assert answers[0]["score"] < 0.999, "the choices are to be weighed"
    assert_same(ours("Ann", CHOICES), answers)
    for name in ("text", "question", "context"):
        assert_same(ours({name: "Ann", "choices": CHOICES}), answers)
        assert_same(ours(**{name: "Ann"}, choices=CHOICES), answers)
    assert_same(ours("Ann", CHOICES, top_k=1), answers[:1])


def test_with_a_context_the_question_stands_beside_the_choice(folder: Path, ours: Any) -> None:
    seconds = [f"where is it {choice}" for choice in CHOICES[:3]]
    answers = expected(folder, ["the cat sat"] * 3, seconds, CHOICES[:3])
    assert_same(ours(context="the cat sat", question="where is it", choices=CHOICES[:3]), answers)


def test_examples_with_different_counts_share_batches(ours: Any, caplog: pytest.LogCaptureFixture) -> None:
    examples = [{"text": text, "choices": CHOICES[:n]} for text, n in (("Ann", 2), (LONG_TEXT, 4), ("the cat", 3))]
    assert_same(ours(examples), [ours(example) for example in examples])
    assert f"1 of 3 texts were longer than {LONGEST} tokens and were truncated" in caplog.text


def test_a_long_text_is_cut_and_a_choice_never(folder: Path, ours: Any) -> None:
    answers = expected(folder, [LONG_TEXT] * 4, CHOICES, CHOICES)
    assert_same(ours(LONG_TEXT, CHOICES), answers)
    with pytest.raises(
        ValueError, match=r"the texts have 1 and 30 tokens, and a row has room for 21: shorten the text that"
    ):
        ours("Ann", ["cat", "cat " * 30])


@pytest.mark.parametrize(
    ("example", "options", "message"),
    [
        ({"text": "a", "choices": ["b"]}, {}, "'choices' has 1 of the at least 2"),
        ({"text": "a", "choices": []}, {}, "'choices' has 0 of the at least 2"),
        ({"text": "a", "choices": "bc"}, {}, "'choices' must be a list of strings; the example has"),
        ({"text": "a", "choices": ["b", 3]}, {}, "'choices' must be a list of strings"),
        ({"text": "a"}, {}, "'choices' must be a list of strings; the example has {'text': str}"),
        ({"choices": ["b", "c"]}, {}, "beside 'choices' there must be 'text', 'question', 'context'"),
        ({"text": "a", "question": "b", "choices": ["b", "c"]}, {}, "beside 'choices' there must be"),
        ({"text": " ", "choices": ["b", "c"]}, {}, "the text is empty"),
        ("a", {}, "expected a dict with 'text' and 'choices', got str 'a'"),
        ({"text": "a", "choices": ["b", "c"]}, {"top_k": 0}, "top_k is 0: it must be 1 or more"),
    ],
)
def test_bad_examples_are_refused(ours: Any, example: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours(example, **options)
