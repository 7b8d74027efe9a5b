"""`electra finetune`: Google's law of training, the whole verb, and input that it refuses."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from electra import finetune as finetuning
from electra.config import ElectraConfig
from electra.finetune import FinetuneConfig, finetune, fit, layer_multiplier, score
from electra.models import ElectraForPreTraining, ElectraForSequenceClassification, ElectraForTokenClassification
from electra.pipelines import pipeline
from electra.tasks.text_classification import TextClassification
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocabulary import train_vocabulary

WORDS = ["red", "green", "blue", "grey", "tree", "house", "river", "stone", "cloud", "road"]
SIZES = {"hidden_size": 32, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def examples(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Sentences of a few words, labelled by whether `red` is among them; tags mark it."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = draw.choices(WORDS[1:], k=draw.randint(2, 9))
        if number % 2:
            words[draw.randrange(len(words))] = "red"
        tags = ["B-RED" if word == "red" else "O" for word in words]
        made.append(
            {"text": " ".join(words), "label": "yes" if "red" in words else "no", "tokens": words, "tags": tags}
        )
    return made


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def tokenizer() -> ElectraTokenizer:
    return train_vocabulary([" ".join(WORDS)] * 9, size=100)


@pytest.fixture(scope="module")
def folder(tokenizer: ElectraTokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A discriminator with random weights."""
    path = tmp_path_factory.mktemp("discriminator")
    torch.manual_seed(0)
    sizes = {**SIZES, "intermediate_size": 64, "max_position_embeddings": 24}
    ElectraForPreTraining(ElectraConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def settings(folder: Path, tmp_path: Path, **changes: Any) -> FinetuneConfig:
    values: dict[str, Any] = {
        "model": str(folder),
        "task": "text-classification",
        "train": write(tmp_path / "train.jsonl", examples(200)),
        "eval": write(tmp_path / "eval.jsonl", examples(60, seed=1)),
        "output": tmp_path / "out",
        "epochs": 6,
        "batch_size": 16,
        "rate": 3e-3,
        "layer_decay": 1.0,
        "device": "cpu",
    }
    return FinetuneConfig(**{**values, **changes})


# -- the law of training -------------------------------------------------------------


def test_layer_multipliers_are_google_s(shared: Path) -> None:
    reference = json.loads((shared / "fixtures/tf1/reference/ft_mrpc.json").read_text())
    layers = reference["hparams"]["model_hparam_overrides"]["num_hidden_layers"]
    for name, expected in reference["lr_multiplier"].items():
        ours = name.replace("/", ".").replace("layer_", "layer.").replace("task_specific.mrpc", "classifier")
        assert math.isclose(layer_multiplier(ours, layers, 0.8), expected, rel_tol=1e-6), name


def test_a_fit_is_the_written_out_loop(tokenizer: ElectraTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded batches, the summed loss, clipping, Adam and the schedule as plain arithmetic give the same weights."""
    monkeypatch.setattr(finetuning, "PART_TOKENS", 30)  # a step's batch comes in several parts
    task = TextClassification(labels=("no", "yes"), max_length=24)
    rows = task.training_rows(examples(24), tokenizer)
    sizes = {**SIZES, "intermediate_size": 64, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    torch.manual_seed(1)
    model = ElectraForSequenceClassification(ElectraConfig(vocab_size=len(tokenizer), initializer_range=0.3, **sizes))
    twin = ElectraForSequenceClassification(model.config)
    twin.load_state_dict(model.state_dict())

    fit(model, rows, task, epochs=2, batch_size=8, rate=1e-2, layer_decay=0.7, warmup=0.4, weight_decay=0.1, seed=3)
    plain_loop(twin, list(finetuning._batches(rows, task, 6, 8, 3)), rate=1e-2, warmup_steps=2)
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        if name.endswith("key.bias"):  # softmax takes no notice of it: its gradient is rounding
            continue
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-6, msg=lambda text, name=name: f"{name}: {text}")


def plain_loop(model: Any, steps: list[Any], *, rate: float, warmup_steps: int) -> None:
    """What `fit` does, step by step, with padded grids."""
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in model.named_parameters()}
    for number, parts in enumerate(steps):
        rows = [ids for part in parts for ids in part.batch.layout.split(part.batch.input_ids)]
        labels = torch.cat([part.labels for part in parts])
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        model.zero_grad()
        logits = model(ids, attention_mask=mask).logits
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()
        norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
        assert norm > 1
        lr = rate * (1 - number / len(steps)) * min(1, number / warmup_steps)
        for name, p in model.named_parameters():
            step_of(name, p, moments[name], p.grad / norm, lr * layer_multiplier(name, 2, 0.7))


@torch.no_grad()
def step_of(name: str, p: Tensor, moments: tuple[Tensor, Tensor], gradient: Tensor, lr: float) -> None:
    m, v = moments
    m.mul_(0.9).add_(0.1 * gradient)
    v.mul_(0.999).add_(0.001 * gradient.square())
    decay = 0.0 if "bias" in name or "LayerNorm" in name else 0.1
    p -= lr * (m / (v.sqrt() + 1e-6) + decay * p)


def test_every_example_comes_once_an_epoch_in_an_order_by_seed(tokenizer: ElectraTokenizer) -> None:
    task = TextClassification(labels=("no", "yes"), max_length=24)
    rows = task.training_rows(examples(20), tokenizer)

    def order(seed: int) -> list[tuple[int, ...]]:
        parts = [part for step in finetuning._batches(rows, task, 8, 5, seed) for part in step]
        return [tuple(row.tolist()) for part in parts for row in part.batch.layout.split(part.batch.input_ids)]

    expected = sorted(tuple(row.row.input_ids) for row in rows)
    assert sorted(order(0)[:20]) == sorted(order(0)[20:]) == expected
    assert order(0)[:20] != order(0)[20:]
    assert order(0) == order(0) != order(1)


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


def test_seeds_give_a_mean_and_the_same_seed_the_same_weights(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, epochs=1, rate=1e-3)
    alone = finetune(config)
    weights = (tmp_path / "out/model.safetensors").read_bytes()
    both = finetune(settings(folder, tmp_path, epochs=1, rate=1e-3, seeds=2, output=tmp_path / "two"))
    assert (tmp_path / "two/model.safetensors").read_bytes() == weights
    assert both["scores"] == alone["scores"]
    second = finetune(settings(folder, tmp_path, epochs=1, rate=1e-3, seed=1, output=tmp_path / "second"))
    accuracies = [alone["scores"]["accuracy"], second["scores"]["accuracy"]]
    assert both["mean"]["accuracy"] == pytest.approx(sum(accuracies) / 2)
    assert both["deviation"]["accuracy"] == pytest.approx(abs(accuracies[0] - accuracies[1]) / math.sqrt(2))


def test_columns_of_pairs_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("question1\tquestion2\tlabel\nwhy\twhen\t0\n")
    [(example, record)] = finetuning.read_examples(path, "text-classification")
    assert example == {"text": "why", "text_pair": "when", "label": "0"}
    assert record.line == 2
    path.write_text("text\tverdict\tlabel\nwhy\tgood\t0\n")
    [(example, _)] = finetuning.read_examples(path, "text-classification", "verdict")
    assert example == {"text": "why", "label": "good"}


def test_rates_go_by_the_size_of_the_model(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path, rate=None, layer_decay=None)
    small, large = ElectraConfig.preset("small"), ElectraConfig.preset("large")
    assert [finetuning._hyperparameters(config, of)["rate"] for of in (small, large)] == [1e-4, 5e-5]
    assert [finetuning._hyperparameters(config, of)["layer_decay"] for of in (small, large)] == [0.8, 0.9]


# -- what is refused -----------------------------------------------------------------

ONE = {"text": "a stone", "label": "no"}


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
        ("token-classification", [{"tokens": 3, "tags": ["O"]}], None, r"train\.jsonl:1: 'tokens' is to be a list"),
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"layer_decay": 0.0}, "layer_decay is 0.0"),
        ({"warmup": 1.0}, "warmup is 1.0"),
        ({"seeds": 0}, "seeds is 0"),
        ({"task": "text-clasification"}, "task is 'text-clasification'"),
    ],
)
def test_unusable_options(folder: Path, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(folder, tmp_path, **changes)


def test_an_output_that_is_there_is_left_alone(folder: Path, tmp_path: Path) -> None:
    config = settings(folder, tmp_path)
    config.output.mkdir()
    (config.output / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is there already"):
        finetune(config)
    assert [path.name for path in config.output.iterdir()] == ["notes.txt"]


def test_a_loss_that_is_no_number_ends_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the loss is nan at step"):
        finetune(settings(folder, tmp_path, rate=1e20))
    assert not (tmp_path / "out").exists()


def test_scores_are_the_task_s(folder: Path, tokenizer: ElectraTokenizer) -> None:
    task = TextClassification(labels=("no", "yes"), max_length=24)
    model = ElectraForSequenceClassification.from_pretrained(folder, **task.config_fields())
    with torch.no_grad():
        model.classifier.out_proj.weight.zero_()
        model.classifier.out_proj.bias.copy_(torch.tensor([0.0, 1.0]))
    found = score(model, tokenizer, task, examples(9))
    assert found["accuracy"] == pytest.approx(4 / 9)
