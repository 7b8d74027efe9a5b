"""A model's answers to labelled examples, refused where they are NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from electra.inference.engine import Engine
from electra.inference.predictor import NotFiniteError, predict

Counter = Callable[[int, int], None]


def answer_all(
    model: Any,
    tokenizer: Any,
    task: Any,
    examples: Sequence[Any],
    *,
    name: str = "the model",
    batch_tokens: int | None = None,
    engine: Engine | None = None,
    count: Counter = lambda done, whole: None,
) -> list[Any]:
    """The task's answer to each example, in order.

    Args:
        model: with the task's head.
        tokenizer: the model's.
        task: what the examples are for.
        examples: the examples.
        name: of the model, for the error.
        batch_tokens: how many tokens go through the network at once; by default as `predict`.
        engine: what computes the model. Default: the model itself, by torch.
        count: called with how many of all examples are answered.

    Raises:
        NotFiniteError: an output of the network, or an answer, is NaN.
    """
    answers: list[Any] = []
    with _refusing_nan(model, name):
        for answer in predict(model, tokenizer, task, examples, batch_tokens=batch_tokens, engine=engine):
            if not _has_no_nan(answer):
                raise _not_finite(name)
            answers.append(answer)
            count(len(answers), len(examples))
    return answers


@contextmanager
def _refusing_nan(model: Any, name: str) -> Iterator[None]:
    """Raise as soon as the network computes NaN; a decoder may hide it (NaN is never the highest of several scores)."""

    def check(_module: Any, _inputs: Any, outputs: Any) -> None:
        if any(bool(tensor.isnan().any()) for tensor in _tensors(outputs)):
            raise _not_finite(name)

    handle = model.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The floating-point tensors in the outputs of a model."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def _has_no_nan(answer: Any) -> bool:
    """Whether no number of an answer is NaN; log odds may be infinite."""
    if isinstance(answer, float):
        return not math.isnan(answer)
    if isinstance(answer, Mapping):
        return all(map(_has_no_nan, answer.values()))
    return all(map(_has_no_nan, answer)) if isinstance(answer, (list, tuple)) else True


def _not_finite(name: str) -> NotFiniteError:
    return NotFiniteError(
        f"{name}: its outputs are NaN, so its answers mean nothing. Its training diverged, its weights are damaged, or "
        "its precision is too low for it: take an earlier checkpoint, or try --dtype float32"
    )
