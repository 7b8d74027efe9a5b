"""The network that is fitted: a pretrained encoder with a head, all of it or adapters in it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from electra import models
from electra.tasks.task import LabelledTask

ADAPTED = ("query", "value")
"""Which layers get adapters: those of the LoRA paper (Hu and others 2021, section 4.2)."""
ALPHA_BY_RANK = 2
"""An adapter's output is multiplied by alpha / rank, so by this."""
KINDS = {
    "ElectraForSequenceClassification": "SEQ_CLS",
    "ElectraForTokenClassification": "TOKEN_CLS",
    "ElectraForQuestionAnswering": "QUESTION_ANS",
}
"""What peft calls the tasks that it knows."""


DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "summary_last_dropout")
"""All places of a model that drop values."""


def new_model(name_or_path: str, task: LabelledTask[Any], *, seed: int, dropout: float | None = None) -> Any:
    """The pretrained encoder with a head for the task, whose fresh weights follow from the seed.

    A model that was fitted before keeps its head where that has as many outputs, and gets a new one where it has not.
    dropout: everywhere in place of the configuration's.
    """
    torch.manual_seed(seed)
    kind = getattr(models, task.architecture)
    fields = task.config_fields() | ({} if dropout is None else dict.fromkeys(DROPOUTS, dropout))
    return kind.from_pretrained(name_or_path, ignore_mismatched_sizes=True, **fields)


def require_peft() -> Any:
    """The library of adapters, which is imported for nothing else; it brings transformers with it."""
    try:
        return import_module("peft")
    except ImportError as error:
        raise ImportError(
            f"adapters need a package that is not installed ({error}): pip install 'electra[lora]'"
        ) from error


class Adapters:
    """Adapters of low rank in a model; the head is trained beside them, and the rest stands still.

    `model` is changed in place and keeps its class: it is trained as it would be without.
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
        """The adapters and the head, as `peft.PeftModel.from_pretrained` reads them."""
        with _without_warnings():
            self._adapted.save_pretrained(str(folder))

    def merged(self) -> Any:
        """The model with the adapters in its weights, as if these had been trained. There are no adapters then."""
        return self._adapted.merge_and_unload()


@contextmanager
def _without_warnings() -> Iterator[None]:
    """peft asks every model for methods of transformers that transformers itself calls outdated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
