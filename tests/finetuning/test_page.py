"""A fitted model's page and card, and that `evaluate` scores it as it was scored when it was fitted."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from electra.commands.evaluate import EvaluateConfig, evaluate
from electra.commands.finetune import finetune
from electra.commands.report import ReportConfig, report
from electra.config import ElectraConfig
from electra.evaluation.answer_sections import MARKS
from electra.finetuning.output import output_folder as written
from electra.finetuning.output.finetuning_page import is_fitted, read_fit
from electra.labelled.fitted_task import FIELD
from electra.reporting import curves
from tests.finetuning.toy import WORDS, examples, settings, write
from tests.reporting.test_page import Tags

NASTY = "<img src=x onerror=alert(1)>"


def rows(task: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Labelled examples of every task, some of them too long for a row of 16 tokens."""
    draw, made = random.Random(seed), []
    for one in examples(count, seed):
        words = one["tokens"] * (3 if draw.random() < 0.2 else 1)
        text, red = " ".join(words), one["label"] == "yes"
        first = words.index("red") if red else 0
        start = len(" ".join([*words[:first], ""]))
        answers = [{"text": "red", "answer_start": start}] if red else []
        tags = ["B-RED" if word == "red" else "O" for word in words]
        made.append(
            {
                "classification": {"body": text, "stars": one["label"]},
                "several": {"text": text, "label": sorted(set(words) & {"red", "green", "blue"})},
                "regression": {"text": text, "label": round(len(words) + 0.5 * red, 1)},
                "named": {"#1 String": text, "#2 String": " ".join(words[::-1]), "Quality": str(int(red))},
                "entities": {"tokens": words, "tags": tags},
                "words": {"tokens": words, "tags": [word[0] for word in words]},
                "answers": {"question": "red?", "context": f"{text} stone", "answers": answers},
                "all answered": {
                    "question": "red?",
                    "context": text,
                    "answers": [{"text": words[first], "answer_start": start if red else 0}],
                },
                "choices": {"text": text, "choices": ["red", "grey", "tree"][: 2 + red], "label": int(red)},
                "rankings": {
                    "query": "red",
                    "texts": [text, *draw.sample(WORDS, 3)],
                    "labels": [float(red), 0.0, 0.0, float(not red)],
                },
            }[task]
        )
    return made


OPTIONS: dict[str, dict[str, Any]] = {
    "classification": {"task": "text-classification", "columns": "text=body,label=stars"},
    "several": {"task": "text-classification"},
    "regression": {"task": None},
    "named": {"task": "mrpc", "epochs": 1},
    "entities": {"task": None},
    "words": {"task": "token-classification"},
    "answers": {"task": "question-answering"},
    "all answered": {"task": "squad1", "epochs": 1, "max_length": 20},
    "choices": {"task": None},
    "rankings": {"task": "text-ranking"},
}
SHOWN: dict[str, list[str]] = {
    "classification": ["Confusion matrix", "By label", "Calibration", "Worst answers", "examples that are truncated"],
    "several": ["By label", "Calibration", "Worst answers", "Its threshold is"],
    "regression": ["Numbers", "Worst answers", "lowest"],
    "named": ["Confusion matrix", "By label", "<b>text_pair</b>", "not_equivalent"],
    "entities": ["Confusion matrix", "By label", "Worst answers", "examples read in several windows"],
    "words": ["Confusion matrix", "most frequent confusions", "Calibration"],
    "answers": ["an answer</th>", "without an answer", "<b>context</b>", "read in several windows", MARKS],
    "all answered": ["Worst answers", "<b>question</b>", "with an answer"],
    "choices": ["Calibration", "choice 1 is right", "Worst answers"],
    "rankings": ["the first relevant text is ranked", "<b>query</b>", "relevant texts"],
}


def answers(path: Path) -> list[Any]:
    return [json.loads(line)["answer"] for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("task", OPTIONS)
def test_every_task_has_a_page_and_is_scored_again_as_it_was(folder: Path, tmp_path: Path, task: str) -> None:
    """Little is learnt, so that there are errors of every kind; rows are shorter than the model could read."""
    train, held_out = (write(tmp_path / f"{name}.jsonl", rows(task, 60, i)) for i, name in enumerate(("train", "eval")))
    options = {"max_length": 16, "epochs": 2, "learning_rate": 1e-3, **OPTIONS[task]}
    config = settings(folder, tmp_path, train=train, eval=held_out, **options)
    found = finetune(config)

    text = (config.output / "report.html").read_text("utf-8")
    for words in ("Scores", "Curves", "Settings", "The model is seed 0", *SHOWN[task]):
        assert words in text
    tags = Tags(text)
    assert tags.open == []
    assert "script" not in tags.seen
    curves_of_scores = len(found["scores"]) if options["epochs"] > 1 else 0  # one evaluation is no curve
    assert text.count("<svg") >= 3 + curves_of_scores
    assert len(text) < 400_000

    def evaluated(**given: Any) -> tuple[dict[str, Any], list[Any]]:
        path = tmp_path / "answers.jsonl"
        options = {"data": held_out, "device": "cpu", "predictions": path, **given}
        return evaluate(EvaluateConfig(str(config.output), **options)), answers(path)

    known = json.loads((config.output / "scores.json").read_text())["data"]["eval"]
    assert known["examples"] == 60
    if task in ("entities", "words", "classification"):  # a word is a token, and a row has room for 14
        longer = sum(len(row.get("tokens") or row["body"].split()) > 14 for row in rows(task, 60, 1))
        assert known["cut" if task == "classification" else "in_windows"] == longer > 0

    again, said = evaluated()
    assert again["scores"] == pytest.approx(found["scores"], abs=1e-12, nan_ok=True)
    assert again["intervals"] == found["intervals"]
    assert said == answers(config.output / "predictions.jsonl")
    assert said != evaluated(max_length=24, resamples=0)[1], "how long rows are makes a difference"


def test_the_page_is_made_again_from_the_folder_alone(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, epochs=2, seeds=2)
    finetune(config)
    before = (config.output / "report.html").read_text("utf-8")
    assert "the best of 2 seeds" in before
    assert ">seed 0<" in before
    assert ">seed 1<" in before
    assert "± standard deviation" in before
    config.train.unlink()
    config.eval.unlink()
    (config.output / "model.safetensors").unlink()
    assert report(ReportConfig((config.output,))) == config.output / "report.html"
    assert (config.output / "report.html").read_text("utf-8") == before
    other = report(ReportConfig((config.output,), output=tmp_path / "there" / "page.html"))
    assert other.read_text("utf-8") == before
    with pytest.raises(ValueError, match=r"is a fitted model: give it alone, or compare two with `electra evaluate"):
        report(ReportConfig((config.output, tmp_path)))


@pytest.fixture(scope="module")
def fitted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier whose texts and labels are no HTML."""
    path = tmp_path_factory.mktemp("fitted")
    made = [
        {"text": f"{one['text']} {NASTY}", "label": NASTY if one["label"] == "yes" else "a"} for one in examples(60)
    ]
    train, held_out = write(path / "train.jsonl", made), write(path / "eval.jsonl", made[:20])
    finetune(settings(folder, path, train=train, eval=held_out, output=path / "a <b> model", epochs=1))
    return path / "a <b> model"


@pytest.fixture
def copied(fitted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fitted, tmp_path / "a <b> model"))


def test_nothing_in_the_page_is_taken_for_html(fitted: Path) -> None:
    text = (fitted / "report.html").read_text("utf-8")
    tags = Tags(text)
    assert "img" not in tags.seen
    assert "b" not in tags.seen  # one text has no name before it
    assert MARKS not in text  # nothing is marked in it
    assert tags.text.count(NASTY) > 10
    assert "Fine-tuning: a <b> model" in tags.text
    outside = set(re.findall(r"""(?:href|src|url\()\s*=?\s*["']?([^"')>\s]+)""", text.replace("src=x", "")))
    assert all(target.startswith("#") for target in outside)


def test_the_worst_answers_are_found_in_their_file(fitted: Path) -> None:
    """The surest errors come first, each with its line."""
    lines = [json.loads(line) for line in (fitted / "predictions.jsonl").read_text("utf-8").splitlines()]
    wrong = sorted((line for line in lines if not line["right"]), key=lambda line: -line["answer"]["score"])
    assert wrong
    found = re.findall(r'<p class="note">eval\.jsonl:(\d+) · predicted', (fitted / "report.html").read_text("utf-8"))
    assert list(map(int, found)) == [line["line"] for line in wrong[: len(found)]]
    assert [line["line"] for line in lines] == list(range(1, 21))


def test_the_card_has_the_scores_for_the_hub(fitted: Path) -> None:
    found = json.loads((fitted / "scores.json").read_text())
    text = (fitted / "README.md").read_text("utf-8")
    card = ModelCard(text)
    (result,) = [one for one in card.data.eval_results if one.metric_type == "accuracy"]
    assert result.metric_value == found["scores"]["accuracy"]
    assert [result.metric_args["low"], result.metric_args["high"]] == found["intervals"]["accuracy"]
    assert (result.dataset_name, result.task_type) == ("eval.jsonl", "text-classification")
    assert card.data.base_model is None, "a folder of this machine is no model of the hub"
    assert f"| accuracy | {found['scores']['accuracy']:.4g} | " in text
    assert "://" not in text
    assert str(fitted.parent) not in text


def test_the_fit_succeeds_without_matplotlib_and_says_what_gives_the_page(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(curves, "find_spec", lambda name: None)
    config = settings(folder, tmp_path, epochs=1, quiet=False)
    finetune(config)
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"pip install 'electra[report]', then electra report {config.output}" in said
    text = (config.output / "report.html").read_text("utf-8")
    assert "<svg" not in text
    assert "pip install &#39;electra[report]&#39;" in text
    assert "Confusion matrix" in text


def test_a_page_that_cannot_be_written_is_not_the_end_of_a_fit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(written, "write_fit_report", fails)
    config = settings(folder, tmp_path, epochs=1, quiet=False)
    assert finetune(config)["scores"]
    assert "the disk is full" in capsys.readouterr().err
    assert is_fitted(config.output)
    assert not config.unfinished.exists()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("scores.json", "{", r"scores\.json is damaged"),
        ("scores.json", '{"scores": {}}', r"scores\.json has no intervals: it was written by an earlier version"),
        ("predictions.jsonl", '{"line": 1}\n', r"predictions\.jsonl, line 1 is damaged \(KeyError\('example'\)\)"),
        ("metrics.jsonl", "{}\n", r"metrics\.jsonl, line 1 is damaged"),
    ],
)
def test_damaged_files_are_named(copied: Path, file: str, content: str, message: str) -> None:
    (copied / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_fit(copied)


def test_a_model_that_was_fitted_otherwise_has_no_page(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, FIELD: {"task": 3}}))
    with pytest.raises(ValueError, match=r"fitted_to in config\.json: task is 3, where a str belongs"):
        read_fit(copied)
    del config[FIELD]
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"config\.json does not say what it was fitted to: fit it with `electra"):
        read_fit(copied)


def test_fitting_again_forgets_what_was_fitted_before(folder: Path, tmp_path: Path) -> None:
    """A threshold of several labels, and rows of 16, are not those of the next task."""
    train = write(tmp_path / "several.jsonl", rows("several", 40, 0))
    first = settings(folder, tmp_path, train=train, eval=train, max_length=16, epochs=1, output=tmp_path / "first")
    threshold = finetune(first)["threshold"]
    before = ElectraConfig.from_pretrained(first.output)
    assert before.decision_threshold == threshold
    assert getattr(before, FIELD)["options"] == {"max_length": 16}
    second = settings(first.output, tmp_path, epochs=1, columns="label=label")
    finetune(second)
    after = ElectraConfig.from_pretrained(second.output)
    assert not hasattr(after, "decision_threshold")
    assert getattr(after, FIELD) == {"task": "text-classification", "columns": {"label": ["label"]}, "options": {}}
