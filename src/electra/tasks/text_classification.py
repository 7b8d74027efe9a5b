"""Text classification: labels, or a number, for a text or a pair of texts."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor, nn

from electra.batch import Batch
from electra.config import PROBLEM_TYPES, ElectraConfig
from electra.metrics import task_metrics as metrics
from electra.tasks.inputs.texts import Text, check_truncation, encode_texts, read_text, spread
from electra.tasks.labelled_task import WHOLE, ClassificationTask, Column, TrainingBatch, TrainingItem, label_of
from electra.tasks.task import Encoded, label_logits, of_each
from electra.validation import as_number, is_count, require, require_one_of

PAIRS = {
    "text": "text_pair",
    "sentence1": "sentence2",
    "text_a": "text_b",
    "question1": "question2",
    "premise": "hypothesis",
    "question": "sentence",
}
"""A column's name for the first text of a pair, and for the second."""
SCORE_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "softmax": lambda logits: logits.softmax(-1),
    "none": lambda logits: logits,
}
"""[…, K] -> […, K]"""

CHOICES = ("default", *SCORE_FUNCTIONS)

FRACTION = re.compile(r"-?\d+\.\d+")
TEXT_COLUMNS = ("text", "sentence1", "text_a", "question1", "premise", "question", "sentence")


class PairByName(dict[str, Any]):
    """A pair whose second text was given as `text_pair=`: it is answered like a string, as in transformers."""


@dataclass(frozen=True, kw_only=True)
class TextClassification(ClassificationTask[Encoded]):
    """Classify a text or a pair of texts, or compute a number for it (regression).

    An example is a string, or a dict with `text` and, for a pair, `text_pair`.

    Returns:
        dict | list[dict]: `{"label", "score"}`, the label with the highest score; with `top_k` a list of these, best
            first. As in transformers, a pipeline called with one string returns a list of one.

    Attributes:
        max_length: the longest sequence in tokens. Default: as the model was fine-tuned, else what it reads.
        labels: the names of the model's outputs. Default: the model's `id2label`.
        problem_type: "single_label_classification", "multi_label_classification" or "regression". Default: the
            model's; without one, regression for one output, else a single label.
        top_k: "best": a dict with the best label. A number: a list of that many. None: a list of all.
        function_to_apply: computes scores from logits: "softmax", "sigmoid", "none", or "default": sigmoid for one
            output or several labels at once, softmax for a single label, none for regression.
        truncation: for a text longer than `max_length`: True (same as "longest_first"), "only_first" and "only_second"
            truncate it, False raises an error.
        decision_threshold: with several labels at once, those with at least this score are predicted (for scores only;
            a pipeline returns all scores).
        multi_hot: with several labels at once, the labels of an example to learn from are a list of 0 and 1, one for
            each label in their order, not a list of names.
    """

    name: ClassVar[str] = "text-classification"
    aliases: ClassVar[tuple[str, ...]] = ("sentiment-analysis",)
    architecture: ClassVar[str] = "ElectraForSequenceClassification"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("text", TEXT_COLUMNS, "the text"),
        Column("text_pair", tuple(PAIRS.values()), "the second text", required=False),
        Column("label", ("label", "labels", "class", "category", "score"), "the label"),
    )

    problem_type: str | None = None
    top_k: int | Literal["best"] | None = "best"
    function_to_apply: str | None = "default"
    truncation: bool | str = True
    decision_threshold: float = 0.5
    multi_hot: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_truncation(self.truncation)
        object.__setattr__(self, "function_to_apply", score_function(self.function_to_apply))
        if self.problem_type is not None:
            require_one_of("problem_type", self.problem_type, PROBLEM_TYPES)
        allowed = self.top_k in ("best", None) or is_count(self.top_k)
        require(allowed, "top_k", self.top_k, "1 or more, None for all labels, or 'best' for one dict")

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        task = cls(
            max_length=config.max_position_embeddings,
            labels=tuple(config.id2label[i] for i in range(config.num_labels)),
            problem_type=config.problem_type,
        )
        return task.with_options(**{**cls.thresholds(config), **cls.fitted_options(config), **options})

    @classmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        """Infer the problem type: several labels if one is a list, regression for fractions, else a single label.

        `labels` and `problem_type` in the options decide where they are given. Lists hold names, or all of them a 0 or
        1 for each label.
        """
        found = of_each(_label, examples)
        if options.get("problem_type") == "regression":
            return cls(labels=("LABEL_0",)).with_options(**options)
        several = any(isinstance(label, (list, tuple)) for label in found)
        if several:
            options = {"multi_hot": _are_multi_hot(found), **options}
        if "labels" in options:
            return cls().with_options(**options)
        if several:
            names = _places(found) if options["multi_hot"] else _in_order({*chain(*of_each(_names, found))})
            return cls(labels=names, problem_type="multi_label_classification").with_options(**options)
        if _are_numbers(found):
            return cls(labels=("LABEL_0",), problem_type="regression").with_options(**options)
        names = _in_order(set(found))
        if len(names) < 2:
            only = f"all have the label {names[0]!r}" if names else "have no label"
            raise ValueError(f"the {len(found)} examples {only}: a classifier needs at least two labels")
        return cls(labels=names, problem_type="single_label_classification").with_options(**options)

    @property
    def problem(self) -> str:
        """The problem type, the default resolved."""
        return self.problem_type or ("regression" if len(self.labels) == 1 else "single_label_classification")

    def config_fields(self) -> dict[str, Any]:
        return {**super().config_fields(), "problem_type": self.problem}

    @classmethod
    def read_call(cls, arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """As in the base class; `text_pair=` is the second text of the example, or a list of second texts."""
        options = dict(named)
        pair = options.pop("text_pair", None)
        inputs, options = super().read_call(arguments, options)
        if pair is None:
            return inputs, options
        if not isinstance(inputs, (str, list, tuple)):
            raise ValueError(
                f"text_pair is given beside a {type(inputs).__name__}: it goes with a string, or with a list"
            )
        pairs = spread({"text": inputs, "text_pair": pair})
        return (PairByName(pairs) if isinstance(pairs, Mapping) else pairs), options

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[Encoded]:
        return encode_texts(of_each(_read, examples), tokenizer, self.max_length, self.truncation)

    def infer(self, model: nn.Module, batch: Batch) -> list[list[float]]:
        """[K] scores for each sequence."""
        logits = label_logits(model(batch).logits, self.labels)
        function = self.function_to_apply if self.function_to_apply != "default" else self._usual_function()
        scores: list[list[float]] = SCORE_FUNCTIONS[str(function)](logits).tolist()
        return scores

    def _usual_function(self) -> str:
        if self.problem_type == "regression":
            return "none"
        return "sigmoid" if len(self.labels) == 1 or self.problem_type == "multi_label_classification" else "softmax"

    def decode(self, encoded: Encoded, outputs: Sequence[list[float]], tokenizer: Any) -> Any:
        (scores,) = outputs
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        answers = [{"label": self.labels[i], "score": scores[i]} for i in order]
        if self.top_k == "best":
            return answers[0]
        return answers[: self.top_k]

    def present(self, answer: Any, example: Any, options: Mapping[str, Any]) -> Any:
        """transformers: a string gives a list with its best label, a pair gives the dict alone."""
        return [answer] if isinstance(example, (str, PairByName)) and "top_k" not in options else answer

    def training_items(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingItem]:
        targets = of_each(self.target, examples)
        encoded = self.encode_all(examples, tokenizer)
        return [TrainingItem(e.rows, target) for e, target in zip(encoded, targets, strict=True)]

    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """Labels: int64 [B] for a single label, float32 [B, K] for several, float32 [B] ([B, K]) for regression."""
        whole = self.problem == "single_label_classification"
        labels = torch.tensor([item.labels for item in items], dtype=torch.int64 if whole else torch.float32)
        return TrainingBatch.of(items, {"labels": labels})

    def target(self, example: Any) -> int | float | tuple[float, ...]:
        """The target of a labelled example: a label's index, a number, or 0 and 1 for each label."""
        label = label_of(example, "label", "labels")
        if self.problem == "single_label_classification":
            return self.label_index(label)
        if self.problem == "regression":
            return self._numbers(label)
        if self.multi_hot:
            return self._of_places(label)
        chosen = set(map(self.label_index, _names(label)))
        return tuple(float(i in chosen) for i in range(len(self.labels)))

    def _of_places(self, label: Any) -> tuple[float, ...]:
        """The 0 or 1 for each label."""
        if not _is_bits(label) or len(label) != len(self.labels):
            raise ValueError(
                f"an example has a list with a 0 or 1 for each of the {len(self.labels)} labels, not {label!r}"
            )
        return tuple(map(float, label))

    def _numbers(self, label: Any) -> float | tuple[float, ...]:
        """The targets of a regression: a number for each output; for one output the number alone."""
        what = "the label of a regression"
        if len(self.labels) == 1:
            return as_number(label, what)
        if not isinstance(label, (list, tuple)) or len(label) != len(self.labels):
            raise ValueError(
                f"{what} on {len(self.labels)} outputs is {label!r}: it must be a list with a number for each output"
            )
        return tuple(as_number(each, what) for each in label)

    def for_scoring(self) -> Self:
        several = self.problem == "multi_label_classification" or (
            self.problem == "regression" and len(self.labels) > 1
        )
        function = "none" if self.problem == "regression" else "default"
        return self.with_options(top_k=None if several else "best", function_to_apply=function)

    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> metrics.Outcomes:
        expected = np.array(of_each(self.target, examples))
        if self.problem == "single_label_classification":
            predicted = np.array([self.labels.index(answer["label"]) for answer in predictions])
            return metrics.LabelOutcomes(predicted, expected, self.labels)
        if self.problem == "multi_label_classification":
            scores = np.array([self._by_label(answers) for answers in predictions])
            return metrics.SetOutcomes(scores >= self.decision_threshold, expected.astype(bool), self.labels)
        if len(self.labels) > 1:
            return metrics.NumberOutcomes(np.array([self._by_label(answers) for answers in predictions]), expected)
        return metrics.NumberOutcomes(np.array([answer["score"] for answer in predictions]), expected)

    def _by_label(self, answers: Sequence[dict[str, Any]]) -> list[float]:
        scores = {answer["label"]: answer["score"] for answer in answers}
        return [scores[label] for label in self.labels]


def _read(example: Any) -> Text:
    """Read a text or a pair; also `[[text, pair]]`, transformers' older form of a pair."""
    if isinstance(example, (list, tuple)) and len(example) == 1 and isinstance(example[0], (list, tuple)):
        example = dict(zip(("text", "text_pair"), example[0], strict=False))
    return read_text(example)


def _in_order(labels: set[Any]) -> tuple[str, ...]:
    """Names in a reproducible order: numbers by value, the rest by alphabet."""
    if all(isinstance(label, int) for label in labels):
        return tuple(map(str, sorted(labels)))
    return tuple(sorted(set(map(str, labels))))


def _label(example: Any) -> Any:
    """An example's label; NaN and an empty string, which tables have in empty cells, are refused."""
    label = label_of(example, "label", "labels")
    for one in label if isinstance(label, (list, tuple)) else (label,):
        if isinstance(one, (Mapping, list, tuple)):
            raise ValueError(f"the label is {label!r}: it must be a name, a number or a list of names")
        if (isinstance(one, float) and math.isnan(one)) or (isinstance(one, str) and not one.strip()):
            raise ValueError(f"the label is {'NaN' if isinstance(one, float) else 'empty'}: every example needs one")
    return label


def _is_bits(label: Any) -> bool:
    """Whether it is a list of 0 and 1."""
    return isinstance(label, (list, tuple)) and all(isinstance(one, (int, float)) and one in (0, 1) for one in label)


def _is_of_places(label: Any) -> bool:
    """Whether it is a list of 0 and 1 that cannot be names: one comes twice, or they are floats or bools."""
    return _is_bits(label) and (len({*label}) < len(label) or any(isinstance(one, (float, bool)) for one in label))


def _are_multi_hot(labels: Sequence[Any]) -> bool:
    """Whether all are lists of one length, above one, with a 0 or 1 for each label.

    [0, 1] and [1, 0] too: as lists of names, every example would have both labels.
    """
    return all(map(_is_bits, labels)) and len({*map(len, labels)}) == 1 and len(labels[0]) > 1


def _places(labels: Sequence[Any]) -> tuple[str, ...]:
    """Names for labels without names: their numbers, from 0."""
    return tuple(map(str, range(next(len(label) for label in labels if isinstance(label, (list, tuple))))))


def _names(label: Any) -> Sequence[Any]:
    """The names of an example's labels; a string is a single name, as in fastText's files."""
    if isinstance(label, str):
        return (label,)
    if not isinstance(label, (list, tuple)):
        raise ValueError(f"an example of several labels has a list of them, not {label!r}")
    if _is_of_places(label) or any(isinstance(one, float) or not isinstance(one, (str, int)) for one in label):
        raise ValueError(
            f"the label is {label!r}: a list has names, or in all examples a 0 or 1 for each label, always as many"
        )
    return label


def _are_numbers(labels: Sequence[Any]) -> bool:
    """Whether most are fractions (in CSV files: strings), or some are fractions and the others whole numbers."""
    fractions = sum(isinstance(each, float) or bool(FRACTION.fullmatch(str(each))) for each in labels)
    whole = sum(bool(WHOLE.fullmatch(str(each))) for each in labels)
    return 2 * fractions > len(labels) or (fractions > 0 and fractions + whole == len(labels))


def score_function(function: str | None) -> str:
    """One of CHOICES, in lower case; None is "default", anything else a `ValueError`."""
    name = str(function or "default").lower()
    require_one_of("function_to_apply", name, CHOICES)
    return name
