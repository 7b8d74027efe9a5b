"""What a model is for: the protocol of a task.

A task is a frozen dataclass. Its fields are its options, so `dataclasses.replace` changes one and a misspelt option is
an error. `encode` turns examples into rows of token ids, `infer` runs the network over a batch of rows, `decode` puts
the rows' outputs together to the answer of the example. Everything that knows one task from another is in this folder.
"""

from __future__ import annotations

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Integral
from typing import Any, ClassVar, Generic, Self, TypeVar

from torch import Tensor, nn

from electra.batch import Batch, Row
from electra.config import ElectraConfig
from electra.metrics.task_metrics import Outcomes
from electra.tasks.inputs.calls import read_call

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
        if not is_count(self.max_length, 3):
            raise ValueError(f"max_length={self.max_length!r}: a row needs at least 3 tokens ([CLS], a token, [SEP])")

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

    @property
    def rows_of_each(self) -> int:
        """How many rows every example becomes, where the options say so."""
        return 1

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


def is_count(value: Any, least: int = 1) -> bool:
    """Whether it is a whole number of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def finite(given: Any, what: str) -> float:
    """A number, also one in a string; `ValueError` about `what` for anything else, NaN and infinity among it."""
    try:
        number = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        return number
    raise ValueError(f"{what} is a finite number, not {given!r}")


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


def suggestion(given: str, allowed: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: what was perhaps meant, and what is allowed."""
    near = difflib.get_close_matches(given, allowed, n=1)
    meant = f". Did you mean {near[0]!r}?" if near else "."
    return f"{meant} There is {', '.join(sorted(allowed))}."
