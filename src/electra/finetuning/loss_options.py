"""What a fit makes small besides the task's own loss: labels that weigh by their rarity, the answers of a teacher.

Each is a mean over the batch's labels, so that it takes the place of the task's own.
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
from electra.nn.losses import IGNORED
from electra.tasks.label_tasks import ClassificationTask
from electra.tasks.task import LabelledTask, TrainingBatch, TrainingItem
from electra.text.tokenizer import ElectraTokenizer

SINGLE_LABELS = "labels of which a text or a word has one: text-classification and token-classification"


def weighted(weights: Tensor) -> Objective:
    """Cross-entropy in which an error counts by its right label: weights [K], on the device of the batches."""

    def loss(model: nn.Module, batch: TrainingBatch) -> Tensor:
        logits = model(batch.batch).logits.float()
        labels = batch.labels["labels"].view(-1)
        return F.cross_entropy(logits, labels, weights, ignore_index=IGNORED, reduction="sum") / max(1, batch.count)

    return loss


def balanced_weights(task: LabelledTask[Any], items: Sequence[TrainingItem]) -> Tensor:
    """`n / (K n_k)` for each of K labels that n_k of all n have, float32 [K]: what scikit-learn calls balanced.

    The weights of the n labels have the mean 1, so that the rate means what it means without.
    """
    labels, count = _single_labels(items, task, "class_weights"), len(task.labels)  # type: ignore[attr-defined]
    return len(labels) / (count * torch.bincount(labels, minlength=count).clamp(min=1).float())


def distilled(teacher: nn.Module, order: Tensor, *, share: float, temperature: float) -> Objective:
    """Answers of a teacher beside the labels (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural
    network", section 2):

        (1 - share) loss(labels) + share T^2 KL(softmax(teacher / T) || softmax(model / T))

    T^2 makes up for the gradient of the second term, which falls with 1 / T^2. It is a mean over what has a label.

    Args:
        teacher: a model that answers as the one that learns does, on the same device; it is not trained.
        order: which of its outputs each label of the task is, int64 [K].
    """
    teacher.eval().requires_grad_(False)

    def loss(model: nn.Module, batch: TrainingBatch) -> Tensor:
        labels = batch.labels["labels"].view(-1)
        known = labels != IGNORED
        with torch.no_grad():
            wanted = teacher(batch.batch).logits[known][:, order].float() / temperature
        logits = model(batch.batch).logits.float()
        found = logits[known] / temperature
        divergence = F.kl_div(found.log_softmax(-1), wanted.log_softmax(-1), log_target=True, reduction="sum")
        right = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
        return ((1 - share) * right + share * temperature**2 * divergence) / max(1, batch.count)

    return loss


def load_teacher(
    name_or_path: str, task: LabelledTask[Any], items: Sequence[TrainingItem], tokenizer: Any
) -> tuple[Any, Tensor]:
    """A fitted model, and which of its outputs each of the task's labels is: int64 [K].

    Raises:
        ValueError: it is a model of another task, of other labels or of another vocabulary, or reads shorter rows.
    """
    _single_labels(items, task, "teacher")
    labels = task.labels  # type: ignore[attr-defined]
    config = ElectraConfig.from_pretrained(name_or_path)
    if task.architecture not in (config.architectures or ()):
        raise ValueError(f"the teacher {name_or_path} is {config.architectures}, not {task.architecture}: fit it first")
    named = {name: number for number, name in config.id2label.items()}
    if named.keys() != set(labels):
        raise ValueError(
            f"the teacher {name_or_path} tells {sorted(named)} apart, the examples {sorted(labels)}: "
            "a teacher is a model that was fitted to the same labels"
        )
    if ElectraTokenizer.from_pretrained(name_or_path).get_vocab() != tokenizer.get_vocab():
        raise ValueError(
            f"the teacher {name_or_path} has another vocabulary than the model: it would read other words. "
            "Take one that was pretrained with the same vocab.txt"
        )
    if task.max_length > config.max_position_embeddings:
        raise ValueError(
            f"the teacher {name_or_path} reads at most {config.max_position_embeddings} tokens, and rows have up to "
            f"{task.max_length}: lower max_length"
        )
    return load(type(task), name_or_path), torch.tensor([named[label] for label in labels])


def _single_labels(items: Sequence[TrainingItem], task: LabelledTask[Any], what: str) -> Tensor:
    """The labels of all items, int64 [N]; a ValueError where these are no numbers of labels."""
    labels = single_labels(items) if isinstance(task, ClassificationTask) else None
    if labels is None:
        raise ValueError(f"{what} is for {SINGLE_LABELS}; these examples have others ({task.name})")
    return labels


def single_labels(items: Sequence[TrainingItem]) -> Tensor | None:
    """The numbers of the labels of all items, int64 [N]; None where labels are no such numbers."""
    if all(isinstance(item.labels, int) for item in items):
        return torch.tensor([item.labels for item in items])
    if all(isinstance(item.labels, list) and all(isinstance(label, int) for label in item.labels) for item in items):
        found = torch.tensor([label for item in items for label in item.labels])
        return found[found != IGNORED]
    return None
