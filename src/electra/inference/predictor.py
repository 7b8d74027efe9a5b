"""Examples in, answers out, in the order they came: the engine of pipelines and of evaluation, and `electra predict`.

Examples are read in windows. In each, rows are sorted by length and put into ragged batches of so many tokens, so
nothing is padded, and a stream of any length needs only the memory of a window.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the flags of `electra predict` must not wait for torch
    from torch import nn

    from electra.batch import Row
    from electra.tasks.task import Encoded, Task

log = logging.getLogger("electra")

BATCH_TOKENS = {"cpu": 1024, "other": 16_384}
WINDOW_BATCHES = 16
CHARACTERS_PER_TOKEN = 4
WINDOW_EXAMPLES = 4096

_SWITCHED: dict[nn.Module, tuple[int, list[nn.Module]]] = {}
"""Models in training that compute without dropout now: for how many threads, and which parts are to go on training."""
_SWITCHING = threading.Lock()


def predict(
    model: nn.Module,
    tokenizer: Any,
    task: Task[Any],
    examples: Iterable[Any],
    *,
    batch_tokens: int | None = None,
    batch_size: int | None = None,
) -> Iterator[Any]:
    """The task's answer for each example, in their order, lazily.

    Args:
        model: a model with the task's head. It computes on its own device, without dropout; it is left as it was.
        examples: any iterable. At most a window of it is read ahead of the answers.
        batch_tokens: how many tokens go through the network at once (a longer row goes alone). Default: 1,024 on a CPU,
            16,384 elsewhere.
        batch_size: how many rows at most. Default: as many as fit.

    Raises:
        ExampleError: an example that the task cannot use; `index` counts from 0.
    """
    from electra.validation import is_count

    for name, given in (("batch_tokens", batch_tokens), ("batch_size", batch_size)):
        if given is not None and not is_count(given):
            raise ValueError(f"{name}={given!r}: at least 1 is needed")
    device = next(model.parameters()).device.type
    tokens = batch_tokens or BATCH_TOKENS.get(device, BATCH_TOKENS["other"])
    return _answers(model, tokenizer, _fitted(task, tokenizer, model), examples, tokens, batch_size or sys.maxsize)


def _fitted(task: Task[Any], tokenizer: Any, model: nn.Module) -> Task[Any]:
    """The task made ready for a tokenizer, and checked against the model."""
    from electra.text.special_tokens import check_embeddings

    longest = getattr(getattr(model, "config", None), "max_position_embeddings", sys.maxsize)
    if task.max_length > longest:
        raise ValueError(f"max_length={task.max_length}: the model reads at most {longest} tokens")
    check_embeddings(tokenizer, getattr(getattr(model, "config", None), "vocab_size", sys.maxsize))
    return task.for_tokenizer(tokenizer)


def _answers(
    model: nn.Module, tokenizer: Any, task: Task[Any], examples: Iterable[Any], batch_tokens: int, batch_rows: int
) -> Iterator[Any]:
    from electra.tasks.task import ExampleError

    done = cut = 0
    try:
        most = min(WINDOW_EXAMPLES, WINDOW_BATCHES * batch_rows) // task.rows_of_each
        characters = WINDOW_BATCHES * batch_tokens * CHARACTERS_PER_TOKEN // task.rows_of_each
        for window in _windows(examples, characters, most):
            try:
                encoded = task.encode_all(window, tokenizer)
            except ExampleError as error:
                raise ExampleError(done + error.index, error.problem) from error
            done += len(window)
            cut += sum(example.cut_tokens > 0 for example in encoded)
            outputs = _outputs(model, task, encoded, batch_tokens, batch_rows)
            yield from (task.decode(*pair, tokenizer) for pair in zip(encoded, outputs, strict=True))
    finally:
        if cut:
            log.warning("%d of %d texts were longer than %d tokens and were cut to that", cut, done, task.max_length)


def _windows(examples: Iterable[Any], characters: int, rows: int) -> Iterator[list[Any]]:
    """Cut examples into lists of about so many characters, and at most so many rows.

    A stream's first window is a batch's worth and each next is twice as long, so that its first answers do not wait
    for many examples, and the later ones are well sorted.
    """
    window: list[Any] = []
    filled = 0
    share = 1 if isinstance(examples, Sequence) else WINDOW_BATCHES
    for example in examples:
        window.append(example)
        filled += _size(example)
        if filled * share >= characters or len(window) * share >= rows:
            yield window
            window, filled, share = [], 0, max(1, share // 2)
    if window:
        yield window


def _size(example: Any) -> int:
    """About how many characters an example has."""
    if isinstance(example, str):
        return len(example)
    parts = example.values() if isinstance(example, Mapping) else example if isinstance(example, (list, tuple)) else ()
    return sum(map(_size, parts))


def _outputs(
    model: nn.Module, task: Task[Any], encoded: Sequence[Encoded], batch_tokens: int, batch_rows: int
) -> list[list[Any]]:
    """What the network says of each example's rows."""
    import torch

    from electra.batch import Batch

    rows = list(chain.from_iterable(example.rows for example in encoded))
    device = next(model.parameters()).device
    said: list[Any] = [None] * len(rows)
    with torch.inference_mode(), _evaluating(model):
        for chosen in batches(rows, batch_tokens, batch_rows):
            batch = Batch.from_rows([rows[i] for i in chosen]).to(device)
            for i, output in zip(chosen, task.infer(model, batch), strict=True):
                said[i] = output
    in_order = iter(said)
    return [[next(in_order) for _ in example.rows] for example in encoded]


def batches(rows: Sequence[Row], batch_tokens: int, batch_rows: int) -> Iterator[list[int]]:
    """Which rows go together: the longest first, at most `batch_tokens` tokens (or one row) and `batch_rows` rows."""
    chosen: list[int] = []
    filled = 0
    for i in sorted(range(len(rows)), key=lambda i: -len(rows[i])):
        if chosen and (filled + len(rows[i]) > batch_tokens or len(chosen) == batch_rows):
            yield chosen
            chosen, filled = [], 0
        chosen.append(i)
        filled += len(rows[i])
    if chosen:
        yield chosen


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off; what was in training goes on training when the last thread that uses the model is done."""
    with _SWITCHING:
        threads, parts = _SWITCHED.get(model, (0, []))
        training = [part for part in model.modules() if part.training]
        for part in training:
            part.training = False
        parts = [*parts, *training]
        if parts:
            _SWITCHED[model] = threads + 1, parts
    try:
        yield
    finally:
        if parts:
            with _SWITCHING:
                threads, parts = _SWITCHED.pop(model)
                if threads > 1:
                    _SWITCHED[model] = threads - 1, parts
                else:
                    for part in parts:
                        part.training = True


def load(kind: type[Task[Any]], name_or_path: str | os.PathLike[str], **options: Any) -> nn.Module:
    """The model of a task from a folder or the hub, for evaluation."""
    from electra import models

    loaded: nn.Module = getattr(models, kind.architecture).from_pretrained(name_or_path, **options)
    return loaded
