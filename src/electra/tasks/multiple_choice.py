"""Multiple choice: which of several texts goes on from a text, or answers a question?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import nn

from electra.batch import Batch
from electra.tasks.pairs import PairedTask, token_ids
from electra.tasks.task import Encoded, of_each
from electra.tasks.texts import Choices, read_choices


@dataclass(frozen=True)
class EncodedChoices(Encoded):
    """A row for each choice."""

    choices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(PairedTask[EncodedChoices]):
    """A text and choices -> `[{"label", "choice", "score"}]`, best first.

    `label` is the choice's number, from 0 on; the scores are probabilities and add up to 1. The example is a dict with
    `choices` and with `text` (or `question`, or `context`), and each choice is a row of its own:
    `[CLS] text [SEP] choice [SEP]`, as for SWAG. With both `context` and `question` a row is
    `[CLS] context [SEP] question choice [SEP]`, as for RACE. What a row has no room for is taken from the first of its
    two texts, not from a choice.

    Attributes:
        truncation: True is "only_first"; see `PairedTask`.
        top_k: how many choices to return; None: all.
    """

    name: ClassVar[str] = "multiple-choice"
    architecture: ClassVar[str] = "ElectraForMultipleChoice"
    parts: ClassVar[tuple[str, ...]] = ("text", "choices", "question", "context")

    top_k: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k}: a number from 1 on, or None for all choices")

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedChoices]:
        found = of_each(read_choices, examples)
        texts = iter(token_ids([each.text for each in found], tokenizer))
        seconds = iter(token_ids(list(chain.from_iterable(each.seconds for each in found)), tokenizer))

        def encode(example: Choices) -> EncodedChoices:
            rows, lost = self.pair(next(texts), [next(seconds) for _ in example.choices], tokenizer)
            return EncodedChoices(rows, lost, example.choices)

        return of_each(encode, found)

    def infer(self, model: nn.Module, batch: Batch) -> list[float]:
        """A number for each row, comparable with those of the same example."""
        logits: list[float] = model(batch, num_choices=1).logits[:, 0].float().tolist()
        return logits

    def decode(self, encoded: EncodedChoices, outputs: Sequence[float], tokenizer: Any) -> list[dict[str, Any]]:
        scores = torch.tensor(outputs).softmax(-1).tolist()
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return [{"label": i, "choice": encoded.choices[i], "score": scores[i]} for i in order[: self.top_k]]
