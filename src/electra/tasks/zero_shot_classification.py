"""Zero-shot classification with a model of natural-language inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.tasks.inputs.pairs import PairedTask, token_ids
from electra.tasks.inputs.texts import read_single_text
from electra.tasks.task import Encoded, label_logits, of_each

TEMPLATE = "This example is {}."


@dataclass(frozen=True)
class EncodedText(Encoded):
    """A sequence for each label: `[CLS] text [SEP] hypothesis [SEP]`."""

    text: str


@dataclass(frozen=True, kw_only=True)
class ZeroShotClassification(PairedTask[EncodedText]):
    """Classify texts by labels that the model was not trained on, with a model of natural-language inference.

    For each label the model scores whether the text entails a hypothesis such as "This example is sport.". An example
    is a string. A text that is too long is truncated, a hypothesis is not.

    Returns:
        dict: `{"sequence", "labels", "scores"}`: the text, the labels, best first, and their scores.

    Attributes:
        max_length: the longest sequence in tokens. Default: as the model was fine-tuned, else what it reads.
        truncation: True is "only_first"; see `PairedTask`.
        candidate_labels: the labels, a list or a string with commas between them.
        hypothesis_template: the hypothesis, with {} in place of the label.
        multi_label: score every label on its own, by entailment against contradiction. Otherwise, if there are several
            labels, their scores are a softmax over their entailment logits.
        entailment_label: the name of the model's label for entailment. Default: the one that starts with "entail".
    """

    name: ClassVar[str] = "zero-shot-classification"
    architecture: ClassVar[str] = "ElectraForSequenceClassification"

    candidate_labels: str | Sequence[str] = ()
    hypothesis_template: str = TEMPLATE
    multi_label: bool = False
    entailment_label: str | None = None
    # the model's own labels, from its configuration; not an option
    labels: tuple[str, ...] = field(default=("entailment", "contradiction"), metadata={"derived": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "candidate_labels", _read_labels(self.candidate_labels))
        _check_template(self.hypothesis_template)

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        labels = tuple(config.id2label[i] for i in range(config.num_labels))
        task = cls(max_length=config.max_position_embeddings, labels=labels).with_options(**options)
        task.outputs()  # refuses a model of another task before it is loaded
        return task

    @classmethod
    def read_call(cls, arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """As in transformers: `sequences` by that name, and the labels as second positional argument."""
        options = {("inputs" if name == "sequences" else name): value for name, value in named.items()}
        if len(arguments) == 2 and "candidate_labels" not in options:
            options["candidate_labels"] = arguments[1]
            arguments = arguments[:1]
        return super().read_call(arguments, options)

    def outputs(self) -> tuple[int, int]:
        """The indices of the model's labels for entailment and contradiction.

        If no label is named contradiction, it is the first or, if that is entailment, the last: transformers' rule.
        """
        names = [name.lower() for name in self.labels]
        wanted = self.entailment_label
        found = [i for i, name in enumerate(names) if name.startswith("entail")]
        if wanted is not None:
            found = [i for i, name in enumerate(self.labels) if name == wanted]
        if not found or len(names) < 2:
            raise ValueError(
                f"the model's labels are {', '.join(map(repr, self.labels))}: "
                + (f"none is {wanted!r}" if wanted is not None else "none begins with 'entail'")
                + ". Zero-shot classification needs a model of natural-language inference, with two labels or more; "
                "name it with entailment_label=…"
            )
        named = [i for i, name in enumerate(names) if name.startswith("contra")]
        return found[0], named[0] if named else (len(names) - 1 if found[0] == 0 else 0)

    def for_tokenizer(self, tokenizer: Any) -> Self:
        if not self.candidate_labels:
            raise ValueError("candidate_labels is empty: give labels to choose from, such as ['sport', 'politics']")
        return super().for_tokenizer(tokenizer)

    @property
    def rows_of_each(self) -> int:
        return len(self.candidate_labels)

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedText]:
        texts = of_each(_read, examples)
        hypotheses = token_ids([self.hypothesis_template.format(label) for label in self.candidate_labels], tokenizer)
        tokens = iter(token_ids(texts, tokenizer))

        def encode(text: str) -> EncodedText:
            rows, lost = self.pair(next(tokens), hypotheses, tokenizer)
            return EncodedText(rows, lost, text)

        return of_each(encode, texts)

    def infer(self, model: nn.Module, batch: Batch) -> list[list[float]]:
        """[2] for each sequence: the logits of contradiction and entailment."""
        logits = label_logits(model(batch).logits, self.labels)
        entailment, contradiction = self.outputs()
        both: list[list[float]] = logits[:, [contradiction, entailment]].tolist()
        return both

    def decode(self, encoded: EncodedText, outputs: Sequence[list[float]], tokenizer: Any) -> dict[str, Any]:
        logits = torch.tensor(outputs)
        alone = self.multi_label or len(outputs) == 1
        scores = (logits.softmax(-1)[:, 1] if alone else logits[:, 1].softmax(-1)).tolist()
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return {
            "sequence": encoded.text,
            "labels": [self.candidate_labels[i] for i in order],
            "scores": [scores[i] for i in order],
        }


def _read(example: Any) -> str:
    text = read_single_text(example)
    if not text:
        raise ValueError("the text is empty")
    return text


def _read_labels(labels: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str):
        return tuple(label.strip() for label in labels.split(",") if label.strip())
    if not isinstance(labels, Sequence) or not all(isinstance(label, str) for label in labels):
        raise ValueError(
            f"candidate_labels is {labels!r}: it must be a list of strings, or a string with commas between the labels"
        )
    return tuple(labels)


def _check_template(template: str) -> None:
    """Refuse a template without exactly one place for the label."""
    try:
        places = template.format("\N{SYMBOL FOR NULL}").count("\N{SYMBOL FOR NULL}")
    except (ValueError, LookupError, AttributeError):
        places = 0
    if places != 1:
        raise ValueError(f"hypothesis_template is {template!r}: it must contain {{}} once, in place of the label")
