"""sentence-transformers and SetFit take our folders, train them, and we read what they save."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from sentence_transformers import (
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss
from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

import electra
from tests.interop.toy import build, lively, save, texts, tokenizer
from tests.parity.twins import assert_close

pytestmark = pytest.mark.interop

PAIRS = list(zip(texts(12), texts(12, seed=1), strict=True))
TRAINING: dict[str, Any] = {
    "use_cpu": True,
    "disable_tqdm": True,
    "report_to": "none",
    "save_strategy": "no",
    "logging_steps": 1,
}


def logits(folder: Path) -> torch.Tensor:
    model = electra.ElectraForSequenceClassification.from_pretrained(folder)
    first, second = map(list, zip(*PAIRS, strict=True))
    with torch.no_grad():
        return model(**tokenizer()(first, second, padding=True, truncation=True, return_tensors="pt")).logits


def means(folder: Path) -> torch.Tensor:
    """The mean of each text's own tokens, by our encoder: [B, H]"""
    batch = tokenizer()([text for text, _ in PAIRS], padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = electra.ElectraModel.from_pretrained(folder)(**batch).last_hidden_state
    real = batch["attention_mask"][..., None]
    return (hidden * real).sum(1) / real.sum(1)


@pytest.mark.parametrize(
    ("labels", "stated", "expected"),
    [
        (1, None, torch.sigmoid),
        (1, "torch.nn.modules.linear.Identity", lambda scores: scores),
        (1, "torch.nn.modules.activation.Tanh", torch.tanh),
        (3, None, lambda scores: scores),
    ],
    ids=["by default", "raw", "another", "classes"],
)
def test_a_cross_encoder_predicts_what_we_compute(
    labels: int, stated: str | None, expected: Any, tmp_path: Path
) -> None:
    more = {"sentence_transformers": {"activation_fn": stated, "version": "6.2.0"}} if stated else {}
    folder = save(lively("ElectraForSequenceClassification", num_labels=labels, **more), tmp_path)
    assert ("sentence_transformers" in json.loads((folder / "config.json").read_text())) == (stated is not None)
    scores = torch.from_numpy(CrossEncoder(str(folder), device="cpu").predict(PAIRS))
    assert scores.std() > 0.01
    assert_close(scores, expected(logits(folder)).squeeze(-1), 1e-5)


def test_a_cross_encoder_is_trained_and_read_here(tmp_path: Path) -> None:
    folder = save(build("ElectraForSequenceClassification", num_labels=1), tmp_path / "base")
    encoder = CrossEncoder(str(folder), device="cpu")
    before = logits(folder)
    rows = {"one": texts(32), "two": texts(32, seed=1)}
    rows["label"] = [float("cat" in text) for text in rows["one"]]
    run = CrossEncoderTrainer(
        encoder,
        CrossEncoderTrainingArguments(str(tmp_path / "run"), max_steps=2, learning_rate=0.01, **TRAINING),
        train_dataset=datasets.Dataset.from_dict(rows),
        loss=BinaryCrossEntropyLoss(encoder),
    )
    run.train()
    encoder.save_pretrained(str(tmp_path / "trained"))
    after = logits(tmp_path / "trained")
    assert (after - before).abs().max() > 0.01
    assert_close(after.sigmoid().squeeze(-1), torch.from_numpy(encoder.predict(PAIRS)), 1e-5)


def test_sentence_vectors_are_the_means_of_our_hidden_states(tmp_path: Path) -> None:
    folder = save(lively("ElectraModel"), tmp_path)
    vectors = SentenceTransformer(str(folder), device="cpu").encode([text for text, _ in PAIRS])
    assert_close(torch.from_numpy(vectors), means(folder), 1e-5)


def test_sentence_vectors_are_trained_and_read_here(tmp_path: Path) -> None:
    model = SentenceTransformer(str(save(lively("ElectraModel"), tmp_path / "base")), device="cpu")
    rows = {"one": texts(64), "two": texts(64, seed=1)}
    rows["label"] = [float(("cat" in a) == ("cat" in b)) for a, b in zip(rows["one"], rows["two"], strict=True)]
    run = SentenceTransformerTrainer(
        model,
        SentenceTransformerTrainingArguments(str(tmp_path / "run"), max_steps=40, learning_rate=5e-3, **TRAINING),
        train_dataset=datasets.Dataset.from_dict(rows),
        loss=CosineSimilarityLoss(model),
    )
    run.train()
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    model.save_pretrained(str(tmp_path / "trained"))
    vectors = torch.from_numpy(model.encode([text for text, _ in PAIRS]))
    assert_close(means(tmp_path / "trained"), vectors, 1e-5)


@pytest.mark.filterwarnings("ignore:'pin_memory':UserWarning")  # SetFit does not say use_cpu
def test_setfit_trains_and_predicts(tmp_path: Path) -> None:
    from setfit import SetFitModel, Trainer, TrainingArguments

    model = SetFitModel.from_pretrained(str(save(lively("ElectraModel"), tmp_path / "base")), device="cpu")
    rows = {"text": texts(24), "label": [int("cat" in text) for text in texts(24)]}
    run = Trainer(
        model,
        TrainingArguments(
            output_dir=str(tmp_path / "run"), max_steps=20, batch_size=8, body_learning_rate=5e-3, report_to="none"
        ),
        train_dataset=datasets.Dataset.from_dict(rows),
    )
    run.train()
    predicted = [int(label) for label in model.predict(rows["text"])]
    assert sum(map(int.__eq__, predicted, rows["label"])) > 18
    model.save_pretrained(str(tmp_path / "trained"))
    vectors = torch.from_numpy(model.model_body.encode([text for text, _ in PAIRS]))
    assert_close(means(tmp_path / "trained"), vectors, 1e-5)
