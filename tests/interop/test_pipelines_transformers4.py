"""Question answering against transformers 4.57, the last line of versions that has that pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from electra import pipeline
from tests.tasks.tiny import LONG_CONTEXT, QUESTIONS, assert_same, make_folder

pytestmark = pytest.mark.interop

ASK = """
import logging
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
from transformers import pipeline

qa = pipeline("question-answering", given["folder"], device="cpu")
print(json.dumps([qa(**call) for call in given["calls"]]))
"""
Run = Callable[[str, Any], Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # 64 positions: a window has room for a question and some thirty tokens of context
    return make_folder(tmp_path_factory.mktemp("qa"), "ElectraForQuestionAnswering", max_position_embeddings=64)


SHORT = "Ann sat on a mat in New York , and the bigger cat is in Paris ."
PIECES = "Ann is singing in Zürich: don't 日本 sit!"


def calls() -> list[dict[str, Any]]:
    first = QUESTIONS[0]
    plain = [
        {"question": question, "context": context}
        for question in QUESTIONS
        for context in (SHORT, PIECES, LONG_CONTEXT)
    ]
    options: list[dict[str, Any]] = [
        {"top_k": 4},
        {"handle_impossible_answer": True, "top_k": 3},
        {"max_answer_len": 1, "top_k": 2},
        {"align_to_words": False, "top_k": 5},
        {"max_seq_len": 24, "doc_stride": 6},
        {"max_seq_len": 24, "doc_stride": 0, "top_k": 7},
        {"max_seq_len": 40, "doc_stride": 20, "handle_impossible_answer": True, "top_k": 30},
    ]
    return [
        *plain,
        *({"question": first, "context": context, **each} for each in options for context in (SHORT, LONG_CONTEXT)),
        *({"question": first, "context": PIECES, **each} for each in options[:4]),
        {"question": QUESTIONS, "context": LONG_CONTEXT},
        {"question": QUESTIONS[:2], "context": [SHORT, PIECES], "top_k": 2},
        {"question": [first], "context": SHORT},
    ]


def test_answers_equal_transformers_4(folder: Path, transformers4: Run) -> None:
    """Scores to 1e-5, spans and texts exactly; several windows, no answer, several answers, several questions."""
    theirs = transformers4(ASK, {"folder": str(folder), "calls": calls()})
    ours = pipeline("question-answering", folder, device="cpu")
    for call, expected in zip(calls(), theirs, strict=True):
        assert_same(ours(**call), expected, where=str(call))
    starts = {answer["start"] for answer in theirs if isinstance(answer, dict)}
    assert len(starts) > 8, "the model is to choose different places"


ASK_EACH = """
import logging
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from transformers import pipeline

qa = pipeline("question-answering", given["folder"], device="cpu")
answers = []
for call in given["calls"]:
    try:
        answers.append(qa(**call))
    except BaseException as error:
        answers.append(type(error).__name__)
print(json.dumps(answers))
"""


def test_where_we_differ_from_transformers_4(folder: Path, transformers4: Run) -> None:
    cases: list[dict[str, Any]] = [
        {"question": "cat " * 40, "context": LONG_CONTEXT},
        {"question": "a", "context": "Paris", "top_k": 3},
        {"question": "a", "context": "Paris", "top_k": 1},
        {"question": "a", "context": "the cat bigger", "top_k": 30, "max_seq_len": 7, "doc_stride": 0},
    ]
    panic, many, one, cut = transformers4(ASK_EACH, {"folder": str(folder), "calls": cases})
    ours = pipeline("question-answering", folder, device="cpu")
    ours_long, ours_many, ours_one, ours_cut = (ours(**case) for case in cases)
    # the stride exceeds what a long question leaves of a window
    assert panic == "PanicException"
    assert ours_long["answer"]
    # spans that touch [CLS] are no answers
    assert [answer["answer"] for answer in many] == ["Paris", ""]
    assert [answer["answer"] for answer in ours_many] == ["Paris"]
    assert_same(ours_one, one)
    # where a window ends within a word, the answer is the whole word
    assert "big" in [answer["answer"] for answer in cut]
    assert "bigger" in [answer["answer"] for answer in ours_cut]
    assert not any(answer["answer"].endswith("big") for answer in ours_cut)
