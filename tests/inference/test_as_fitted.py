"""A fitted model answers in a pipeline as it was evaluated, never with a random head, and never NaN."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import electra
from electra import pipeline
from electra.inference.predictor import is_finite
from electra.metrics.entity_metrics import EntityOutcomes
from electra.tasks.catalogue import TASKS
from tests.tasks.test_every_task import FOLDERS, OPTIONS, examples_of
from tests.tasks.tiny import TAGS, make_folder

WORDS = ["ann", "sat", "in", "paris", "the", "big", "cat", "is", "new", "york", "mat", "a"]
LENGTH = 14


def texts(count: int, length: int = 20) -> list[str]:
    """Texts of different words, longer than LENGTH tokens."""
    return [" ".join(WORDS[(i * 5 + j * (i % 3 + 1)) % len(WORDS)] for j in range(length)) for i in range(count)]


def classification(count: int) -> list[dict[str, Any]]:
    return [{"text": text, "label": "yes" if i % 2 else "no"} for i, text in enumerate(texts(count))]


def regression(count: int) -> list[dict[str, Any]]:
    return [{"text": text, "label": i / 7} for i, text in enumerate(texts(count))]


def several(count: int) -> list[dict[str, Any]]:
    return [
        {"text": text, "labels": [["joy"], ["joy", "love"], ["love"]][i % 3]} for i, text in enumerate(texts(count))
    ]


def tags(count: int) -> list[dict[str, Any]]:
    tag = {"ann": "B-PER", "paris": "B-LOC", "new": "B-LOC", "york": "I-LOC"}
    words = [text.split() for text in texts(count, 9)]
    return [{"tokens": each, "tags": [tag.get(word, "O") for word in each]} for each in words]


def questions(count: int) -> list[dict[str, Any]]:
    contexts = texts(count, 8)
    return [
        {
            "question": "who sat",
            "context": context,
            "answers": [{"text": context.split()[0], "answer_start": 0}] if i % 2 else [],
        }
        for i, context in enumerate(contexts)
    ]


def choices(count: int) -> list[dict[str, Any]]:
    return [{"text": text, "choices": ["cat", "mat", "paris"], "label": i % 3} for i, text in enumerate(texts(count))]


def rankings(count: int) -> list[dict[str, Any]]:
    return [
        {"query": "ann", "texts": texts(3, 18), "labels": [int(i % 3 == j) for j in range(3)]} for i in range(count)
    ]


EXAMPLES: dict[str, tuple[str, Callable[[int], list[dict[str, Any]]]]] = {
    "classification": ("text-classification", classification),
    "regression": ("text-classification", regression),
    "several labels": ("text-classification", several),
    "tags": ("token-classification", tags),
    "questions": ("question-answering", questions),
    "joint questions": ("joint-question-answering", questions),
    "choices": ("multiple-choice", choices),
    "rankings": ("text-ranking", rankings),
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps({k: int(v) if v is True else v for k, v in row.items()}) + "\n" for row in rows))
    return path


Fit = Callable[[str], tuple[Path, Path, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    @cache
    def fitted(kind: str) -> tuple[Path, Path, list[dict[str, Any]]]:
        folder = tmp_path_factory.mktemp("fit")
        base = make_folder(folder / "base", "ElectraForPreTraining", max_position_embeddings=40)
        task, make = EXAMPLES[kind]
        rows = make(24)
        data = write(folder / "data.jsonl", rows)
        options = {"batch_size": 8, "epochs": 1, "max_length": LENGTH + 4 * ("question" in kind), "device": "cpu"}
        electra.finetune(base, task=task, train=data, eval=data, output=folder / "fitted", quiet=True, **options)
        return folder / "fitted", data, rows

    return fitted


def scores_of_pipeline(kind: str, folder: Path, rows: list[dict[str, Any]]) -> dict[str, float]:
    """The scores of what a pipeline answers without any option but the shape of the answer."""
    answer = pipeline(model=folder, device="cpu")
    task = answer.options
    match kind:
        case "tags":
            expected = [[task.labels.index(tag) for tag in row["tags"]] for row in rows]
            predicted = [tags_of(groups, row["tokens"]) for groups, row in zip(answer(rows), rows, strict=True)]
            entities = EntityOutcomes(predicted, [[task.labels[i] for i in each] for each in expected]).scores()
            each_token = answer(rows, aggregation_strategy="none", ignore_labels=[])
            # strict scores need the tags themselves: an entity that starts with I- does not count there
            return {**task.score(each_token, rows), "conlleval_f1": entities["conlleval_f1"]}
        case "questions" | "joint questions":
            return {"exact": 100 * sum(map(is_right, answer(rows), rows)) / len(rows)}
        case "several labels":
            return task.score(answer(rows, top_k=None), rows)
        case "choices":
            return task.score(answer(rows), rows)
    return task.score(answer(rows), rows)


def is_right(answer: dict[str, Any], row: dict[str, Any]) -> bool:
    return answer["answer"] in ([each["text"] for each in row["answers"]] or [""])


def tags_of(groups: list[dict[str, Any]], words: list[str]) -> list[str]:
    """Entities -> a tag for each word."""
    starts = [len(" ".join(words[:i])) + bool(i) for i in range(len(words))]
    tags = ["O"] * len(words)
    for group in groups:
        inside = [i for i, start in enumerate(starts) if group["start"] <= start < group["end"]]
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{group['entity_group']}"
    return tags


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_score_of_evaluate_is_that_of_a_pipelines_answers(kind: str, fit: Fit) -> None:
    folder, data, rows = fit(kind)
    evaluated = electra.evaluate(folder, data, resamples=0, device="cpu")["scores"]
    for name, score in scores_of_pipeline(kind, folder, rows).items():
        assert evaluated[name] == pytest.approx(score, abs=1e-6), name


@pytest.mark.parametrize("kind", EXAMPLES)
def test_predict_and_the_pipeline_use_the_fitted_length(kind: str, fit: Fit, caplog: pytest.LogCaptureFixture) -> None:
    folder, data, rows = fit(kind)
    answer = pipeline(model=folder, device="cpu")
    assert answer.options.max_length == LENGTH + 4 * ("question" in kind)
    unlabelled = [{k: v for k, v in row.items() if k not in ("label", "labels", "tags", "answers")} for row in rows]
    assert electra.predict(folder, data, device="cpu") == list(answer(iter(unlabelled)))
    assert "fitted with" not in caplog.text
    with caplog.at_level(logging.WARNING, "electra"):
        longer = pipeline(model=folder, device="cpu", max_length=30)
    assert longer.options.max_length == 30
    assert f"max_length is 30, and the model was fitted with {LENGTH + 4 * ('question' in kind)}" in caplog.text


def test_questions_without_an_answer_are_answered_by_the_threshold(fit: Fit) -> None:
    folder, _, rows = fit("questions")
    question = rows[1]
    assert pipeline(model=folder, device="cpu", no_answer_threshold=-1e9)(question)["answer"] == ""
    assert pipeline(model=folder, device="cpu", no_answer_threshold=1e9)(question)["answer"] != ""
    several = pipeline(model=folder, device="cpu", no_answer_threshold=1e9, top_k=99)(question)
    assert "" in [each["answer"] for each in several[1:]]


def test_fitted_options_of_another_task_do_not_count(fit: Fit) -> None:
    folder, *_ = fit("classification")
    assert pipeline("text-ranking", folder, device="cpu").options.max_length == 40


# -- heads and NaN -----------------------------------------------------------------------------------------------------

HEADED = [task for task in TASKS if task.name not in ("feature-extraction", "text-generation")]


@pytest.mark.parametrize("task", HEADED, ids=lambda task: task.architecture + task.name)
def test_a_checkpoint_without_the_head_is_refused(task: Any, tmp_path: Path) -> None:
    other = "ElectraForPreTraining" if task.architecture != "ElectraForPreTraining" else "ElectraForMaskedLM"
    names = {"id2label": {0: "contradiction", 1: "entailment"}, "label2id": {"contradiction": 0, "entailment": 1}}
    folder = make_folder(tmp_path / "model", other, **names)
    name = task.aliases[0] if "joint" in "".join(task.aliases) else task.name
    options = OPTIONS.get(task.name, {})
    message = rf"has no trained head for {task.name} \(it was saved as {other}; missing: .*electra finetune"
    with pytest.raises(ValueError, match=message):
        pipeline(name, folder, device="cpu", **options)
    with pytest.raises(ValueError, match=message):
        electra.predict(folder, ["a"], task=name, device="cpu", **{k: v for k, v in options.items() if v is not None})


def test_evaluate_refuses_a_random_head_too(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "model", "ElectraForPreTraining")
    data = write(tmp_path / "a.jsonl", [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    with pytest.raises(ValueError, match="has no trained head for text-classification"):
        electra.evaluate(folder, data, task="text-classification", device="cpu")


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.architecture + task.name)
@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_answers_that_are_nan_are_refused(task: Any, value: float, tmp_path: Path) -> None:
    joint = "Joint" in task.architecture  # which transformers does not have
    architecture = "ElectraForQuestionAnswering" if joint else task.architecture
    folder = make_folder(tmp_path / "model", architecture, **FOLDERS.get(task.name, {}))
    model = getattr(electra, task.architecture).from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    name = task.aliases[0] if "joint" in "".join(task.aliases) else task.name
    tokenizer = electra.AutoTokenizer.from_pretrained(folder)
    answer = pipeline(name, model, tokenizer=tokenizer, **OPTIONS.get(task.name, {}))
    examples = examples_of(task.name)
    for inputs in (examples[0], examples):
        with pytest.raises(ValueError, match=r"the weight \S+ is NaN or infinite, so its answers mean nothing"):
            answer(inputs)


def test_what_is_finite() -> None:
    import numpy as np

    good = [1.0, "nan", [2, (3.5,)], np.zeros(3), None, np.array([1])]
    assert is_finite(good)
    for bad in (float("nan"), [float("inf")], ([1.0, (float("nan"),)],), np.array([1.0, np.nan]), [np.array([np.inf])]):
        assert not is_finite(bad)


def test_tags_of_a_fitted_model_are_of_words(fit: Fit) -> None:
    folder, *_ = fit("tags")
    assert pipeline(model=folder, device="cpu").options.aggregation_strategy == "first"
    assert pipeline(model=folder, device="cpu", aggregation_strategy="none").options.aggregation_strategy == "none"
    assert set(TAGS.values()) >= {"O"}
