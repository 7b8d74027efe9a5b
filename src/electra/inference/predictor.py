"""The inference engine of pipelines, `predict` and `evaluate`: examples in, answers out, in order and without padding.

Examples are read in windows. In each window, sequences are sorted by length and put into ragged batches up to a number
of tokens, so nothing is padded, and a stream of any length needs only the memory of a window.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from electra.validation import require_count

if TYPE_CHECKING:  # the flags of `electra predict` must not wait for torch
    from torch import nn

    from electra.batch import Row
    from electra.inference.engine import Engine
    from electra.tasks.task import Encoded, Task

log = logging.getLogger("electra")

BATCH_TOKENS = {"cpu": 1024, "other": 16_384}
"""Default number of tokens per batch, by kind of device."""
WINDOW_BATCHES = 16
CHARACTERS_PER_TOKEN = 4
WINDOW_EXAMPLES = 4096


class NotFiniteError(ValueError):
    """A model computes NaN or infinity, so that its answers mean nothing."""


_CHECKED: WeakKeyDictionary[nn.Module, tuple[int, ...]] = WeakKeyDictionary()
"""Models whose weights are finite, by the version counters of their tensors at that time."""
_SWITCHED: dict[nn.Module, tuple[int, list[nn.Module]]] = {}
"""Models in training mode that are evaluating now: how many threads use each, and which modules to set back."""
_SWITCHING = threading.Lock()


def predict(
    model: nn.Module,
    tokenizer: Any,
    task: Task[Any],
    examples: Iterable[Any],
    *,
    batch_tokens: int | None = None,
    batch_size: int | None = None,
    engine: Engine | None = None,
) -> Iterator[Any]:
    """Compute the task's answer for each example, in their order, lazily.

    Args:
        model: a model with the task's head. It computes on its own device, in evaluation mode, and is set back after.
        tokenizer: the model's.
        task: what to do, with its options.
        examples: any iterable. At most a window of it is read ahead of the answers.
        batch_tokens: how many tokens go through the network at once (a longer sequence goes alone). Default: 1,024 on a
            CPU, 16,384 elsewhere.
        batch_size: how many sequences at most. Default: as many as fit.
        engine: what computes the model, of which it was made. Default: the model itself, by torch.

    Returns:
        An iterator over the answers.

    Raises:
        ExampleError: an example that the task cannot use, or whose answer is NaN or infinite; `index` counts from 0.
        ValueError: an option that is not allowed, or a `max_length` above what the model reads.
    """
    for name, count in (("batch_tokens", batch_tokens), ("batch_size", batch_size)):
        if count is not None:
            require_count(name, count)
    device = next(model.parameters()).device.type
    tokens = batch_tokens or BATCH_TOKENS.get(device, BATCH_TOKENS["other"])
    if engine is not None and engine.model is not model:
        raise ValueError("the engine was made of another model: make one of this model, Engine(model, …)")
    prepared = _prepared(task, tokenizer, model)
    return _answers(model, tokenizer, prepared, examples, tokens, batch_size or sys.maxsize, engine)


def _prepared(task: Task[Any], tokenizer: Any, model: nn.Module) -> Task[Any]:
    """The task for this tokenizer; both are checked against the model."""
    from electra.text.special_tokens import check_embeddings

    longest = getattr(getattr(model, "config", None), "max_position_embeddings", sys.maxsize)
    if task.max_length > longest:
        raise ValueError(f"max_length is {task.max_length}: the model reads at most {longest} tokens")
    require_finite_weights(model)
    check_embeddings(tokenizer, getattr(getattr(model, "config", None), "vocab_size", sys.maxsize))
    return task.for_tokenizer(tokenizer)


def require_finite_weights(model: nn.Module, name: str = "the model") -> None:
    """Refuse a model with a weight that is NaN or infinite. It is checked once, and again after a weight has changed.

    The answers alone do not show it: torch's attention on CPUs returns zeros for a sequence whose scores are all NaN,
    so a damaged query or key projection would answer with finite, wrong numbers.

    Raises:
        NotFiniteError: it names the weight.
    """
    import torch

    with torch.inference_mode():
        parameters = dict(model.named_parameters())
        versions = tuple(_version(parameter) for parameter in parameters.values())
        if _CHECKED.get(model) == versions and -1 not in versions:
            return
        for weight, values in parameters.items():
            # a sum is NaN or infinite if one value is, and needs no copy; in float64 finite values do not overflow it
            if not values.sum(dtype=torch.float64).isfinite():
                raise NotFiniteError(
                    f"{name}: the weight {weight} is NaN or infinite, so its answers mean nothing. Its training "
                    "diverged, or the file is damaged: take an earlier checkpoint, or train with a lower learning rate"
                )
        _CHECKED[model] = versions


def _version(parameter: nn.Parameter) -> int:
    """How often it was changed in place, with its storage's address; -1 where torch does not count."""
    if parameter.is_inference():
        return -1
    return hash((parameter._version, parameter.data_ptr()))


def _answers(
    model: nn.Module,
    tokenizer: Any,
    task: Task[Any],
    examples: Iterable[Any],
    batch_tokens: int,
    batch_rows: int,
    engine: Engine | None,
) -> Iterator[Any]:
    from electra.tasks.task import NOT_FINITE, ExampleError

    done = truncated = 0
    try:
        most = min(WINDOW_EXAMPLES, WINDOW_BATCHES * batch_rows) // task.rows_of_each
        characters = WINDOW_BATCHES * batch_tokens * CHARACTERS_PER_TOKEN // task.rows_of_each
        for window in _windows(examples, characters, most):
            try:
                encoded = task.encode_all(window, tokenizer)
            except ExampleError as error:
                raise ExampleError(done + error.index, error.problem) from error
            truncated += sum(example.cut_tokens > 0 for example in encoded)
            computed = _outputs(model, task, encoded, batch_tokens, batch_rows, engine)
            for example, outputs in zip(encoded, computed, strict=True):
                if not is_finite(outputs):
                    raise ExampleError(done, NOT_FINITE)
                done += 1
                yield task.decode(example, outputs, tokenizer)
    finally:
        if truncated:
            log.warning(
                "%d of %d texts were longer than %d tokens and were truncated", truncated, done, task.max_length
            )


def is_finite(value: Any) -> bool:
    """Whether all numbers in it are finite: floats, arrays, and lists, tuples and dataclasses of these."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, (list, tuple)):
        return all(map(is_finite, value))
    if hasattr(value, "dtype"):  # a NumPy array: NumPy must not be imported for the command line's help
        import numpy as np

        return value.dtype.kind != "f" or bool(np.isfinite(value).all())
    if is_dataclass(value):
        return all(is_finite(getattr(value, field.name)) for field in fields(value))
    return True


def _windows(examples: Iterable[Any], characters: int, rows: int) -> Iterator[list[Any]]:
    """Split examples into lists of about this many characters, and at most this many sequences.

    A stream's first window is a batch's worth and each next is twice as long, so that its first answers do not wait
    for many examples, and the later ones are well sorted by length.
    """
    window: list[Any] = []
    filled = 0
    divisor = 1 if isinstance(examples, Sequence) else WINDOW_BATCHES
    for example in examples:
        window.append(example)
        filled += _size(example)
        if filled * divisor >= characters or len(window) * divisor >= rows:
            yield window
            window, filled, divisor = [], 0, max(1, divisor // 2)
    if window:
        yield window


def _size(example: Any) -> int:
    """About how many characters an example has."""
    if isinstance(example, str):
        return len(example)
    parts = example.values() if isinstance(example, Mapping) else example if isinstance(example, (list, tuple)) else ()
    return sum(map(_size, parts))


def _outputs(
    model: nn.Module,
    task: Task[Any],
    encoded: Sequence[Encoded],
    batch_tokens: int,
    batch_rows: int,
    engine: Engine | None,
) -> list[list[Any]]:
    """The task's outputs for each example's sequences."""
    import torch

    from electra.batch import Batch

    rows = list(chain.from_iterable(example.rows for example in encoded))
    device = next(model.parameters()).device
    outputs: list[Any] = [None] * len(rows)
    with torch.inference_mode(), _evaluating(model):
        network = model if engine is None else engine.view()
        for indices in batches(rows, batch_tokens, batch_rows):
            batch = Batch.from_rows([rows[i] for i in indices]).to(device)
            for i, output in zip(indices, task.infer(network, batch), strict=True):
                outputs[i] = output
    in_order = iter(outputs)
    return [[next(in_order) for _ in example.rows] for example in encoded]


def batches(rows: Sequence[Row], batch_tokens: int, batch_rows: int) -> Iterator[list[int]]:
    """Group sequences into batches, the longest first.

    Args:
        rows: the sequences.
        batch_tokens: the most tokens in a batch; a longer sequence is a batch of its own.
        batch_rows: the most sequences in a batch.

    Returns:
        The indices of each batch's sequences.
    """
    indices: list[int] = []
    filled = 0
    for i in sorted(range(len(rows)), key=lambda i: -len(rows[i])):
        if indices and (filled + len(rows[i]) > batch_tokens or len(indices) == batch_rows):
            yield indices
            indices, filled = [], 0
        indices.append(i)
        filled += len(rows[i])
    if indices:
        yield indices


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; what was in training mode is set back when the last thread that uses the model is done."""
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
    """Load the model of a task for inference.

    Args:
        kind: the task.
        name_or_path: a model folder or a name on the Hugging Face hub.
        options: further arguments of `from_pretrained`.

    Raises:
        ValueError: the checkpoint does not have the task's head. Answers of a random head would mean nothing.
        OSError: there is no such model.
    """
    from electra import models

    network = getattr(models, kind.architecture)
    loaded: nn.Module
    loaded, report = network.from_pretrained(name_or_path, output_loading_info=True, **options)
    random = sorted({*report["missing_keys"], *(mismatch[0] for mismatch in report["mismatched_keys"])})
    if random:
        shown = ", ".join(random[:3]) + (", …" if len(random) > 3 else "")
        made_for = ", ".join(loaded.config.architectures or ()) or "an encoder"  # type: ignore[union-attr,arg-type]
        raise ValueError(
            f"{name_or_path} has no trained head for {kind.name} (it was saved as {made_for}; missing: {shown}): its "
            f"answers would be random. Fine-tune it first (`electra finetune {name_or_path} …`), give another model, "
            "or name the task that it is for"
        )
    return loaded
