"""What a model is for: the protocol of a task.

A task is a frozen dataclass. Its fields are its options, so `dataclasses.replace` changes one and a misspelt option is
an error. `encode` turns examples into rows of token ids, `infer` runs the network over a batch of rows, `decode` puts
the rows' outputs together to the answer of the example. Everything that knows one task from another is in this folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

from torch import Tensor, nn

from electra.batch import Batch, Row
from electra.config import ElectraConfig
from electra.validation import choose_one_of, is_count

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
        if not options:
            return self
        allowed = [field.name for field in fields(self) if not field.metadata.get("derived")]
        for option in options:
            if option not in allowed:
                raise ValueError(f"{self.name} has no option {option!r}{choose_one_of(option, allowed)}")
        return replace(self, **options)

    def for_tokenizer(self, tokenizer: Any) -> Self:
        """The same task with what depends on the tokenizer worked out, once for many examples."""
        longest = int(tokenizer.model_max_length)
        return self if self.max_length <= longest else replace(self, max_length=longest)

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


def read_call(
    task: str, parts: Sequence[str], given: Sequence[Any], named: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """A call's positional and named arguments -> its inputs, and its options.

    One positional argument, or `inputs=…`, is an example or many. Where an example has `parts`, these can be given
    instead, by position or by name: the inputs are then a dict of them. Too many, none, or one that comes twice is a
    `ValueError`.
    """
    options = dict(named)
    by_name = {part: options.pop(part) for part in parts if part in options}
    if len(given) == 1 and not by_name:
        return given[0], options
    if not given and not by_name and "inputs" in options:
        return options.pop("inputs"), options
    allowed = f"an example or many, or {' and '.join(parts)}" if parts else "an example or many"
    if len(given) > len(parts):
        raise ValueError(f"{task} is called with {allowed}; it was given {len(given)} arguments")
    by_place = dict(zip(parts, given, strict=False))
    for part in by_place.keys() & by_name.keys():
        raise ValueError(f"{task} was given {part!r} twice, by its place and by its name")
    if not by_place and not by_name:
        raise ValueError(f"{task} was given nothing to work on: call it with {allowed}")
    return by_place | by_name, options


def label_logits(logits: Tensor, labels: Sequence[str]) -> Tensor:
    """[..., K] -> the same in float32; a `ValueError` where K is not the number of labels."""
    if logits.shape[-1] != len(labels):
        raise ValueError(
            f"the model has {logits.shape[-1]} outputs, and there are {len(labels)} labels: correct id2label in "
            "config.json, or the labels that you give"
        )
    return logits.float()
