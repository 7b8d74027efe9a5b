"""`electra evaluate`: scores of a model, beside another one, and what is refused."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import electra
from electra import cli
from electra.commands.evaluate import EvaluateConfig, evaluate
from electra.inference import predictor
from tests.parity.twins import SIZES, redraw
from tests.reporting.test_page import Tags
from tests.tasks.tiny import LONGEST, VOCABULARY, WHOLE_WORDS, lively

NAMES = {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
TEXTS = [" ".join(WHOLE_WORDS[(i * k) % len(WHOLE_WORDS)] for k in range(1, 2 + i % 7)) for i in range(40)]


def make(folder: Path, architecture: str = "ElectraForSequenceClassification", **fields: Any) -> Any:
    """A model folder with weights of order one."""
    values = {**SIZES, "vocab_size": len(VOCABULARY), "max_position_embeddings": LONGEST, **fields}
    model = getattr(electra, architecture)(electra.ElectraConfig(**values))
    lively(redraw(model)).save_pretrained(folder)
    vocabulary = {token: i for i, token in enumerate(VOCABULARY)}
    electra.ElectraTokenizer(vocab=vocabulary, model_max_length=LONGEST).save_pretrained(folder)
    return model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`judge`, and `other`, whose answers are mostly the first one's opposite."""
    path = tmp_path_factory.mktemp("models")
    model = make(path / "judge", **NAMES, problem_type="single_label_classification")
    with torch.no_grad():
        model.classifier.out_proj.weight.neg_()
        model.classifier.out_proj.bias.neg_()
    model.save_pretrained(path / "other")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (path / "judge" / name).exists():
            (path / "other" / name).write_bytes((path / "judge" / name).read_bytes())
    return path


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture
def data(folders: Path, tmp_path: Path) -> Path:
    """Texts that the judge labels rightly but for every fifth."""
    said = electra.pipeline("text-classification", folders / "judge", device="cpu")(TEXTS)
    labels = [answer["label"] for answer in said]
    wrong = {"bad": "good", "good": "bad"}
    return written(
        tmp_path / "eval.jsonl",
        *(
            {"id": f"e{i}", "text": text, "label": wrong[label] if i % 5 == 0 else label}
            for i, (text, label) in enumerate(zip(TEXTS, labels, strict=True))
        ),
    )


def run(folder: Path, data: Path, **options: Any) -> dict[str, Any]:
    return evaluate(EvaluateConfig(str(folder), data=data, device="cpu", **{"resamples": 50, **options}))


def test_scores_intervals_and_classes(folders: Path, data: Path) -> None:
    found = run(folders / "judge", data)
    assert (found["examples"], found["skipped"], found["task"]) == (40, 0, "text-classification")
    assert found["scores"]["accuracy"] == 0.8
    low, high = found["intervals"]["accuracy"]
    assert 0.6 < low < 0.8 < high < 1
    assert set(found["intervals"]) == set(found["scores"])
    assert list(found["by_class"]) == ["bad", "good"]
    assert sum(row["support"] for row in found["by_class"].values()) == 40
    assert run(folders / "judge", data) == found
    assert run(folders / "judge", data, resamples=0)["intervals"] == {}
    json.dumps(found, allow_nan=False)


def test_another_model_is_told_from_chance(folders: Path, data: Path) -> None:
    found = run(folders / "judge", data, compare=str(folders / "other"))["comparison"]
    assert found["scores"]["accuracy"] == pytest.approx(0.2)
    assert (found["better"], found["worse"]) == (32, 8)
    assert found["p"] < 0.001
    difference = found["difference"]["accuracy"]
    assert difference["value"] == pytest.approx(0.6)
    assert 0 < difference["low"] < 0.6 < difference["high"] <= 1


def test_every_answer_is_written(folders: Path, data: Path, tmp_path: Path) -> None:
    run(folders / "judge", data, predictions=tmp_path / "answers.jsonl", resamples=0)
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"e{i}" for i in range(40)]
    assert sum(line["right"] for line in lines) == 32
    assert lines[0].keys() == {"line", "id", "answer", "label", "right"}
    assert lines[3]["line"] == 4


@pytest.mark.parametrize(
    ("architecture", "fields", "row", "task", "score"),
    [
        ("ElectraForTokenClassification", {"id2label": {0: "O", 1: "B-X", 2: "I-X"},
                                           "label2id": {"O": 0, "B-X": 1, "I-X": 2}},
         {"tokens": ["the", "cat"], "tags": ["O", "B-X"]}, "token-classification", "conlleval_f1"),
        ("ElectraForQuestionAnswering", {},
         {"question": "a", "context": "the cat sat", "answers": [{"text": "cat", "answer_start": 4}]},
         "question-answering", "exact"),
        ("ElectraForMultipleChoice", {}, {"text": "the", "choices": ["cat", "mat"], "label": 1}, "multiple-choice",
         "accuracy"),
        ("ElectraForSequenceClassification", {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}},
         {"query": "the", "texts": ["cat", "mat"], "labels": [1, 0]}, "text-ranking", "mrr@10"),
        ("ElectraForSequenceClassification", {"id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0},
                                              "problem_type": "regression"},
         {"text": "the cat", "label": 1.5}, "text-classification", "mean_squared_error"),
    ],
)  # fmt: skip
def test_the_task_follows_from_model_and_columns(
    tmp_path: Path, architecture: str, fields: Any, row: Any, task: str, score: str
) -> None:
    make(tmp_path / "model", architecture, **fields)
    found = run(tmp_path / "model", written(tmp_path / "a.jsonl", row, row))
    assert found["task"] == task
    assert score in found["scores"]
    json.dumps(found, allow_nan=False)


def test_a_page_of_the_answers(folders: Path, data: Path, tmp_path: Path) -> None:
    path = tmp_path / "pages" / "judge.html"
    found = run(folders / "judge", data, html=path, compare=str(folders / "other"))
    text = path.read_text("utf-8")
    for words in ("Scores", "Comparison with another model", "Confusion matrix", "By label", "Calibration", "Examples"):
        assert f"<h2>{words}</h2>" in text
    assert f"McNemar&#39;s, exact: p = {found['comparison']['p']:.3g}" in text
    assert len(re.findall(r"eval\.jsonl:\d+ \(e\d+\) · predicted", text)) == 8
    tags = Tags(text)
    assert tags.open == []
    assert "<svg" in text
    assert " examples per second." in text


def test_a_model_is_scored_as_it_was_fitted_and_what_is_given_wins(folders: Path, data: Path, tmp_path: Path) -> None:
    """Its columns, the meaning of its labels and its row length are in its folder."""
    judge = Path(shutil.copytree(folders / "judge", tmp_path / "judge"))
    config = json.loads((judge / "config.json").read_text())
    known = {"columns": {"text": ["body"]}, "label_names": {"0": "bad", "1": "good"}, "options": {"max_length": 4}}
    fields = {**config, "fitted_to": {"task": "text-classification", **known}}
    (judge / "config.json").write_text(json.dumps(fields))
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    renamed = [{"body": row["text"], "label": int(row["label"] == "good"), "text": 3} for row in rows]
    other = written(tmp_path / "other.jsonl", *renamed)
    found = run(judge, other)
    assert found["cut"] == sum(len(row["text"].split()) > 2 for row in rows) > 0
    assert run(judge, other, task="text-classification") == found
    assert run(judge, data, resamples=0)["cut"] == found["cut"]  # where a column is not there, common names are tried
    whole = run(judge, other, max_length=LONGEST)
    assert whole["cut"] == 0
    assert whole["scores"]["accuracy"] == 0.8
    assert run(judge, other, columns="text=body", max_length=LONGEST) == whole
    with pytest.raises(ValueError, match=r"other\.jsonl:1: 'text' .*must be strings"):
        run(judge, other, columns="text=text")
    compared = run(judge, other, compare=str(folders / "other"), resamples=0)["comparison"]  # which knows no columns
    assert compared["scores"]["accuracy"] == pytest.approx(0.2)
    (judge / "config.json").write_text(json.dumps({**fields, "fitted_to": "much"}))
    with pytest.raises(ValueError, match=r"judge: fitted_to in config\.json is to be a table with a task"):
        run(judge, data)


def test_a_task_by_name_and_broken_rows(folders: Path, tmp_path: Path) -> None:
    rows = ["sentence\tlabel", "the cat\t1", "the cat\t7", "cat", "a mat " + "a " * 40 + "\t0"]
    data = written(tmp_path / "dev.tsv", *rows)
    catalogue = tmp_path / "tasks.toml"
    catalogue.write_text(
        '[mine]\ntask = "text-classification"\ncolumns = {text = "sentence"}\n'
        'label_names = {0 = "bad", 1 = "good"}\nmetric = "accuracy"\n'
    )
    with pytest.raises(ValueError, match=r"dev\.tsv:4: 1 columns, the first line names 2"):
        run(folders / "judge", data, task="mine", catalogue=catalogue)
    found = run(folders / "judge", data, task="mine", catalogue=catalogue, skip_invalid=True)
    assert (found["examples"], found["skipped"], found["cut"]) == (2, 2, 1)
    found = run(folders / "judge", data, task="mine", catalogue=catalogue, skip_invalid=True, too_long="refuse")
    assert (found["examples"], found["skipped"], found["cut"]) == (1, 3, 0)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"text": "cat", "label": "fair"}, {}, r"a\.jsonl:2: the label 'fair' is none of this task's 2: 'bad', 'good'"),
        ({"text": "cat " * 40, "label": "bad"}, {"too_long": "refuse"}, r"a\.jsonl:2: .* too long for rows of 24"),
        ({"text": "cat", "label": "bad"}, {"task": "sentiment"}, r"task is 'sentiment': there is no such task"),
        ({"text": "cat", "label": "bad"}, {"threshold": 0.5, "task": "multiple-choice"}, r"no column with the choices"),
        ({"text": "cat", "label": "bad"}, {"columns": "text=body"}, r"a\.jsonl:1: no column with the text"),
    ],
)
def test_what_cannot_be_scored(folders: Path, tmp_path: Path, row: Any, options: dict[str, Any], message: str) -> None:
    data = written(tmp_path / "a.jsonl", {"text": "cat", "label": "good"}, row)
    with pytest.raises(ValueError, match=message):
        run(folders / "judge", data, **options)


def test_a_model_that_was_fitted_to_nothing(tmp_path: Path) -> None:
    make(tmp_path / "model", "ElectraForPreTraining")
    data = written(tmp_path / "a.jsonl", {"text": "cat", "label": "good"})
    with pytest.raises(ValueError, match=r"was fitted to no task with labelled examples .*electra finetune"):
        run(tmp_path / "model", data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resamples": -1}, "resamples is -1"),
        ({"confidence": 1.0}, r"confidence is 1\.0"),
        ({"too_long": "skip"}, "too_long is 'skip': choose one of cut, refuse"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_unusable_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluateConfig("model", data=Path("a.jsonl"), **options)


def test_the_verb_prints_json(folders: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(folders / "judge"), "--data", str(data), "--resamples", "5", "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["scores"]["accuracy"] == 0.8


def test_a_terminal_gets_a_table(
    folders: Path, data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["evaluate", str(folders / "judge"), str(data), "--resamples", "5", "--device", "cpu", "--quiet"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, "--compare", str(folders / "other")])
    assert not ended.value.code
    text = capsys.readouterr()
    assert text.err == ""
    assert re.search(
        r"score +value +95 % interval +most frequent class\naccuracy +0\.8 +0\.\d+ to 0\.\d+ +0\.\d+\n", text.out
    )
    assert re.search(r"label +precision +recall +f1 +support\nbad +", text.out)
    assert "better 32 times, worse 8 times; McNemar's, exact: p = " in text.out


def test_the_most_frequent_class_stands_beside_the_scores(folders: Path, data: Path) -> None:
    found = run(folders / "judge", data)
    most = max(row["support"] for row in found["by_class"].values()) / 40
    assert found["baselines"]["most frequent class"]["accuracy"] == pytest.approx(most)


def test_outputs_that_would_destroy_something(folders: Path, data: Path, tmp_path: Path) -> None:
    before = data.read_bytes()
    judge = Path(shutil.copytree(folders / "judge", tmp_path / "judge"))
    config = (judge / "config.json").read_bytes()
    for options, message in (
        ({"predictions": data}, "also the data"),
        ({"html": data, "overwrite": True}, "also the data"),
        ({"html": judge / "config.json"}, "a file of the model"),
        ({"predictions": judge / "config.json", "overwrite": True}, "a file of the model"),
        ({"predictions": tmp_path / "a", "html": tmp_path / "a"}, "are both"),
    ):
        with pytest.raises(ValueError, match=message):
            run(judge, data, resamples=0, **options)
    assert (data.read_bytes(), (judge / "config.json").read_bytes()) == (before, config)
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(ValueError, match="exists: give another name, or --overwrite"):
        run(judge, data, resamples=0, predictions=notes)
    assert notes.read_text() == "mine"
    run(judge, data, resamples=0, predictions=notes, overwrite=True)
    run(judge, data, resamples=0, predictions=notes)  # its own of before
    page = tmp_path / "page.html"
    run(judge, data, resamples=0, html=page)
    run(judge, data, resamples=0, html=page)


NAN_MODELS = [
    ("ElectraForSequenceClassification", NAMES, {"text": "the cat", "label": "bad"}),
    ("ElectraForSequenceClassification", {**NAMES, "problem_type": "multi_label_classification"},
     {"text": "the cat", "label": ["bad"]}),
    ("ElectraForSequenceClassification", {"id2label": {0: "LABEL_0"}, "problem_type": "regression"},
     {"text": "the cat", "label": 1.5}),
    ("ElectraForSequenceClassification", {"id2label": {0: "LABEL_0"}},
     {"query": "the", "texts": ["cat", "mat"], "labels": [1, 0]}),
    ("ElectraForTokenClassification", {"id2label": {0: "O", 1: "B-X"}}, {"tokens": ["the"], "tags": ["O"]}),
    ("ElectraForQuestionAnswering", {},
     {"question": "a", "context": "the cat", "answers": [{"text": "cat", "answer_start": 4}]}),
    ("ElectraForMultipleChoice", {}, {"text": "the", "choices": ["cat", "mat"], "label": 1}),
    ("ElectraForJointQuestionAnswering", {},
     {"question": "a", "context": "the cat", "answers": [{"text": "cat", "answer_start": 4}]}),
]  # fmt: skip


@pytest.mark.parametrize(("architecture", "fields", "row"), NAN_MODELS)
@pytest.mark.parametrize("where", ["weight", "output"])
def test_a_model_that_computes_nan_is_not_scored(
    tmp_path: Path, architecture: str, fields: Any, row: Any, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**fields, "label2id": {name: i for i, name in fields["id2label"].items()}} if "id2label" in fields else {}
    model = make(tmp_path / "model", architecture, **fields)
    with torch.no_grad():
        model.electra.encoder.layer[0].output.LayerNorm.bias[0] = math.nan
    model.save_pretrained(tmp_path / "model")
    if where == "output":
        monkeypatch.setattr(predictor, "require_finite_weights", lambda *_: None)
    data = written(tmp_path / "a.jsonl", row, row)
    with pytest.raises(ValueError, match=r"model: (the weight .* is|its outputs are) NaN"):
        run(tmp_path / "model", data)
