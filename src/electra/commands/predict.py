"""`electra predict`: answers for the texts of a file, as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import IO, Any


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
    from electra.config import ElectraConfig
    from electra.hardware import devices as hardware
    from electra.inference.predictor import load, predict
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
    from electra.files.atomic import writing

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
