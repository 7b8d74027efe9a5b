"""Continue from a model that was fine-tuned before: its labels keep their order, and its head keeps their weights."""

from __future__ import annotations

from typing import Any

import torch

from electra import models
from electra.config import ElectraConfig
from electra.tasks.labelled_task import ClassificationTask, LabelledTask


def with_labels_of_model(task: LabelledTask[Any], config: ElectraConfig) -> tuple[LabelledTask[Any], list[str]]:
    """The task with the labels of a model that was fine-tuned on it in their order, and new ones behind.

    The head has a row of weights for each label: in another order, a model that was always right would be always wrong.

    Args:
        task: with the labels of the training examples.
        config: of the model.

    Returns:
        The task, and a sentence for each thing that a user should know: labels that are new, and labels of the model
        that the training examples lack. Task and model are unrelated where they have no label in common.
    """
    if not isinstance(task, ClassificationTask) or task.architecture not in (config.architectures or ()):
        return task, []
    if getattr(task, "problem", None) == "regression" or getattr(task, "multi_hot", False):
        return task, []
    before = [config.id2label[index] for index in range(config.num_labels)]
    if not set(before) & set(task.labels):
        return task, []
    new = [label for label in task.labels if label not in before]
    missing = [label for label in before if label not in task.labels]
    notices = [f"labels that the model did not have: {_listed(new)}"] if new else []
    if missing:
        notices.append(f"labels of the model of which there is no training example: {_listed(missing)}")
    return task.with_options(labels=(*before, *new)), notices


def keep_rows_of_labels(model: Any, name_or_path: str) -> None:
    """Give the labels that the model had before their rows in a head that has more labels now.

    Args:
        model: the new one, whose head has new weights because it has more outputs than the one on the disk.
        name_or_path: of the model before.
    """
    config = ElectraConfig.from_pretrained(name_or_path)
    architecture, count = type(model).__name__, config.num_labels
    after = [model.config.id2label[index] for index in range(model.config.num_labels)]
    before = [config.id2label[index] for index in range(count)]
    if architecture not in (config.architectures or ()) or count >= len(after) or after[:count] != before:
        return
    weights = dict(getattr(models, architecture).from_pretrained(name_or_path).named_parameters())
    with torch.no_grad():
        for name, values in model.named_parameters():
            rows = weights.get(name)
            if rows is not None and rows.shape[1:] == values.shape[1:] and len(rows) == count < len(values):
                values[:count] = rows


def _listed(labels: list[str]) -> str:
    return ", ".join(labels[:8]) + (f", … ({len(labels)})" if len(labels) > 8 else "")
