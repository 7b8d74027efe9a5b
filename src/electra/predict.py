"""Examples in, answers out, in the order they came: the engine of pipelines and of evaluation, and `electra predict`.

Examples are read in windows. In each, rows are sorted by length and put into ragged batches of so many tokens, so
nothing is padded, and a stream of any length needs only the memory of a window.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
    from electra.tasks.task import is_count

    for name, given in (("batch_tokens", batch_tokens), ("batch_size", batch_size)):
        if given is not None and not is_count(given):
            raise ValueError(f"{name}={given!r}: at least 1 is needed")
    device = next(model.parameters()).device.type
    tokens = batch_tokens or BATCH_TOKENS.get(device, BATCH_TOKENS["other"])
    return _answers(model, tokenizer, _fitted(task, tokenizer, model), examples, tokens, batch_size or sys.maxsize)


def _fitted(task: Task[Any], tokenizer: Any, model: nn.Module) -> Task[Any]:
    """The task made ready for a tokenizer, and checked against the model."""
    longest = getattr(getattr(model, "config", None), "max_position_embeddings", sys.maxsize)
    if task.max_length > longest:
        raise ValueError(f"max_length={task.max_length}: the model reads at most {longest} tokens")
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


@dataclass
class PredictConfig:
    """Answers for the texts of a file, as JSON lines."""

    model: str
    """A model folder, or a name on the Hugging Face hub."""
    file: str = "-"
    """Where the examples are: a text to a line, or JSON lines with `text` (and `text_pair`), `tokens`, `question` and
    `context`, `query` and `texts`, or `text` and `choices`. `-`: stdin."""
    _: KW_ONLY
    task: str | None = None
    """What to do. Default: what the model was made for."""
    output: str = "-"
    """The file to write, whole or not at all. `-`: stdout."""
    format: str = "auto"
    """`text`, `jsonl`, or `auto`: by the file's name, else by its first line."""
    top_k: int | None = None
    """How many labels, tokens (fill-mask), answers (question-answering), choices or texts (text-ranking)."""
    aggregation_strategy: str | None = None
    """Token-classification: `none`, `simple`, `first`, `average` or `max`."""
    targets: list[str] | None = None
    """Fill-mask: choose among these tokens only."""
    threshold: float | None = None
    """Replaced-token-detection: the score from which on a token counts as replaced."""
    candidate_labels: str | None = None
    """Zero-shot-classification: the labels to choose from, with commas between them."""
    hypothesis_template: str | None = None
    """Zero-shot-classification: the hypothesis, with {} for the label. Default: This example is {}."""
    multi_label: bool = False
    """Zero-shot-classification: judge each label for itself."""
    handle_impossible_answer: bool = False
    """Question-answering: answer with an empty text where the context has no answer."""
    max_length: int | None = None
    """The longest row in tokens. Default: what the model and its tokenizer allow."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, …"""
    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16`, or `auto`: as it was saved."""
    batch_tokens: int | None = None
    """How many tokens go through the network at once."""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format={self.format!r}: choose of {', '.join(FORMATS)}")

    def options(self) -> dict[str, Any]:
        """The task's options that were given."""
        given = {name: getattr(self, name) for name in TASK_OPTIONS}
        return {name: value for name, value in given.items() if value is not None and value is not False}


FORMATS = ("auto", "text", "jsonl")
TASK_OPTIONS = (
    "top_k",
    "aggregation_strategy",
    "targets",
    "threshold",
    "candidate_labels",
    "hypothesis_template",
    "multi_label",
    "handle_impossible_answer",
    "max_length",
)


def predict_file(config: PredictConfig) -> None:
    """Write a JSON line with the answer for each line of a file, in their order.

    A line that cannot be used is a `ValueError` with the file and the line's number; the output file is then not made.
    """
    from electra import hardware
    from electra.config import ElectraConfig
    from electra.tasks.catalogue import find_task, task_for
    from electra.tasks.task import ExampleError
    from electra.text.tokenizer import ElectraTokenizer

    settings = ElectraConfig.from_pretrained(config.model)
    named = settings.architectures
    kind = find_task(config.task, named) if config.task else task_for(named, config.model)
    task = kind.from_config(settings, **config.options())
    name = "stdin" if config.file == "-" else config.file
    with _opened(config.file) as file:
        examples = read_examples(file, name, _format(config))
        tokenizer = ElectraTokenizer.from_pretrained(config.model)
        model = load(kind, config.model, dtype=config.dtype).to(hardware.choose(config.device))
        answers = predict(model, tokenizer, task, examples, batch_tokens=config.batch_tokens)
        with _output(config.output) as output:
            try:
                for number, answer in enumerate(answers, start=1):
                    output.write(_json_line(answer, name, number))
                output.flush()
            except ExampleError as error:
                raise ValueError(f"{name}, line {error.index + 1}: {error.problem}") from error


def load(kind: type[Task[Any]], name_or_path: str | os.PathLike[str], **options: Any) -> nn.Module:
    """The model of a task from a folder or the hub, for evaluation."""
    from electra import models

    loaded: nn.Module = getattr(models, kind.architecture).from_pretrained(name_or_path, **options)
    return loaded


def read_examples(lines: Iterable[bytes], name: str, form: str = "auto") -> Iterator[Any]:
    """An example for each line: a text, or what a JSON line holds.

    `form` "auto" decides by the first line. A line that is not UTF-8, holds a NUL or is not JSON is a `ValueError` with
    `name` and the line's number.
    """
    for number, line in enumerate(lines, start=1):
        text = _decoded(line, name, number)
        if form == "auto":
            form = "jsonl" if text.lstrip().startswith("{") and _is_json(text) else "text"
        yield _parsed(text, name, number) if form == "jsonl" else text


def _opened(file: str) -> Any:
    """The lines of a file or of stdin, as bytes."""
    return nullcontext(sys.stdin.buffer) if file == "-" else open(file, "rb")


def _output(path: str) -> AbstractContextManager[IO[str]]:
    """Where to write: stdout, a file that is there when it is whole, or a pipe or device, which no file may replace."""
    from electra.hub.files import writing

    if path == "-":
        return nullcontext(sys.stdout)
    if Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir()):
        return open(path, "w", encoding="utf-8")
    return writing(path, "w")


def _format(config: PredictConfig) -> str:
    by_name = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".txt": "text"}
    return by_name.get(Path(config.file).suffix, "auto") if config.format == "auto" else config.format


def _json_line(answer: Any, name: str, number: int) -> str:
    try:
        return json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise ValueError(f"{name}, line {number}: the model's answer has NaN or infinity in it") from error


def _decoded(line: bytes, name: str, number: int) -> str:
    if b"\0" in line:
        raise ValueError(f"{name}, line {number}: there is a NUL byte, so this is not a text file")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name}, line {number}: not UTF-8 (byte {error.start + 1}); convert the file to UTF-8"
        ) from error


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(text: str, name: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said = "it is empty" if not text.strip() else str(error)
        raise ValueError(f"{name}, line {number}: not a line of JSON: {said}") from error
