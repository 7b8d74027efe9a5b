"""Losses in place of a task's own: with class weights, or with the outputs of a teacher (distillation).

Each is a mean over the batch's labels, as the task's own loss is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.config import ElectraConfig
from electra.finetuning.fit import Objective
from electra.inference.predictor import load
from electra.nn.heads import IGNORED
from electra.tasks.labelled_task import ClassificationTask, LabelledTask, TrainingBatch, TrainingItem
from electra.text.tokenizer import ElectraTokenizer

SINGLE_LABELS = "one label per text or word: text-classification and token-classification"


def weighted(weights: Tensor) -> Objective:
    """Cross-entropy with class weights.

    Args:
        weights: of the K labels, float [K], on the device of the batches.
    """

    def loss(model: nn.Module, batch: TrainingBatch) -> Tensor:
        logits = model(batch.batch).logits.float()
        labels = batch.labels["labels"].view(-1)
        return F.cross_entropy(logits, labels, weights, ignore_index=IGNORED, reduction="sum") / max(1, batch.count)

    return loss


def balanced_weights(task: LabelledTask[Any], items: Sequence[TrainingItem]) -> Tensor:
    """scikit-learn's "balanced" weights, float32 [K]: `n / (K n_k)` for each label that n_k of n have.

    Their mean over the n labels is 1, so the learning rate keeps its meaning.
    """
    labels, count = _single_labels(items, task, "class_weights"), len(task.labels)  # type: ignore[attr-defined]
    return len(labels) / (count * torch.bincount(labels, minlength=count).clamp(min=1).float())


def distilled(teacher: nn.Module, order: Tensor, *, weight: float, temperature: float) -> Objective:
    """The distillation loss of Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network", section 2.

        (1 - weight) loss(labels) + weight T^2 KL(softmax(teacher / T) || softmax(model / T))

    T^2 compensates for the gradient of the second term, which falls with 1 / T^2. It is a mean over what has a label.

    Args:
        teacher: a model with the same kind of output as the student, on the same device; it is not trained.
        order: the index of the teacher's output for each label of the task, int64 [K].
        weight: of the teacher's term, above 0 and up to 1.
        temperature: T, above 0.
    """
    teacher.eval().requires_grad_(False)

    def loss(model: nn.Module, batch: TrainingBatch) -> Tensor:
        labels = batch.labels["labels"].view(-1)
        known = labels != IGNORED
        with torch.no_grad():
            targets = teacher(batch.batch).logits[known][:, order].float() / temperature
        logits = model(batch.batch).logits.float()
        student = logits[known] / temperature
        divergence = F.kl_div(student.log_softmax(-1), targets.log_softmax(-1), log_target=True, reduction="sum")
        of_labels = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
        return ((1 - weight) * of_labels + weight * temperature**2 * divergence) / max(1, batch.count)

    return loss


def load_teacher(
    name_or_path: str, task: LabelledTask[Any], items: Sequence[TrainingItem], tokenizer: Any
) -> tuple[Any, Tensor]:
    """The teacher, and the index of its output for each of the task's labels: int64 [K].

    Raises:
        ValueError: its task, labels or vocabulary are others than the student's, or it reads shorter sequences.
    """
    _single_labels(items, task, "teacher")
    labels = task.labels  # type: ignore[attr-defined]
    config = ElectraConfig.from_pretrained(name_or_path)
    if task.architecture not in (config.architectures or ()):
        raise ValueError(
            f"the teacher {name_or_path} is {config.architectures}, not {task.architecture}: fine-tune it first"
        )
    indices = {name: index for index, name in config.id2label.items()}
    if indices.keys() != set(labels):
        raise ValueError(
            f"the teacher {name_or_path} has the labels {sorted(indices)}, the examples {sorted(labels)}: "
            "give a teacher that was fine-tuned on the same labels"
        )
    if ElectraTokenizer.from_pretrained(name_or_path).get_vocab() != tokenizer.get_vocab():
        raise ValueError(
            f"the teacher {name_or_path} has another vocabulary than the model, so it would read other words: "
            "give one that was pretrained with the same vocab.txt"
        )
    if task.max_length > config.max_position_embeddings:
        raise ValueError(
            f"the teacher {name_or_path} reads at most {config.max_position_embeddings} tokens, and sequences have up "
            f"to {task.max_length}: lower max_length"
        )
    return load(type(task), name_or_path), torch.tensor([indices[label] for label in labels])


def _single_labels(items: Sequence[TrainingItem], task: LabelledTask[Any], option: str) -> Tensor:
    """The label indices of all items, int64 [N]; a ValueError that names the option where these are no such."""
    labels = single_labels(items) if isinstance(task, ClassificationTask) else None
    if labels is None:
        raise ValueError(f"{option} needs {SINGLE_LABELS}; these examples are for {task.name} and have others")
    return labels


def single_labels(items: Sequence[TrainingItem]) -> Tensor | None:
    """The label indices of all items, int64 [N]; None where items have other labels."""
    if all(isinstance(item.labels, int) for item in items):
        return torch.tensor([item.labels for item in items])
    if all(isinstance(item.labels, list) and all(isinstance(label, int) for label in item.labels) for item in items):
        labels = torch.tensor([label for item in items for label in item.labels])
        return labels[labels != IGNORED]
    return None
