"""The network to fine-tune: a pretrained encoder with a task head, trained whole or by LoRA adapters."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from electra import models
from electra.finetuning.fitted_labels import keep_rows_of_labels
from electra.tasks.labelled_task import LabelledTask
from electra.validation import import_extra

ADAPTED = ("query", "value")
"""The layers that get adapters: those of the LoRA paper (Hu et al. 2021, section 4.2)."""
ALPHA_BY_RANK = 2
"""An adapter's output is multiplied by alpha / rank, so by this."""
KINDS = {
    "ElectraForSequenceClassification": "SEQ_CLS",
    "ElectraForTokenClassification": "TOKEN_CLS",
    "ElectraForQuestionAnswering": "QUESTION_ANS",
}
"""peft's names of the tasks that it knows."""

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "summary_last_dropout")
"""The config fields of every dropout in a model."""


def new_model(name_or_path: str, task: LabelledTask[Any], *, seed: int, dropout: float | None = None) -> Any:
    """The pretrained encoder with a head for the task.

    A model that was fine-tuned before keeps its head if that has as many outputs, and the rows of its labels if there
    are new ones; else the head is new.

    Args:
        name_or_path: of the pretrained model.
        task: decides the head.
        seed: of the head's initial weights.
        dropout: replaces every dropout of the model's config; None: those stay.
    """
    torch.manual_seed(seed)
    kind = getattr(models, task.architecture)
    fields = task.config_fields() | ({} if dropout is None else dict.fromkeys(DROPOUTS, dropout))
    model = kind.from_pretrained(name_or_path, ignore_mismatched_sizes=True, **fields)
    keep_rows_of_labels(model, name_or_path)
    return model


def require_peft() -> Any:
    """The library of adapters, imported only for them because it imports transformers."""
    return import_extra("peft", "lora", "training adapters")


class Adapters:
    """Low-rank adapters in a model, trained together with the head; all other weights are frozen.

    Args:
        model: changed in place; it keeps its class and is trained as without adapters.
        rank: of the adapters.
        seed: of their initial weights.
    """

    def __init__(self, model: Any, rank: int, *, seed: int) -> None:
        peft = require_peft()
        children = model.named_children()
        heads = [
            name for name, part in children if name != model.base_model_prefix and any(True for _ in part.parameters())
        ]
        torch.manual_seed(seed)
        settings = peft.LoraConfig(
            task_type=KINDS.get(type(model).__name__),
            r=rank,
            lora_alpha=ALPHA_BY_RANK * rank,
            target_modules=list(ADAPTED),
            modules_to_save=heads,
        )
        with _without_warnings():
            self._adapted = peft.get_peft_model(model, settings)

    def save(self, folder: Path) -> None:
        """Write adapters and head as `peft.PeftModel.from_pretrained` reads them."""
        with _without_warnings():
            self._adapted.save_pretrained(str(folder))

    def merged(self) -> Any:
        """The model with the adapters merged into its weights; it has no adapters any more."""
        return self._adapted.merge_and_unload()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """peft calls methods that transformers has deprecated, on every model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
