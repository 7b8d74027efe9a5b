"""The threshold for several labels, and what scores say of a model that says nothing."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from electra.commands.finetune import finetune
from electra.config import ElectraConfig
from electra.finetuning import scoring
from electra.finetuning.failures import tells_nothing
from electra.finetuning.scoring import best_decision
from electra.models import ElectraForSequenceClassification
from electra.pipelines import pipeline
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from tests.finetuning.toy import WORDS, settings, write

TASK = TextClassification(labels=("a", "b"), problem_type="multi_label_classification", top_k=None)


@pytest.mark.parametrize(("more", "expected"), [(0.0, 0.25), (0.5, 0.72)])
def test_the_threshold_with_the_best_score_is_found(more: float, expected: float) -> None:
    """0.22 to 0.25 are right everywhere, or 0.72 to 0.75: the one closest to 0.5 is taken."""
    scores = [(0.30, 0.05), (0.25, 0.20), (0.02, 0.35), (0.21, 0.01)]
    answers = [[{"label": "a", "score": a + more}, {"label": "b", "score": b + more}] for a, b in scores]
    examples = [{"label": label} for label in (["a"], ["a"], ["b"], [])]
    assert best_decision(TASK, answers, examples) == expected
    right = replace(TASK, decision_threshold=expected).score(answers, examples)["micro_f1"]
    assert right == 1.0
    assert replace(TASK, decision_threshold=0.5).score(answers, examples)["micro_f1"] < 1


def test_the_threshold_is_the_best_for_the_score_that_counts() -> None:
    """b is rare and never sure, and where it is said, a is said too often: which the mean of both F1 is worth."""
    scores = [(0.9, 0.1)] * 6 + [(0.2, 0.25), (0.2, 0.1)] + [(0.3, 0.1)] * 6
    answers = [[{"label": "a", "score": a}, {"label": "b", "score": b}] for a, b in scores]
    examples = [{"label": label} for label in [["a"]] * 6 + [["b"], ["a"]] + [[]] * 6]
    found = {metric: best_decision(TASK, answers, examples, metric) for metric in (None, "macro_f1", "accuracy")}
    for metric, threshold in found.items():
        best = max(
            replace(TASK, decision_threshold=t / 100).score(answers, examples)[metric or "micro_f1"]
            for t in range(1, 100)
        )
        assert replace(TASK, decision_threshold=threshold).score(answers, examples)[metric or "micro_f1"] == best
    assert found == {None: 0.5, "macro_f1": 0.2, "accuracy": 0.5}


@pytest.mark.parametrize(
    ("scores", "nothing"),
    [
        ({"accuracy": 0.9, "matthews": 0.0}, True),
        ({"accuracy": 0.5, "matthews": 0.1, "f1": 0.0}, False),
        ({"f1": 0.0, "accuracy": 0.8}, True),
        ({"pearson": math.nan, "mean_squared_error": 2.0}, True),
        ({"accuracy": 0.0}, False),
    ],
)
def test_scores_of_one_answer_to_everything(scores: dict[str, float], nothing: bool) -> None:
    assert tells_nothing(scores) is nothing


def test_a_multi_label_model_keeps_its_threshold(folder: Path, tmp_path: Path) -> None:
    """Few of many labels are right for a text: 0.5 is too high for a model that has learnt little."""
    draw = random.Random(0)
    texts = [draw.sample(WORDS, k=3) for _ in range(160)]
    rows = [{"text": " ".join(words), "label": words} for words in texts]
    train, held_out = write(tmp_path / "a.jsonl", rows[:120]), write(tmp_path / "b.jsonl", rows[120:])
    config = settings(folder, tmp_path, train=train, eval=held_out, epochs=1, learning_rate=1e-3)
    found = finetune(config)
    assert 0 < found["threshold"] < 1
    written = ElectraConfig.from_pretrained(config.output)
    assert written.decision_threshold == found["threshold"]
    judge = pipeline("text-classification", str(config.output), top_k=None)
    assert judge.options.decision_threshold == found["threshold"]
    answers = judge([row["text"] for row in rows[120:]])
    tuned, usual = (
        replace(judge.options, decision_threshold=t).score(answers, rows[120:])["micro_f1"]
        for t in (found["threshold"], 0.5)
    )
    assert tuned == pytest.approx(found["scores"]["micro_f1"])
    assert tuned > usual
    assert json.loads((config.output / "scores.json").read_text())["threshold"] == found["threshold"]


def test_a_folder_without_a_threshold_has_the_usual_one(folder: Path) -> None:
    model = ElectraForSequenceClassification.from_pretrained(folder)
    assert TextClassification.from_config(model.config).decision_threshold == 0.5


def test_no_answer_is_given_from_a_threshold_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of four questions have no answer, which is told by log odds above 1; where all have one, nothing is tuned."""
    answered = {"question": "q", "context": "the sea", "answers": [{"text": "sea", "answer_start": 4}]}
    rows = [answered, {**answered, "answers": []}, answered, {**answered, "answers": []}]
    odds = iter([0.5, 1.5, 1.0, 2.0])
    said = [{"answer": "sea", "score": 0.5, "no_answer": next(odds)} for _ in rows]
    monkeypatch.setattr(scoring, "answer_all", lambda *given: said)
    task = QuestionAnswering()
    found = scoring.with_threshold(None, None, task, rows)
    assert found is not None
    name, threshold, scores = found
    assert (name, threshold) == ("no_answer_threshold", 1.25)
    assert scores["f1"] == 100.0
    assert task.for_scoring().score(said, rows)["f1"] == 50.0
    assert scoring.with_threshold(None, None, task, [answered]) is None


@pytest.mark.parametrize(("metric", "threshold"), [(None, 1.5), ("f1", 1.5), ("exact", 0.75), ("best_f1", 1.5)])
def test_no_answer_is_given_by_the_score_that_counts(
    monkeypatch: pytest.MonkeyPatch, metric: str | None, threshold: float
) -> None:
    """The second answer is nearly right, which F1 alone counts; the third question has none."""
    answered = {"question": "q", "context": "the sea", "answers": [{"text": "sea", "answer_start": 4}]}
    rows = [answered, answered, {**answered, "answers": []}]
    pairs = (("sea", 0.5), ("wide sea", 1.0), ("sea", 2.0))
    said = [{"answer": answer, "score": 0.5, "no_answer": odds} for answer, odds in pairs]
    monkeypatch.setattr(scoring, "answer_all", lambda *given: said)
    found = scoring.with_threshold(None, None, QuestionAnswering(), rows, metric)
    assert found is not None
    assert found[1] == threshold
