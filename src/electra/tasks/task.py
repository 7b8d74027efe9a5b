"""The protocol of a task: options, and the way from examples to token ids and from the network's outputs to answers.

A task is a frozen dataclass. Its fields are its options, so `dataclasses.replace` changes one and a misspelt option is
an error. `encode_all` turns examples into sequences of token ids, `infer` runs the network on a batch of sequences,
`decode` combines the outputs for an example's sequences into its answer. Everything task-specific is in this folder.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, ClassVar, Generic, Self, TypeVar, get_type_hints

from torch import Tensor, nn

from electra.batch import Batch, Row
from electra.config import ElectraConfig
from electra.validation import choose_one_of, is_count, require, require_type

log = logging.getLogger("electra")

Given = TypeVar("Given")
Made = TypeVar("Made")

NOT_FINITE = (
    "the model's answer is NaN or infinite: its weights are damaged or diverged in training (or overflow in float16: "
    "use dtype float32)"
)
FITTED_TO = "fitted_to"
"""The field of config.json in which `electra finetune` writes what a model was fitted to."""
THRESHOLDS = ("decision_threshold", "no_answer_threshold")
"""Options that have fields of their own in config.json."""


class ExampleError(ValueError):
    """An example that a task cannot use.

    Attributes:
        index: which of the examples, counted from 0.
        problem: what is wrong with it.
    """

    def __init__(self, index: int, problem: str) -> None:
        super().__init__(f"example {index}: {problem}")
        self.index = index
        self.problem = problem


def of_each(function: Callable[[Given], Made], examples: Iterable[Given]) -> list[Made]:
    """Apply a function to every example; its `ValueError` becomes an `ExampleError` with the example's index."""
    results = []
    for index, example in enumerate(examples):
        try:
            results.append(function(example))
        except ValueError as error:
            raise ExampleError(index, str(error)) from error
    return results


@dataclass(frozen=True)
class Encoded:
    """An example, ready for the network.

    Attributes:
        rows: its sequences of token ids: one, or several for long texts, choices and rankings.
        cut_tokens: how many of its tokens were truncated.
    """

    rows: tuple[Row, ...]
    cut_tokens: int


E = TypeVar("E", bound=Encoded)


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[E]):
    """The base class of the tasks.

    `E` is the class of an encoded example. Subclasses document under "Returns" what a pipeline of the task returns for
    one example, and under "Attributes" the task's options.

    Attributes:
        max_length: the longest sequence in tokens, [CLS] and [SEP] included.
    """

    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    architecture: ClassVar[str]
    """Name of the class in `electra.models` that has the task's head."""
    parts: ClassVar[tuple[str, ...]] = ()
    """The parts of an example that a call may name one by one, as in `answer(question=…, context=…)`."""
    one_is_bare: ClassVar[bool] = False
    """Whether a list of one example is answered like the example alone, as transformers does for some tasks."""

    max_length: int = 512

    def __post_init__(self) -> None:
        require(is_count(self.max_length, 3), "max_length", self.max_length, "3 tokens or more: [CLS], a token, [SEP]")

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        """The task of a model: with the defaults of its configuration, as it was fine-tuned, and with these options."""
        task = cls(max_length=config.max_position_embeddings)
        return task.with_options(**{**cls.fitted_options(config), **options})

    @classmethod
    def fitted_options(cls, config: ElectraConfig) -> dict[str, Any]:
        """The options with which `electra finetune` fitted a model to this task; none for other models.

        Raises:
            ValueError: config.json has something else in that place.
        """
        fitted = getattr(config, FITTED_TO, None)
        if fitted is None:
            return {}
        options = fitted.get("options", {}) if isinstance(fitted, Mapping) else None
        require(isinstance(options, Mapping), f"{FITTED_TO} in config.json", fitted, "what `electra finetune` writes")
        assert options is not None
        if not cls.is_fitted(config):
            return {}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}

    @classmethod
    def is_fitted(cls, config: ElectraConfig) -> bool:
        """Whether `electra finetune` fitted the model to this task."""
        fitted = getattr(config, FITTED_TO, None)
        return isinstance(fitted, Mapping) and fitted.get("task") in (cls.name, *cls.aliases)

    @classmethod
    def log_overrides(cls, config: ElectraConfig, options: Mapping[str, Any]) -> None:
        """Warn of options that differ from those with which the model was fitted."""
        for name, fitted in {**cls.thresholds(config), **cls.fitted_options(config)}.items():
            if name in options and options[name] != fitted:
                log.warning("%s is %r, and the model was fitted with %r", name, options[name], fitted)

    @classmethod
    def thresholds(cls, config: ElectraConfig) -> dict[str, Any]:
        """The thresholds of a model's configuration that are options of this task."""
        known = [field.name for field in fields(cls) if field.name in THRESHOLDS and hasattr(config, field.name)]
        return {name: getattr(config, name) for name in known}

    def with_options(self, **options: Any) -> Self:
        """A copy with other options.

        Raises:
            ValueError: an unknown option (the message suggests the nearest), or a value that is not allowed.
        """
        if not options:
            return self
        allowed = [field.name for field in fields(self) if not field.metadata.get("derived")]
        hints = _type_hints(type(self))
        for option, value in options.items():
            if option not in allowed:
                raise ValueError(f"{self.name} has no option {option!r}{choose_one_of(option, allowed)}")
            require_type(option, value, hints[option])
        return replace(self, **options)

    def for_tokenizer(self, tokenizer: Any) -> Self:
        """A copy for a tokenizer: what depends on the tokenizer is computed once for many examples."""
        longest = int(tokenizer.model_max_length)
        return self if self.max_length <= longest else replace(self, max_length=longest)

    @property
    def rows_of_each(self) -> int:
        """How many sequences each example becomes, as far as the options determine it."""
        return 1

    def encode(self, example: Any, tokenizer: Any) -> E:
        """Encode one example."""
        return self.encode_all([example], tokenizer)[0]

    @classmethod
    def read_call(cls, arguments: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Separate the arguments of a pipeline's call into inputs and options."""
        return read_call(cls.name, cls.parts, arguments, named)

    def arrange(self, inputs: Any) -> Any:
        """Bring a call's inputs into the form of an example (a string or a dict) or an iterable of examples."""
        return inputs

    def present(self, answer: Any, example: Any, options: Mapping[str, Any]) -> Any:
        """The answer to an example that was given alone, in transformers' shape; `options` are the call's own."""
        return answer

    @abstractmethod
    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[E]:
        """Encode examples.

        Raises:
            ExampleError: an example that the task cannot use.
        """

    @abstractmethod
    def infer(self, model: nn.Module, batch: Batch) -> Sequence[Any]:
        """Run the network.

        Args:
            model: a model with the task's head.
            batch: a ragged batch on the model's device.

        Returns:
            An entry for each sequence, on the CPU: whatever `decode` reads, such as scores or generated tokens.
        """

    @abstractmethod
    def decode(self, encoded: E, outputs: Sequence[Any], tokenizer: Any) -> Any:
        """Compute an example's answer from the entries that `infer` returned for its sequences.

        Returns:
            Plain dicts, lists, strings and numbers.
        """


@cache
def _type_hints(task: type[Task[Any]]) -> dict[str, Any]:
    return get_type_hints(task)


def read_call(
    task: str, parts: Sequence[str], arguments: Sequence[Any], named: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Separate the positional and named arguments of a pipeline's call into inputs and options.

    One positional argument, or `inputs=…`, is an example or many. Where an example has `parts`, these can be given
    instead, by position or by name: the inputs are then a dict of them.

    Raises:
        ValueError: too many arguments, none, or one that is given twice.
    """
    options = dict(named)
    by_name = {part: options.pop(part) for part in parts if part in options}
    if len(arguments) == 1 and not by_name:
        return arguments[0], options
    if not arguments and not by_name and "inputs" in options:
        return options.pop("inputs"), options
    allowed = f"an example or many, or {' and '.join(parts)}" if parts else "an example or many"
    if len(arguments) > len(parts):
        raise ValueError(f"{task} is called with {allowed}, not with {len(arguments)} arguments")
    by_place = dict(zip(parts, arguments, strict=False))
    for part in by_place.keys() & by_name.keys():
        raise ValueError(f"{task} got {part!r} twice, by position and by name")
    if not by_place and not by_name:
        raise ValueError(f"{task} got no input: call it with {allowed}")
    return by_place | by_name, options


def label_logits(logits: Tensor, labels: Sequence[str]) -> Tensor:
    """[..., K] -> the same in float32; a `ValueError` where K is not the number of labels."""
    if logits.shape[-1] != len(labels):
        raise ValueError(
            f"the model has {logits.shape[-1]} outputs, and there are {len(labels)} labels: correct id2label in "
            "config.json, or the labels that you give"
        )
    return logits.float()
