"""`electra finetune`: the whole verb, and input that it refuses."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from electra.commands.evaluate import EvaluateConfig, evaluate
from electra.commands.finetune import finetune
from electra.finetuning.finetuning_examples import load_examples
from electra.finetuning.scoring import score
from electra.labelled.task_presets import NamedTask
from electra.models import ElectraForSequenceClassification, ElectraForTokenClassification
from electra.pipelines import pipeline
from electra.tasks.text_classification import TextClassification
from electra.text.tokenizer import ElectraTokenizer
from tests.finetuning import toy
from tests.finetuning.toy import examples, settings, write


@pytest.fixture(scope="module")
def tokenizer() -> ElectraTokenizer:
    return toy.words()


@pytest.fixture(scope="module")
def folder(tokenizer: ElectraTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A discriminator with random weights."""
    return toy.discriminator(tmp_path_factory.mktemp("discriminator"), tokenizer)


# -- the whole verb ------------------------------------------------------------------


def test_text_classification_end_to_end(folder: Path, tmp_path: Path) -> None:
    result = finetune(settings(folder, tmp_path))
    assert result["examples"] == 60
    assert result["scores"]["accuracy"] >= 0.95
    written = json.loads((tmp_path / "out/scores.json").read_text())
    assert written["scores"] == result["scores"]
    assert written["settings"]["batch_size"] == 16
    judge = pipeline("text-classification", str(tmp_path / "out"))
    texts = [example["text"] for example in examples(60, seed=1)]
    right = [a["label"] == e["label"] for a, e in zip(judge(texts), examples(60, seed=1), strict=True)]
    assert sum(right) / 60 == pytest.approx(result["scores"]["accuracy"])


def test_token_classification_end_to_end(folder: Path, tmp_path: Path) -> None:
    result = finetune(settings(folder, tmp_path, task="token-classification"))
    assert result["scores"]["f1"] >= 0.95
    model = ElectraForTokenClassification.from_pretrained(tmp_path / "out")
    assert model.config.id2label == {0: "O", 1: "B-RED"}


def test_the_task_and_its_columns_are_found(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("question1\tquestion2\tlabel\tverdict\nred\tgreen\t0\tgood\nblue\tgrey\t1\tbad\n")
    found = load_examples(settings(folder, tmp_path, task=None, train=path, eval=path))
    assert found.task.name == "text-classification"
    assert found.held_out[0] == {"text": "red", "text_pair": "green", "label": "0"}
    found = load_examples(settings(folder, tmp_path, train=path, eval=path, columns="label=verdict"))
    assert found.held_out[1] == {"text": "blue", "text_pair": "grey", "label": "bad"}
    assert found.task.config_fields()["id2label"] == {0: "bad", 1: "good"}
    config = settings(
        folder,
        tmp_path,
        task=None,
        train=write(tmp_path / "w.jsonl", [{"words": ["red"], "ner": ["B"]}, {"words": ["blue"], "ner": ["O"]}]),
    )
    assert load_examples(replace(config, eval=config.train)).task.name == "token-classification"


def test_a_named_task_brings_its_settings_and_its_score(folder: Path, tmp_path: Path) -> None:
    """What is given wins over what the task says, and that over what is usual."""
    catalogue = tmp_path / "own.toml"
    catalogue.write_text(
        '[red]\ntask = "text-classification"\nmetric = "matthews"\nsettings = { epochs = 2, batch_size = 20 }\n'
    )
    options: dict[str, Any] = {"task": "red", "catalogue": catalogue, "epochs": None, "batch_size": 40}
    config = settings(folder, tmp_path, **options)
    found = finetune(config)
    assert found["main"] == "matthews"
    steps = [json.loads(line)["step"] for line in (config.output / "metrics.jsonl").read_text().splitlines()]
    assert max(steps) == 200 * 2 / 40
    catalogue.write_text('[red]\ntask = "text-classification"\nsettings = { epoch = 2 }\n')
    with pytest.raises(
        ValueError, match=r"the task has a setting 'epoch': choose one of epochs, .*Did you mean epochs"
    ):
        finetune(replace(config, output=tmp_path / "other"))
    for name, value, message in (
        ("epochs", "3", "a number"),
        ("lora", True, "a whole"),
        ("batch_size", 2.5, "a whole"),
    ):
        with pytest.raises(ValueError, match=f"{name} is {value!r}: it must be {message}"):
            replace(config, **dict.fromkeys(("epochs", "batch_size"))).with_usual({name: value})


def test_a_task_of_one_s_own_has_its_rows(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path)
    for given, own, expected in ((None, 8, 8), (12, 8, 12), (None, 99, 24)):
        named = NamedTask(task="text-classification", options={"max_length": own})
        assert load_examples(replace(config, max_length=given), named).task.max_length == expected
    with pytest.raises(ValueError, match="max_length is '8': it must be a whole number, 3 or more"):
        load_examples(config, NamedTask(task="text-classification", options={"max_length": "8"}))


def test_pairs_in_both_orders_are_pairs(folder: Path, tmp_path: Path) -> None:
    rows = [{"text": "red", "text_pair": "green", "label": label} for label in ("a", "b")]
    config = settings(folder, tmp_path)
    write(config.train, [rows[0], {**rows[1], "text_pair": None}, rows[1]])
    write(config.eval, rows)
    named = NamedTask(task="text-classification", both_orders=True)
    with pytest.raises(ValueError, match=r"train\.jsonl:2: no second text: with both_orders every example is a pair"):
        load_examples(config, named)
    found = load_examples(replace(config, skip_invalid=True), named)
    assert (found.learnt, len(found.items), len(found.skipped)) == (2, 4, 1)


def test_a_0_or_1_for_each_label_is_read_as_that_again(folder: Path, tmp_path: Path) -> None:
    """Also where a file could be one of the names 0 and 1, which both examples would have."""
    hot = {"no": [1, 0], "yes": [0, 1]}
    rows = [{"text": one["text"], "label": hot[one["label"]]} for one in examples(40)]
    config = settings(folder, tmp_path, epochs=1)
    write(config.train, [*rows, {"text": "red", "label": [0, 0]}])
    write(config.eval, rows)
    scores = finetune(config)["scores"]
    found = evaluate(EvaluateConfig(str(config.output), data=config.eval, device="cpu", resamples=0))
    assert found["scores"] == pytest.approx(scores)
    assert [found["by_class"][name]["support"] for name in ("0", "1")] == [20, 20]


def test_of_a_named_task_s_error_the_least_is_chosen_by(folder: Path, tmp_path: Path) -> None:
    catalogue = tmp_path / "own.toml"
    catalogue.write_text('[red]\ntask = "text-classification"\nmetric = "mean_squared_error"\n')
    paths = {
        name: write(tmp_path / f"{name}.jsonl", [{**one, "label": 0.9 * (one["label"] == "yes")} for one in made])
        for name, made in (("train", examples(80)), ("eval", examples(30, seed=1)))
    }
    config = settings(folder, tmp_path, task="red", catalogue=catalogue, epochs=9, patience=2, **paths)
    found = finetune(config)
    assert found is not None
    lines = [json.loads(line) for line in (config.output / "metrics.jsonl").read_text().splitlines()]
    errors = {line["step"]: line["mean_squared_error"] for line in lines if line["split"] == "held_out"}
    assert len(errors) > 3, "the first evaluations are the worst, and the patience is not spent on them"
    assert found["step"] == min(errors, key=errors.__getitem__)
    assert found["scores"]["mean_squared_error"] == min(errors.values())


def test_broken_examples_are_left_out_and_counted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = write(tmp_path / "broken.jsonl", [*examples(40), {"text": 3, "label": "no"}, {"label": "yes"}])
    finetune(settings(folder, tmp_path, train=train, epochs=1, skip_invalid=True, quiet=False))
    said = capsys.readouterr().err
    assert "40 training examples" in said
    assert "2 invalid examples are left out; " in said
    assert "broken.jsonl:42" in said


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        ("text-classification", [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}],
         [{"text": "x", "label": math.nan}, {"text": "x", "label": ""}, {"text": 3, "label": "c"}]),
        ("multiple-choice", [{"text": "x", "choices": ["a", "b"], "label": 1}],
         [{"text": "x", "choices": ["a", "b"], "label": 7}]),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_used_are_left_out(
    folder: Path, tmp_path: Path, task: str, good: list[dict[str, Any]], bad: list[dict[str, Any]]
) -> None:
    """And with them the class that no other example has; one class alone is none to tell from others."""
    config = settings(folder, tmp_path, task=task, skip_invalid=True)
    write(config.train, [*bad, *good])
    write(config.eval, good)
    found = load_examples(config)
    assert (found.learnt, len(found.skipped)) == (len(good), len(bad))
    if task == "text-classification":
        assert found.task.labels == ("a", "b")
        write(config.train, [*bad, good[0]])
        with pytest.raises(ValueError, match="the 1 examples all have the label 'a'"):
            load_examples(config)


# -- what is refused -----------------------------------------------------------------

ONE = {"text": "a stone", "label": "no"}
ANSWERED = {"question": "q", "context": "the sea", "answers": [{"text": "sea", "answer_start": 4}]}


@pytest.mark.parametrize(
    ("task", "train", "evaluation", "message"),
    [
        ("text-classification", [{"body": "x"}], None, r"train\.jsonl:1: no column with the text: .* has body"),
        ("text-classification", [{"text": "x"}], None, r"train\.jsonl:1: no column with the label"),
        ("text-classification", [ONE, ONE], None, r"train\.jsonl: .*at least two"),
        ("text-classification", None, [ONE, {"text": "x", "label": "maybe"}], r"eval\.jsonl:2: .*'maybe'"),
        ("text-classification", None, [ONE, {"text": 3, "label": "no"}], r"eval\.jsonl:2: "),
        ("text-classification", None, [ONE, {"text": "x", "label": None}], r"eval\.jsonl:2: no 'label'"),
        ("token-classification", [{"tokens": ["a", "b"], "tags": ["O", "B"]}, {"tokens": ["a"], "tags": ["O", "B"]}],
         None, r"train\.jsonl:2: 1 tokens and 2 tags"),
        ("token-classification", [{"tokens": 3, "tags": ["O"]}], None, r"train\.jsonl:1: tokens is 3: it must"),
        ("question-answering", [ANSWERED, {**ANSWERED, "answers": [{"text": "lake", "answer_start": 0}]}], None,
         r"train\.jsonl:2: the answer 'lake' is not in its context"),
        ("text-classification", [{"id": 7, **ONE}, {"id": 8, **ONE}, {"id": 7, **ONE}], None,
         r"train\.jsonl:3: the id 7 is also that of line 1"),
        ("text-classification", [{"text": "x", "label": 0.5}, {"text": "x", "label": math.nan}], None,
         r"train\.jsonl:2: .*NaN"),
        ("text-classification", [], None, r"train\.jsonl holds no examples"),
        ("text-classification", [ONE, {"text": "x", "label": ""}], None, r"train\.jsonl:2: the label is empty"),
        ("mrpc", [{**ONE, "label": 1, "text_pair": "a"}, ONE], None, r"train\.jsonl:2: no second text"),
    ],
)  # fmt: skip
def test_unusable_examples(
    folder: Path,
    tmp_path: Path,
    task: str,
    train: list[dict[str, Any]] | None,
    evaluation: list[dict[str, Any]] | None,
    message: str,
) -> None:
    config = settings(folder, tmp_path, task=task)
    if train is not None:
        write(config.train, train)
    if evaluation is not None:
        write(config.eval, evaluation)
    with pytest.raises(ValueError, match=message):
        finetune(config)
    assert not config.output.exists()


def test_lines_that_are_no_json_and_rows_too_long_for_the_model(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path)
    with pytest.raises(ValueError, match=r"max_length is 25: .* reads at most 24 tokens"):
        finetune(replace(config, max_length=25))
    config.train.write_text(json.dumps(ONE) + '\n{"text": \n')
    with pytest.raises(ValueError, match=r"train\.jsonl:2: not JSON"):
        finetune(config)
    assert not config.output.exists()
    assert not config.unfinished.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": "3"}, "epochs is '3': it must be a number"),
        ({"batch_size": 8.0}, r"batch_size is 8\.0: it must be a whole number"),
        ({"layer_decay": 0.0}, "layer_decay is 0.0"),
        ({"warmup_fraction": 1.0}, "warmup_fraction is 1.0"),
        ({"dropout": 1.0}, "dropout is 1.0: it must be from 0 to below 1"),
        ({"seeds": 0}, "seeds is 0"),
        ({"lora": 0}, "lora is 0"),
        ({"restarts": -1}, "restarts is -1"),
        ({"patience": 0}, "patience is 0"),
        ({"evaluate_every": 0}, "evaluate_every is 0"),
        ({"class_weights": "rare"}, "class_weights is 'rare'"),
        ({"teacher_weight": 0.0}, r"teacher_weight is 0\.0"),
        ({"temperature": 0.0}, r"temperature is 0\.0"),
        ({"teacher": "m", "class_weights": "balanced"}, "teacher and class_weights are both given"),
        ({"output": Path("a.unfinished")}, "hold unfinished work"),
        ({"output": Path(".")}, r"output is '\.': it must be the name of a new folder"),
    ],
)
def test_unusable_options(folder: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(folder, tmp_path, **changes)


TAGGED = [{"tokens": ["red", "tree"], "ner_tags": [i % 3, 0]} for i in range(6)]
THREE = [{"text": word, "label": word[0]} for word in ("red", "tree", "road", "cloud")]


@pytest.mark.parametrize(("task", "rows"), [("ner", TAGGED), ("own", THREE)])
def test_a_score_to_choose_by_that_is_none_of_the_task_s_is_refused_before_training(
    folder: Path, tmp_path: Path, task: str, rows: list[dict[str, Any]]
) -> None:
    """Tags that are numbers are no entities, and F1 of a label is that of two labels alone."""
    catalogue = tmp_path / "own.toml"
    catalogue.write_text('[own]\ntask = "text-classification"\nmetric = "f1"\n')
    train = write(tmp_path / "rows.jsonl", rows)
    config = settings(folder, tmp_path, task=task, catalogue=catalogue, train=train, eval=train)
    with pytest.raises(ValueError, match=r"metric is 'f1': choose one of accuracy, macro_f1, matthews"):
        finetune(config)
    assert not config.unfinished.exists()


def test_an_output_that_is_there_is_left_alone(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path)
    config.output.mkdir()
    (config.output / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        finetune(config)
    assert [path.name for path in config.output.iterdir()] == ["notes.txt"]


def test_a_loss_that_is_no_number_ends_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the loss is NaN or infinite after step 7"):
        finetune(settings(folder, tmp_path, learning_rate=1e20))
    assert not (tmp_path / "out").exists()


def test_scores_are_the_task_s(folder: Path, tokenizer: ElectraTokenizer) -> None:
    task = TextClassification(labels=("no", "yes"), max_length=24)
    model = ElectraForSequenceClassification.from_pretrained(folder, **task.config_fields())
    with torch.no_grad():
        model.classifier.out_proj.weight.zero_()
        model.classifier.out_proj.bias.copy_(torch.tensor([0.0, 1.0]))
    found = score(model, tokenizer, task, examples(9))
    assert found["accuracy"] == pytest.approx(4 / 9)
