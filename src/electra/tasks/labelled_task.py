"""Tasks that are learnt from labelled examples: what fine-tuning and evaluation need beyond inference."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

from torch import Tensor, nn

from electra.batch import Batch, Row
from electra.metrics.task_metrics import Outcomes
from electra.tasks.task import Encoded, Task

E = TypeVar("E", bound=Encoded)
WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True)
class TrainingItem:
    """One thing to learn from: a row, or several that are judged together, and what the network should say of them.

    An example owns one (a text), several (the windows of a long context), or is one with several rows (the choices of
    a question). `labels` are in the form that the task's `training_batch` reads.
    """

    rows: tuple[Row, ...]
    labels: Any

    def __len__(self) -> int:
        """Tokens, of all rows together."""
        return sum(map(len, self.rows))


@dataclass(frozen=True)
class TrainingBatch:
    """Items to learn from, on one device.

    Attributes:
        batch: the rows of all items, ragged.
        sizes: how many of the rows each item has, in order.
        labels: what the network should say, by name; where a task does not say otherwise, arguments of the model.
        count: how many labels there are; `LabelledTask.loss` is the mean over them. It is what to weight with where a
            step's batch is made of several.
    """

    batch: Batch
    sizes: tuple[int, ...]
    labels: Mapping[str, Tensor]
    count: int

    @classmethod
    def of(cls, items: Sequence[TrainingItem], labels: Mapping[str, Tensor], count: int | None = None) -> Self:
        """The batch of some items. `count` is by default how many items there are."""
        rows = [row for item in items for row in item.rows]
        sizes = tuple(len(item.rows) for item in items)
        return cls(Batch.from_rows(rows), sizes, labels, len(items) if count is None else count)

    def to(self, device: Any) -> TrainingBatch:
        """The same on another device."""
        labels = {name: values.to(device, non_blocking=True) for name, values in self.labels.items()}
        return replace(self, batch=self.batch.to(device), labels=labels)


@dataclass(frozen=True)
class Column:
    """A part of a labelled example, and under which names files have it."""

    key: str
    """What the task calls it."""
    names: tuple[str, ...]
    """The names that are looked for in a file, the first one first."""
    meaning: str
    """What it is, in an error's words."""
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class LabelledTask(Task[E]):
    """A task that is learnt from labelled examples and scored against them."""

    columns: ClassVar[tuple[Column, ...]]
    """What an example of this task is made of."""
    ids: ClassVar[tuple[str, ...]] = ("id", "qid", "guid")
    """Columns that may name the records: in the first of them that a file has, each name comes once."""
    usual_length: ClassVar[int] = 128
    """The longest row in tokens for fine-tuning, if nothing else is said; Google's."""

    @classmethod
    def recognises(cls, names: Collection[str]) -> bool:
        """Whether a file with columns of these names looks like one of this task."""
        return all(any(name in names for name in column.names) for column in cls.columns if column.required)

    @classmethod
    def read_example(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The example of one record; `values` are its columns under the task's keys. What is wrong: `ValueError`."""
        return dict(values)

    @classmethod
    def gather(cls, examples: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
        """Examples from those of single records, each with the number of the (first) one that it is made of."""
        return [(example, number) for number, example in enumerate(examples)]

    @classmethod
    @abstractmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        """The task that labelled examples are of: what it has to know is read off them."""

    def config_fields(self) -> dict[str, Any]:
        """The fields of a model's configuration that belong to the task, to build a model for it."""
        return {**label_fields(("LABEL_0", "LABEL_1")), "problem_type": None}

    @abstractmethod
    def training_items(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingItem]:
        """What is learnt from labelled examples. One without a label, or with an unknown one, is an `ExampleError`."""

    def check(self, examples: Sequence[Any], tokenizer: Any) -> None:
        """Refuse an example that cannot be scored: an `ExampleError`."""
        self.training_items(examples, tokenizer)

    @abstractmethod
    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """A ragged batch of the items, on the CPU."""

    def loss(self, model: nn.Module, batch: TrainingBatch) -> Tensor:
        """What training makes small, the mean over `batch.count` labels: []. `batch` is on the model's device."""
        found: Tensor = model(batch.batch, **batch.labels).loss
        return found

    @abstractmethod
    def for_scoring(self) -> Self:
        """The same task with the options under which `outcomes` reads its answers."""

    @abstractmethod
    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> Outcomes:
        """The answers that `for_scoring()` gave for these labelled examples, beside what is right."""

    def score(self, predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, float]:
        """Metrics by name of the answers that `for_scoring()` gave for these labelled examples.

        They come from scikit-learn and seqeval; without them: `ImportError` that says what to install.
        """
        return self.outcomes(predictions, examples).scores()


@dataclass(frozen=True, kw_only=True)
class ClassificationTask(LabelledTask[E]):
    """A classification task that is learnt from labelled examples.

    Attributes:
        labels: the labels' names, in the order of the network's outputs.
    """

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.labels, str):
            raise ValueError(f"labels={self.labels!r}: a list of names is needed")
        object.__setattr__(self, "labels", tuple(self.labels))
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels={self.labels}: at least one is needed, and each may come once")

    def config_fields(self) -> dict[str, Any]:
        return {**label_fields(self.labels), "problem_type": None}

    def label_index(self, label: Any) -> int:
        """Which output a label is: by its name, or a whole number by itself where no label is called by a number."""
        if str(label) in self.labels:
            return self.labels.index(str(label))
        counts = isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(self.labels)
        if counts and not any(WHOLE.fullmatch(name) for name in self.labels):
            return int(label)
        allowed = ", ".join(map(repr, self.labels[:20])) + (", …" if len(self.labels) > 20 else "")
        raise ValueError(f"the label {label!r} is none of this task's {len(self.labels)}: {allowed}")


def label_fields(labels: Sequence[str]) -> dict[str, Any]:
    """The names of a network's outputs, as a configuration has them."""
    return {"id2label": dict(enumerate(labels)), "label2id": {name: i for i, name in enumerate(labels)}}


def label_of(example: Any, key: str, *others: str) -> Any:
    """The label of an example: `example[key]`, or the first of the `others` that it has."""
    if isinstance(example, Mapping):
        for name in (key, *others):
            if example.get(name) is not None:
                return example[name]
    found = f"it has {', '.join(map(repr, example))}" if isinstance(example, Mapping) else f"this is {example!r}"
    raise ValueError(f"a labelled example is a dict with {key!r}; {found}")
