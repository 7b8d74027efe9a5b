"""What a fit tells beside its scores: baselines, warnings, and the labels of a model that was fine-tuned before."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from electra.batch import Row
from electra.commands.finetune import finetune
from electra.config import ElectraConfig
from electra.evaluation.baselines import simple_baselines, trained_baselines
from electra.finetuning.diagnosis import better_baseline, never_predicted, stayed_at_chance, unknown_pieces
from electra.finetuning.finetune_config import FinetuneConfig
from electra.finetuning.fitted_labels import with_labels_of_model
from electra.labelled.task_presets import NAMED_TASKS
from electra.metrics.task_metrics import LabelOutcomes, SetOutcomes
from electra.models import ElectraForSequenceClassification
from electra.pipelines import pipeline
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.labelled_task import TrainingItem
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification
from tests.finetuning.toy import examples, settings, write

COLOURS = ["red", "green", "blue"]


def coloured(count: int, seed: int) -> list[dict[str, str]]:
    """Texts whose label is the colour in them, and of three labels one is half of all."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        colour = draw.choice(["red", "red", "green", "blue"])
        rows.append({"text": f"the {colour} {draw.choice(['tree', 'road', 'cloud'])}", "label": colour})
    return rows


def test_baselines_of_classes() -> None:
    task = TextClassification(labels=("blue", "green", "red"), problem_type="single_label_classification")
    train, held_out = coloured(200, 0), coloured(60, 1)
    frequent = simple_baselines(task, train, held_out)["most frequent class"]
    assert frequent["accuracy"] == sum(row["label"] == "red" for row in held_out) / 60
    assert frequent["matthews"] == 0
    assert trained_baselines(task, train, held_out)["TF-IDF with logistic regression"]["accuracy"] == 1
    one = [row for row in train if row["label"] == "red"]
    assert trained_baselines(task, one, held_out) == {}
    assert trained_baselines(task, [{**row, "text": "!"} for row in train], held_out) == {}


def test_baselines_of_the_other_tasks() -> None:
    several = TextClassification(labels=("a", "b"), problem_type="multi_label_classification")
    rows = [{"text": "apple pie" if i % 3 else "bread", "label": ["a", "b"] if i % 3 else ["b"]} for i in range(30)]
    assert simple_baselines(several, rows, rows)["labels of most examples"]["accuracy"] == pytest.approx(2 / 3)
    assert trained_baselines(several, rows, rows)["TF-IDF with logistic regression"]["accuracy"] == 1
    numbers = TextClassification(labels=("LABEL_0",), problem_type="regression")
    graded = [{"text": "good film" if i % 2 else "bad film", "label": float(i % 2)} for i in range(30)]
    assert simple_baselines(numbers, graded, graded)["mean of the labels"]["mean_squared_error"] == 0.25
    assert trained_baselines(numbers, graded, graded)["TF-IDF with ridge regression"]["pearson"] == pytest.approx(1)
    words = TokenClassification(labels=("O", "B-X"))
    tagged = [{"tokens": ["one", "two", "six"], "tags": ["O", "B-X", "O"]}] * 3
    assert simple_baselines(words, tagged, tagged)["most frequent tag"]["accuracy"] == pytest.approx(2 / 3)
    assert trained_baselines(words, tagged, tagged)["most frequent tag of each word"]["f1"] == 1
    choices = [{"text": "t", "choices": ["x", "y"], "label": int(i > 0)} for i in range(4)]
    assert simple_baselines(MultipleChoice(), choices, choices)["most frequent choice"] == {"accuracy": 0.75}
    ranked = [
        {"query": "q", "texts": ["a", "b"], "labels": [1.0, 0.0]},
        {"query": "q", "texts": ["a", "b"], "labels": [0, 1]},
    ]
    assert simple_baselines(TextRanking(), ranked, ranked)["order of the input"]["mrr@10"] == 0.75
    assert simple_baselines(QuestionAnswering(), [], []) == trained_baselines(QuestionAnswering(), [], []) == {}


def test_classes_that_are_never_predicted_are_named() -> None:
    outcomes = LabelOutcomes(np.array([0, 0, 1, 0]), np.array([0, 2, 1, 2]), ("a", "b", "c", "d"))
    assert never_predicted(outcomes) == (
        "never predicted, though the evaluation examples have them: c (2). "
        "Try --class-weights balanced, more --epochs, or more examples of them"
    )
    assert never_predicted(LabelOutcomes(np.array([0, 1]), np.array([1, 0]), ("a", "b"))) is None
    sets = SetOutcomes(np.array([[1, 0], [1, 0]], bool), np.array([[1, 1], [1, 0]], bool), ("a", "b"))
    assert "b (1)" in str(never_predicted(sets))


def test_a_baseline_that_is_better_is_named() -> None:
    baselines = {"one": {"accuracy": 0.5}, "two": {"accuracy": 0.932}}
    warning = better_baseline("accuracy", {"accuracy": 0.894}, baselines)
    assert warning is not None
    assert warning.startswith(
        "a baseline is as good as the model or better: accuracy 0.9320 of two, 0.8940 of the model"
    )
    assert better_baseline("accuracy", {"accuracy": 0.94}, baselines) is None
    assert better_baseline("pearson", {"pearson": 0.3}, {"mean": {"pearson": math.nan}}) is None
    assert better_baseline("mean_squared_error", {"mean_squared_error": 2.0}, {"mean": {"mean_squared_error": 1.0}})
    assert (
        better_baseline("mean_squared_error", {"mean_squared_error": 0.5}, {"mean": {"mean_squared_error": 1.0}})
        is None
    )


def test_a_fit_tells_what_is_wrong_with_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Random labels, in words that the vocabulary has not, are not learnt."""
    draw = random.Random(0)
    rows = [{"text": "ÞÞÞ tree ÐÐÐ", "label": draw.choice(["no", "yes", "yes"])} for _ in range(240)]
    train, held_out = write(tmp_path / "random.jsonl", rows), write(tmp_path / "random_eval.jsonl", rows[:90])
    config = settings(folder, tmp_path, train=train, eval=held_out, epochs=4, restarts=0, quiet=False)
    result = finetune(config)
    assert result is not None
    warnings = " ".join(result["warnings"])
    said = " ".join(capsys.readouterr().err.split())
    for message in ("unknown to the model's vocabulary", "a baseline is as good", "never predicted"):
        assert message in warnings
        assert message in said
        assert message.replace("'", "&#39;") in (config.output / "report.html").read_text("utf-8")
    assert set(result["baselines"]) == {"most frequent class", "TF-IDF with logistic regression"}
    assert json.loads((config.output / "scores.json").read_text())["baselines"] == result["baselines"]
    assert unknown_pieces([], 0) is None


def test_a_loss_that_stays_at_chance_is_named() -> None:
    items = [TrainingItem((Row([1, 2]),), label) for label in (0, 1, 0, 1)]
    message = stayed_at_chance(items, [0.8, 0.69], 100)
    assert message is not None
    assert message.startswith("the training loss stayed at chance: it is 0.690, and 0.693 without reading the texts")
    assert stayed_at_chance(items, [0.8, 0.6], 100) is None
    assert stayed_at_chance(items, [0.8, 0.69], 10) is None
    assert stayed_at_chance([TrainingItem((Row([1]),), 0.5)], [9.0], 100) is None


def labelled(count: int, seed: int, labels: dict[str, str]) -> list[dict[str, Any]]:
    return [{**row, "label": labels[row["label"]]} for row in examples(count, seed)]


def test_going_on_from_a_fitted_model_keeps_its_labels_in_their_order(folder: Path, tmp_path: Path) -> None:
    """The second files have only names that sort otherwise; the model was right, and stays so without any learning."""
    first = settings(folder, tmp_path, output=tmp_path / "first")
    finetune(first)  # no, yes
    fields = json.loads((first.output / "config.json").read_text())
    assert fields["id2label"] == {"0": "no", "1": "yes"}
    swapped = {"id2label": {"0": "yes", "1": "no"}, "label2id": {"yes": 0, "no": 1}}
    (first.output / "config.json").write_text(json.dumps({**fields, **swapped}))
    rows = labelled(60, 5, {"no": "yes", "yes": "no"})
    train = write(tmp_path / "again.jsonl", rows)
    again = settings(first.output, tmp_path, train=train, eval=train, output=tmp_path / "again", learning_rate=1e-12)
    result = finetune(again)
    assert result is not None
    assert result["scores"]["accuracy"] >= 0.95
    assert json.loads((again.output / "config.json").read_text())["id2label"] == {"0": "yes", "1": "no"}


def test_new_labels_come_behind_and_the_others_keep_their_rows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = settings(folder, tmp_path, output=tmp_path / "first")
    finetune(first)
    rows = [*labelled(60, 5, {"no": "no", "yes": "yes"}), *({"text": "cloud", "label": "maybe"} for _ in range(6))]
    train = write(tmp_path / "more.jsonl", [row for row in rows if row["label"] != "yes"])
    held_out = write(tmp_path / "more_eval.jsonl", rows[:60])
    options: dict[str, Any] = {"train": train, "eval": held_out, "output": tmp_path / "more", "learning_rate": 1e-12}
    config = settings(first.output, tmp_path, **options, epochs=1, quiet=False)
    result = finetune(config)
    assert result is not None
    said = " ".join(capsys.readouterr().err.split())
    assert "labels that the model did not have: maybe" in said
    assert "labels of the model of which there is no training example: yes" in said
    assert json.loads((config.output / "config.json").read_text())["id2label"] == {"0": "no", "1": "yes", "2": "maybe"}
    before, after = (
        ElectraForSequenceClassification.from_pretrained(path).classifier.out_proj.weight
        for path in (first.output, config.output)
    )
    assert (after[:2] - before).abs().max() < 1e-6
    answers = pipeline("text-classification", config.output, device="cpu", top_k=None)(
        [row["text"] for row in rows[:60]]
    )
    scores = [{each["label"]: each["score"] for each in answer} for answer in answers]
    right = [(each["yes"] > each["no"]) == (row["label"] == "yes") for each, row in zip(scores, rows, strict=False)]
    assert sum(right) >= 57


def test_labels_of_unrelated_models_are_not_taken_over() -> None:
    task = TextClassification(labels=("a", "b"), problem_type="single_label_classification")
    config = ElectraConfig(id2label={0: "x", 1: "y"}, label2id={"x": 0, "y": 1})
    config.architectures = ["ElectraForSequenceClassification"]
    assert with_labels_of_model(task, config) == (task, [])
    config = ElectraConfig(id2label={0: "b", 1: "a"}, label2id={"b": 0, "a": 1})
    assert with_labels_of_model(task, config) == (task, [])  # a pretrained model
    config.architectures = ["ElectraForSequenceClassification"]
    assert with_labels_of_model(task, config)[0].labels == ("b", "a")  # type: ignore[attr-defined]


def test_the_metric_that_was_asked_for_selects_the_model(folder: Path, tmp_path: Path) -> None:
    result = finetune(settings(folder, tmp_path, epochs=1, metric="macro_f1"))
    assert result is not None
    assert result["main"] == "macro_f1"
    with pytest.raises(ValueError, match=r"metric is .f2.: choose one of accuracy, .*f1; these are"):
        finetune(settings(folder, tmp_path, epochs=1, metric="f2", output=tmp_path / "other"))


def test_the_help_lists_tasks_and_metrics() -> None:
    from electra.commands.verb import field_docstrings

    texts = field_docstrings(FinetuneConfig)
    for name in (*NAMED_TASKS, *(task.name for task in LABELLED_TASKS)):
        assert name in texts["task"]
    for name in ("accuracy", "matthews", "micro_f1", "pearson", "conlleval_f1", "exact", "ndcg@10"):
        assert name in texts["metric"]


def test_a_part_is_held_out_where_no_evaluation_examples_are_given(folder: Path, tmp_path: Path) -> None:
    rows = [{**row, "text": f"{row['text']} {i}", "author": f"a{i % 10}"} for i, row in enumerate(examples(100))]
    train = write(tmp_path / "all.jsonl", rows)
    config = settings(folder, tmp_path, train=train, eval=train, epochs=1)
    options: dict[str, Any] = {"eval": None, "columns": "group=author", "eval_fraction": 0.3}
    result = finetune(replace(config, **options))
    assert result is not None
    assert 25 <= result["examples"] <= 40
    lines = [json.loads(line)["line"] for line in (config.output / "predictions.jsonl").read_text().splitlines()]
    authors = {(line - 1) % 10 for line in lines}
    assert len(lines) == 10 * len(authors)
    text = (config.output / "README.md").read_text()
    assert "all.jsonl (30 % held out)" in text
    assert f"all.jsonl:{lines[0]}" in (config.output / "report.html").read_text() or "Worst answers" not in text
    with pytest.raises(ValueError, match="there is no column 'writer'"):
        finetune(replace(config, eval=None, columns="group=writer", output=tmp_path / "other"))
    with pytest.raises(ValueError, match="leave them out where --eval is given"):
        replace(config, eval_fraction=0.3)


def test_evaluation_texts_in_the_training_set_are_told_and_can_be_dropped(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{**row, "text": f"{row['text']} {i}"} for i, row in enumerate(examples(60))]
    train, held_out = write(tmp_path / "some.jsonl", rows), write(tmp_path / "some_eval.jsonl", rows[50:] + rows[:5])
    config = settings(folder, tmp_path, train=train, eval=held_out, epochs=1, quiet=False)
    result = finetune(config)
    message = "15 of 15 evaluation texts are in the training set (such as"
    said = " ".join(capsys.readouterr().err.split())
    assert result is not None
    assert message in said
    assert said.count(message) == 1
    assert message in result["warnings"][0]
    dropped = finetune(replace(config, drop_overlap=True, output=tmp_path / "dropped"))
    assert dropped is not None
    assert "15 training examples are left out" in dropped["warnings"][0]
    data = json.loads((tmp_path / "dropped" / "scores.json").read_text())["data"]
    assert data["train"]["examples"] == 45
    with pytest.raises(ValueError, match=r"every example of .*some\.jsonl is also in"):
        finetune(replace(config, eval=train, drop_overlap=True, output=tmp_path / "same"))


def test_cross_validation_evaluates_every_example_in_one_fold(folder: Path, tmp_path: Path) -> None:
    """A label of one example is known to all folds, though only four of five learn it."""
    rows = [{**row, "text": f"{row['text']} {i}"} for i, row in enumerate(examples(60))]
    train = write(tmp_path / "all.jsonl", [*rows, {"text": "cloud", "label": "rare"}])
    config = settings(folder, tmp_path, train=train, eval=train, epochs=1)
    config = replace(config, eval=None, folds=3, seed=7)
    result = finetune(config)
    assert result is not None
    assert result["seeds"] == 3
    assert list(result["by_seed"]) == ["7", "8", "9"]
    assert set(result["mean"]) == set(result["scores"])
    assert "rare" in json.loads((config.output / "config.json").read_text())["id2label"].values()
    lines = [json.loads(line)["line"] for line in (config.output / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == result["examples"] in (20, 21)
    assert "one of 3 folds" in (config.output / "README.md").read_text()
    for changes in ({"eval": train}, {"eval_fraction": 0.5}):
        with pytest.raises(ValueError, match="folds is given beside eval"):
            replace(config, **changes)
