"""Answers are compared as SQuAD's scripts do, and learnt from as Google's code does."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from electra.metrics.squad_metrics import AnswerOutcomes, exact, normalised, overlap
from electra.tasks.joint_question_answering import JointQuestionAnswering
from electra.tasks.question_answering import QuestionAnswering
from electra.text.tokenizer import ElectraTokenizer

FIXTURE = "fixtures/tf1/finetune/squad"


def questions(path: Path) -> list[dict[str, Any]]:
    """All questions of one of SQuAD's files."""
    paragraphs = [part for article in json.loads(path.read_text())["data"] for part in article["paragraphs"]]
    return [{**question, "context": part["context"]} for part in paragraphs for question in part["qas"]]


def test_figures_are_those_of_the_official_script(shared: Path) -> None:
    asked = questions(shared / "fixtures/tf1/data/finetuning_data/squad/dev.json")
    said = json.loads((shared / FIXTURE / "squad_preds.json").read_text())
    odds = json.loads((shared / FIXTURE / "squad_null_odds.json").read_text())
    official = json.loads((shared / FIXTURE / "squad_eval.json").read_text())
    outcomes = AnswerOutcomes.of(
        [said[question["id"]] for question in asked],
        [odds[question["id"]] for question in asked],
        [[answer["text"] for answer in question["answers"]] for question in asked],
        -2.75,
    )
    expected = {name: value for name, value in official.items() if "total" not in name and "thresh" not in name}
    assert outcomes.scores() == pytest.approx(expected)
    answered_none = replace(outcomes, threshold=outcomes.best_threshold())
    assert official["best_f1_thresh"] == 0  # which is how the script says to answer none
    assert answered_none.scores()["f1"] == pytest.approx(official["best_f1"])


def test_what_is_learnt_is_what_google_s_code_makes_of_the_examples(shared: Path) -> None:
    features = np.load(shared / FIXTURE / "reference.npz")
    data = shared / "fixtures/tf1/data"
    asked = questions(data / "finetuning_data/squad/train.json")
    tokenizer = ElectraTokenizer(str(data / "vocab.txt"))
    task = JointQuestionAnswering(max_length=64, max_question_len=16)
    items = [item for question in asked for item in task.training_items([question], tokenizer)[:1]]
    batch = task.training_batch(items[: len(features["train/in/squad_eid"])])
    for row, ids, mask in zip(batch.batch.layout.split(batch.batch.input_ids), features["train/in/input_ids"],
                              features["train/in/input_mask"], strict=True):  # fmt: skip
        assert row.tolist() == ids[mask == 1].tolist()
    for name in ("start_positions", "end_positions", "is_impossible"):
        assert batch.labels[name].tolist() == features[f"train/in/squad_{name}"].tolist()


def test_normalised_answers() -> None:
    assert normalised(" The  U.S.A.'s  an apple, a day ") == "usas apple day"
    assert exact("the Sea!", "sea") == 1
    assert overlap("the wide sea", "a sea so wide and deep") == pytest.approx(2 * 2 / (2 + 5))
    assert overlap("sea sea", "sea") == pytest.approx(2 / 3)
    assert overlap("the", "a") == 1  # nothing is left of either
    assert overlap("the", "sea") == 0


def test_an_answer_of_articles_alone_is_none() -> None:
    """Of the right answers, those of which nothing is left are not asked for."""
    assert AnswerOutcomes.of(["the"], [-1.0], [["a", "sea"]], 0.0).scores()["exact"] == 0
    assert AnswerOutcomes.of(["the"], [-1.0], [["a"]], 0.0).scores()["exact"] == 100


def test_a_threshold_decides_and_the_best_one_is_found() -> None:
    odds = [-1.0, 3.0, 1.0, 2.0]
    outcomes = AnswerOutcomes.of(["sea", "sea", "river", "road"], odds, [["sea"], [], ["the river", "a road"], []], 0.0)
    found = outcomes.scores()
    assert found["exact"] == 75  # the river is held back
    assert (found["HasAns_exact"], found["NoAns_exact"]) == (50, 100)
    assert (found["best_exact"], outcomes.best_threshold("exact")) == (100, 1.5)  # between the river and the road
    assert outcomes.scores(np.array([0, 0, 2]))["exact"] == pytest.approx(200 / 3)
    assert math.isnan(outcomes.scores(np.array([0]))["NoAns_f1"])


@pytest.mark.parametrize(
    ("odds", "answers", "threshold"),
    [
        ([1.0, 1.0, 3.0], [["sea"], [], ["sea"]], 4.0),  # all
        ([1.0, 2.0, 2.0], [["sea"], ["sea"], []], 1.5),  # the second cannot be told from the third
        ([1.0, 2.0, 3.0], [[], [], ["sea"]], 0.0),  # none
    ],
)
def test_no_question_is_at_the_best_threshold(odds: list[float], answers: list[list[str]], threshold: float) -> None:
    """Weights that were merged, or another device, move odds by 1e-6: the scores stay what they are."""
    outcomes = AnswerOutcomes.of(["sea"] * 3, odds, answers, 0.0)
    assert outcomes.best_threshold() == threshold
    shifted = [replace(outcomes, threshold=threshold + step).scores()["f1"] for step in (-1e-3, 0, 1e-3)]
    assert shifted == pytest.approx([200 / 3] * 3)


def test_every_question_with_an_answer_is_answered() -> None:
    task = QuestionAnswering(max_length=64)
    examples = [{"question": "?", "context": "the sea", "answers": [{"text": "sea", "answer_start": 4}]}]
    predictions = [{"answer": "sea", "score": 0.1, "no_answer": 9.0}]
    assert task.score(predictions, examples) == {"exact": 100, "f1": 100}
    examples.append({"question": "?", "context": "the sea", "answers": []})
    assert task.score(predictions * 2, examples)["exact"] == 50


def test_google_s_threshold_of_the_joint_head() -> None:
    assert JointQuestionAnswering().for_scoring().no_answer_threshold == -2.75
    odds = JointQuestionAnswering().no_answer_odds(1 / (1 + math.exp(2.0)), 0.3)
    assert odds == pytest.approx(-2.0)
