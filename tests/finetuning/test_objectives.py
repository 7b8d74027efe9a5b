"""Weights for rare labels, and the answers of a teacher."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from electra.commands.finetune import finetune
from electra.config import ElectraConfig
from electra.finetuning.loss_options import balanced_weights, distilled, weighted
from electra.models import ElectraForSequenceClassification, ElectraForTokenClassification
from electra.tasks.labelled_task import TrainingItem
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import train_vocabulary
from tests.finetuning.toy import SIZES, examples, settings, write
from tests.parity.twins import redraw

TASKS = {
    "text": (TextClassification(labels=("no", "yes"), max_length=24), ElectraForSequenceClassification),
    "tokens": (TokenClassification(labels=("O", "B-RED"), max_length=24), ElectraForTokenClassification),
}


def lively(kind: Any, tokenizer: ElectraTokenizer, seed: int) -> Any:
    config = ElectraConfig(vocab_size=len(tokenizer), **SIZES, intermediate_size=64, num_labels=2)
    return redraw(kind(config), seed).eval()


def logits_and_labels(model: Any, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Those that count, one after another."""
    labels = batch.labels["labels"]
    return model(batch.batch).logits[labels != -100], labels[labels != -100]


@pytest.mark.parametrize("name", TASKS)
def test_a_rare_label_s_errors_weigh_more(name: str, tokenizer: ElectraTokenizer) -> None:
    task, kind = TASKS[name]
    items = task.training_items([*examples(20)[::2], *examples(20)[1:4:2]], tokenizer)  # ten without red, two with
    heavy = weighted(balanced_weights(task, items))
    batch, model = task.training_batch(items), lively(kind, tokenizer, 1)
    logits, labels = logits_and_labels(model, batch)
    losses = F.cross_entropy(logits, labels, reduction="none")
    shares = [(labels == k).float().mean() for k in (0, 1)]
    expected = sum((losses[labels == k].sum() / (2 * share) for k, share in enumerate(shares)), torch.zeros(()))
    torch.testing.assert_close(heavy(model, batch), expected / len(labels))
    assert (heavy(model, batch) - task.loss(model, batch)).abs() > 0.01


def test_balanced_weights_have_the_mean_1_over_the_examples() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    task = TextClassification(labels=("a", "b", "c"))
    weights = balanced_weights(task, [TrainingItem((), int(label)) for label in labels])
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert weights[labels].mean() == pytest.approx(1)


@pytest.mark.parametrize("name", TASKS)
def test_distillation_is_hinton_s_formula(name: str, tokenizer: ElectraTokenizer) -> None:
    task, kind = TASKS[name]
    batch = task.training_batch(task.training_items(examples(8), tokenizer))
    model, teacher = lively(kind, tokenizer, 1), lively(kind, tokenizer, 2)
    found = distilled(teacher, torch.tensor([1, 0]), weight=0.3, temperature=3.0)(model, batch)
    (own, labels), (wanted, _) = logits_and_labels(model, batch), logits_and_labels(teacher, batch)
    p = (wanted[:, [1, 0]] / 3).softmax(-1)
    kl = (p * (p.log() - (own / 3).log_softmax(-1))).sum(-1).mean()
    torch.testing.assert_close(found, 0.7 * F.cross_entropy(own, labels) + 0.3 * 9 * kl)
    found.backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_a_teacher_is_copied_in_its_labels_order(folder: Path, tokenizer: ElectraTokenizer, tmp_path: Path) -> None:
    """A teacher of labels in another order, learnt from without any true label: the student answers as it does."""
    teacher = tmp_path / "teacher"
    finetune(settings(folder, tmp_path, output=teacher))
    fitted = ElectraForSequenceClassification.from_pretrained(teacher)
    head = fitted.classifier.out_proj
    with torch.no_grad():
        head.weight.copy_(head.weight.flip(0))
        head.bias.copy_(head.bias.flip(0))
    fitted.config.id2label, fitted.config.label2id = {0: "yes", 1: "no"}, {"yes": 0, "no": 1}
    fitted.save_pretrained(teacher)
    train = write(
        tmp_path / "wrong.jsonl",
        [{"text": e["text"], "label": "no" if i % 4 else "yes"} for i, e in enumerate(examples(200))],
    )
    options: dict[str, Any] = {"train": train, "teacher": str(teacher), "teacher_weight": 1.0}
    found = finetune(settings(folder, tmp_path, **options))
    assert found["scores"]["accuracy"] >= 0.95


def test_teachers_that_cannot_be_learnt_from(folder: Path, tokenizer: ElectraTokenizer, tmp_path: Path) -> None:
    def refused(message: str, teacher: Path, **changes: Any) -> None:
        config = settings(folder, tmp_path, teacher=str(teacher), **changes)
        with pytest.raises(ValueError, match=message):
            finetune(config)
        assert not config.output.exists()
        assert not config.unfinished.exists()

    teacher = tmp_path / "teacher"
    task = TASKS["text"][0]
    model = ElectraForSequenceClassification.from_pretrained(folder, **task.config_fields())
    model.save_pretrained(teacher)
    tokenizer.save_pretrained(teacher)
    refused("not ElectraForSequenceClassification: fine-tune it first", folder)
    refused("not ElectraForTokenClassification", teacher, task="token-classification")
    three = [{"text": "a", "label": label} for label in ("no", "yes", "perhaps")]
    train, held_out = write(tmp_path / "three.jsonl", three), write(tmp_path / "three_eval.jsonl", three)
    refused(
        r"has the labels \['no', 'yes'\], the examples \['no', 'perhaps', 'yes'\]", teacher, train=train, eval=held_out
    )
    several = [{"text": "a", "label": ["no"]}, {"text": "b", "label": ["yes", "no"]}]
    sets = write(tmp_path / "sets.jsonl", several)
    refused("teacher needs one label per text or word", teacher, train=sets, eval=sets)
    other = tmp_path / "other"
    shutil.copytree(teacher, other)
    train_vocabulary(["entirely different words"] * 9, size=100).save_pretrained(other)
    refused("another vocabulary", other)
    model.config.max_position_embeddings = 12
    ElectraForSequenceClassification(model.config).save_pretrained(teacher)
    refused("reads at most 12 tokens, and sequences have up to 24", teacher)


def test_weights_are_for_single_labels(folder: Path, tmp_path: Path) -> None:
    sets = write(tmp_path / "sets.jsonl", [{"text": "a", "label": ["no"]}, {"text": "b", "label": ["yes", "no"]}])
    with pytest.raises(ValueError, match="class_weights needs one label per text or word"):
        finetune(settings(folder, tmp_path, train=sets, eval=sets, class_weights="balanced"))


def test_balanced_weights_find_the_rare_label(folder: Path, tmp_path: Path) -> None:
    """One in twenty is a yes, and there is little time: without weights none is found."""
    rows = [example for i, example in enumerate(examples(400)) if example["label"] == "no" or i % 20 == 1]
    train = write(tmp_path / "rare.jsonl", rows)
    recalls = {}
    for weights in ("none", "balanced"):
        options: dict[str, Any] = {"train": train, "class_weights": weights, "epochs": 3, "learning_rate": 1e-3}
        found = finetune(settings(folder, tmp_path, **options, output=tmp_path / weights))
        recalls[weights] = found["scores"]["matthews"]
    assert recalls["balanced"] > recalls["none"] + 0.2
