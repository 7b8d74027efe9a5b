"""What a model is for: the protocol of a task.

A task is a frozen dataclass. Its fields are its options, so `dataclasses.replace` changes one and a misspelt option is
an error. `encode` turns examples into rows of token ids, `infer` runs the network over a batch of rows, `decode` puts
the rows' outputs together to the answer of the example. Everything that knows one task from another is in this folder.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

from torch import Tensor, nn

from electra.batch import Batch, Row
from electra.config import ElectraConfig
from electra.tasks.calls import read_call

Given = TypeVar("Given")
Made = TypeVar("Made")


class ExampleError(ValueError):
    """An example that a task cannot use. `index` counts the given examples from 0, `problem` says what is wrong."""

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(f"example {index}: {problem}")
        self.index = index
        self.problem = problem


def of_each(function: Callable[[Given], Made], examples: Iterable[Given]) -> list[Made]:
    """`function` of every example; its `ValueError` becomes an `ExampleError` that says which one."""
    made = []
    for index, example in enumerate(examples):
        try:
            made.append(function(example))
        except ValueError as error:
            raise ExampleError(index, str(error)) from error
    return made


@dataclass(frozen=True)
class Encoded:
    """An example, ready for the network: its rows, and how many of its tokens had to be left out of them."""

    rows: tuple[Row, ...]
    cut_tokens: int


E = TypeVar("E", bound=Encoded)


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[E]):
    """What every task has. `E` is what it makes of an example.

    Attributes:
        max_length: the longest row in tokens, [CLS] and [SEP] included.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    architecture: ClassVar[str]
    """Name of the class in `electra.models` that answers this task."""
    parts: ClassVar[tuple[str, ...]] = ()
    """What an example is made of where a call may give that apart, as in `answer(question=…, context=…)`."""
    one_is_bare: ClassVar[bool] = False
    """Whether a list of one example is answered like the example itself, as transformers does in some tasks."""

    max_length: int = 512

    def __post_init__(self) -> None:
        if self.max_length < 3:
            raise ValueError(f"max_length={self.max_length}: a row needs at least 3 tokens ([CLS], a token, [SEP])")

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        """The task as a model of this configuration does it; `options` are the task's fields."""
        return cls(max_length=config.max_position_embeddings).with_options(**options)

    def with_options(self, **options: Any) -> Self:
        """The same task with other options; an unknown one is a `ValueError` with a suggestion."""
        allowed = [field.name for field in fields(self) if not field.metadata.get("derived")]
        for option in options:
            if option not in allowed:
                raise ValueError(f"{self.name} has no option {option!r}{suggestion(option, allowed)}")
        return replace(self, **options)

    def for_tokenizer(self, tokenizer: Any) -> Self:
        """The same task with what depends on the tokenizer worked out, once for many examples."""
        return replace(self, max_length=min(self.max_length, int(tokenizer.model_max_length)))

    def encode(self, example: Any, tokenizer: Any) -> E:
        """One example's rows."""
        return self.encode_all([example], tokenizer)[0]

    @classmethod
    def read_call(cls, given: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """What a pipeline is called with -> its inputs, and its options."""
        return read_call(cls.name, cls.parts, given, named)

    def arrange(self, inputs: Any) -> Any:
        """A call's inputs -> an example (a string or a dict), or a list or another iterable of examples."""
        return inputs

    def present(self, answer: Any, example: Any, options: Mapping[str, Any]) -> Any:
        """The answer for an example that was given alone, in transformers' shape; `options` are the call's own."""
        return answer

    @abstractmethod
    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[E]:
        """The rows of every example. One that cannot be used is an `ExampleError`."""

    @abstractmethod
    def infer(self, model: nn.Module, batch: Batch) -> Sequence[Any]:
        """What the network says of each row, off the device: one entry for each row of the (ragged) batch.

        An entry is whatever `decode` reads: scores, or tokens that were written on after the row.
        """

    @abstractmethod
    def decode(self, encoded: E, outputs: Sequence[Any], tokenizer: Any) -> Any:
        """The answer for an example from what `infer` gave for its rows: plain dicts, lists, strings and numbers."""


@dataclass(frozen=True)
class TrainingRow:
    """A row and what the network should say of it, in the form that `LabelledTask.training_batch` reads."""

    row: Row
    labels: Any

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True)
class TrainingBatch:
    """Rows to learn from: `model(batch, labels=labels).loss` is the mean over `count` labels.

    `count` is what to weight with where a step's batch is made of several.
    """

    batch: Batch
    labels: Tensor
    count: int

    def to(self, device: Any) -> TrainingBatch:
        """The same on another device."""
        return TrainingBatch(self.batch.to(device), self.labels.to(device, non_blocking=True), self.count)


@dataclass(frozen=True, kw_only=True)
class LabelledTask(Task[E]):
    """A task that is learnt from labelled examples and scored against them.

    Attributes:
        labels: the labels' names, in the order of the network's outputs.
    """

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "labels", tuple(self.labels))
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels={self.labels}: at least one is needed, and each may come once")

    @classmethod
    @abstractmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        """The task that labelled examples are of: its labels are read off them."""

    def config_fields(self) -> dict[str, Any]:
        """The fields of a model's configuration that belong to the task, to build a model for it."""
        return {
            "id2label": dict(enumerate(self.labels)),
            "label2id": {name: i for i, name in enumerate(self.labels)},
        }

    @abstractmethod
    def training_rows(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingRow]:
        """Rows with labels. An example without a label, or with an unknown one, is an `ExampleError`."""

    @abstractmethod
    def training_batch(self, rows: Sequence[TrainingRow]) -> TrainingBatch:
        """A ragged batch of the rows, on the CPU."""

    @abstractmethod
    def for_scoring(self) -> Self:
        """The same task with the options under which `score` reads its answers."""

    @abstractmethod
    def score(self, predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, float]:
        """Metrics of the answers that `for_scoring()` gave for these labelled examples.

        They come from scikit-learn and seqeval; without them: `ImportError` that says what to install.
        """

    def label_index(self, label: Any) -> int:
        """Which output a label is: by its name, or a whole number by itself where no label has such a name."""
        if str(label) in self.labels:
            return self.labels.index(str(label))
        if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(self.labels):
            return label
        allowed = ", ".join(map(repr, self.labels[:20])) + (", …" if len(self.labels) > 20 else "")
        raise ValueError(f"the label {label!r} is none of this task's {len(self.labels)}: {allowed}")

    def check_outputs(self, logits: Tensor) -> Tensor:
        """[…, K] -> the same in float32; K other than the number of labels is a `ValueError`."""
        if logits.shape[-1] != len(self.labels):
            raise ValueError(f"the model tells {logits.shape[-1]} labels apart, the task has {len(self.labels)}")
        return logits.float()


def label_of(example: Any, key: str, *others: str) -> Any:
    """The label of an example: `example[key]`, or the first of the `others` that it has."""
    if isinstance(example, Mapping):
        for name in (key, *others):
            if example.get(name) is not None:
                return example[name]
    found = f"it has {', '.join(map(repr, example))}" if isinstance(example, Mapping) else f"this is {example!r}"
    raise ValueError(f"a labelled example is a dict with {key!r}; {found}")


def suggestion(given: str, allowed: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: what was perhaps meant, and what is allowed."""
    near = difflib.get_close_matches(given, allowed, n=1)
    meant = f". Did you mean {near[0]!r}?" if near else "."
    return f"{meant} There is {', '.join(sorted(allowed))}."
