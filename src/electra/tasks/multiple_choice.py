"""Multiple choice: which of several texts continues a text, or answers a question?"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from electra.batch import Batch
from electra.metrics.ranking_metrics import list_loss
from electra.metrics.task_metrics import ChoiceOutcomes
from electra.tasks.inputs.pairs import PairedTask
from electra.tasks.inputs.texts import read_choices
from electra.tasks.labelled_task import Column, LabelledTask, TrainingBatch, TrainingItem, label_fields, label_of
from electra.tasks.task import Encoded, of_each
from electra.validation import is_count, require


@dataclass(frozen=True)
class EncodedChoices(Encoded):
    """A row for each choice."""

    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(PairedTask[EncodedChoices], LabelledTask[EncodedChoices]):
    """Choose among several continuations of a text, or answers to a question.

    An example is a dict with `choices` and with `text` (or `question`, or `context`). Each choice is a sequence of its
    own: `[CLS] text [SEP] choice [SEP]`, as for SWAG. With both `context` and `question` it is `[CLS] context [SEP]
    question choice [SEP]`, as for RACE. What is too long is taken from the first of the two texts, not from a choice.
    To learn from, an example has a `label` too: the number of the right choice, from 0, or its letter, from A.

    Returns:
        list[dict]: `[{"label", "choice", "score"}]`, best first. `label` is the choice's number, from 0; the scores are
            probabilities and add up to 1.

    Attributes:
        max_length: the longest sequence in tokens. Default: as the model was fine-tuned, else what it reads.
        truncation: True is "only_first"; see `PairedTask`.
        top_k: how many choices to return. Default: all.
    """

    name: ClassVar[str] = "multiple-choice"
    architecture: ClassVar[str] = "ElectraForMultipleChoice"
    parts: ClassVar[tuple[str, ...]] = ("text", "choices", "question", "context")
    usual_length: ClassVar[int] = 512
    columns: ClassVar[tuple[Column, ...]] = (
        Column("choices", ("choices", "options", "endings"), "the choices"),
        Column("text", ("text", "sentence"), "the text to continue", required=False),
        Column("context", ("context", "article", "passage"), "the text that the question is about", required=False),
        Column("question", ("question",), "the question", required=False),
        Column("label", ("label", "answer"), "the number of the right choice"),
    )

    top_k: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.top_k is None or is_count(self.top_k), "top_k", self.top_k, "1 or more, or None for all choices")

    @classmethod
    def read_example(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """As in the base class; an empty question counts as none."""
        return {key: value for key, value in values.items() if key != "question" or value != ""}

    @classmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        of_each(right_choice, examples)
        return cls().with_options(**options)

    def config_fields(self) -> dict[str, Any]:
        return {**label_fields(("LABEL_0",)), "problem_type": None}

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedChoices]:
        read = of_each(read_choices, examples)
        encoded = self.pair_each([each.text for each in read], [each.seconds for each in read], tokenizer)
        return [EncodedChoices(*rows, each.choices) for rows, each in zip(encoded, read, strict=True)]

    def infer(self, model: nn.Module, batch: Batch) -> list[float]:
        """A logit for each sequence, to compare with those of the same example."""
        logits: list[float] = model(batch, num_choices=1).logits[:, 0].float().tolist()
        return logits

    def decode(self, encoded: EncodedChoices, outputs: Sequence[float], tokenizer: Any) -> list[dict[str, Any]]:
        scores = torch.tensor(outputs).softmax(-1).tolist()
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [{"label": i, "choice": encoded.choices[i], "score": scores[i]} for i in order[: self.top_k]]

    def training_items(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingItem]:
        """An item for every example, its choices' rows together."""
        right = of_each(right_choice, examples)
        encoded = self.encode_all(examples, tokenizer)
        return [TrainingItem(e.rows, label) for e, label in zip(encoded, right, strict=True)]

    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """Labels: `targets`, float32 [R]: 1 for the row of a right choice, 0 for the others."""
        targets = [float(i == item.labels) for item in items for i in range(len(item.rows))]
        return TrainingBatch.of(items, {"targets": torch.tensor(targets)})

    def loss(self, model: nn.Module, batch: TrainingBatch) -> Tensor:
        """Cross-entropy over each example's choices, of which examples may have different numbers."""
        logits = model(batch.batch, num_choices=1).logits[:, 0]
        return list_loss(logits.float(), batch.sizes, batch.labels["targets"])

    def for_scoring(self) -> Self:
        return replace(self, top_k=1)

    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> ChoiceOutcomes:
        predicted = np.array([answers[0]["label"] for answers in predictions])
        return ChoiceOutcomes(predicted, np.array(of_each(right_choice, examples)))


def right_choice(example: Any) -> int:
    """The number of the right choice."""
    label, count = label_of(example, "label", "answer"), len(read_choices(example).choices)
    number = label
    if isinstance(label, str):
        letters = string.ascii_uppercase[:count]
        number = letters.index(label) if len(label) == 1 and label in letters else _whole(label)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
        raise ValueError(
            f"the label {label!r} is none of the {count} choices: give its number, 0 to {count - 1}, or its letter"
        )
    return number


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
