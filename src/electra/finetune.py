"""Fit a pretrained model to a task: labelled examples in, a model folder and its scores out."""

from __future__ import annotations

import json
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from electra import hardware, models
from electra.config import ElectraConfig
from electra.data.order import samples
from electra.data.records import Record, column_of, read_records, value_of
from electra.hub.files import write_text, writing_folder
from electra.predict import predict
from electra.tasks.task import ExampleError, LabelledTask, TrainingBatch, TrainingRow
from electra.tasks.text_classification import TextClassification
from electra.tasks.token_classification import TokenClassification
from electra.text.tokenizer import ElectraTokenizer
from electra.training.loop import Every, train
from electra.training.optimizer import Adam, linear_schedule

TASKS: dict[str, type[LabelledTask[Any]]] = {
    "text-classification": TextClassification,
    "token-classification": TokenClassification,
}
TEXT_COLUMNS = ("text", "sentence1", "text_a", "sentence", "question1", "premise", "question")
PAIR_COLUMNS = ("text_pair", "sentence2", "text_b", "question2", "hypothesis")
LABEL_COLUMNS = ("label", "class", "category")
TOKEN_COLUMNS = ("tokens", "words")
TAG_COLUMNS = ("tags", "ner_tags", "ner", "labels")

LARGE_HIDDEN_SIZE = 1024  # from this width on, Google's hyperparameters for the large model hold
PART_TOKENS = 16_384  # a step's rows are computed in parts of about this many tokens, so that memory stays bounded

Example = dict[str, Any]
Report = Callable[[str], None]
Made = TypeVar("Made")


@dataclass(frozen=True)
class FinetuneConfig:
    """What is fitted to which examples, and how. The defaults are Google's (configure_finetuning.py)."""

    model: str
    """A model folder, such as RUN/discriminator, or a name on the Hugging Face hub."""
    _: KW_ONLY
    task: Literal["text-classification", "token-classification"]
    """What the model is to learn."""
    train: Path
    """Examples to learn from: .jsonl, .csv or .tsv (also .gz, .xz) with text and label, or tokens and tags."""
    eval: Path
    """Examples to score the result with; none of them is learnt from."""
    output: Path
    """A new folder for the fitted model, its tokenizer and scores.json."""
    label_column: str | None = None
    """The column with the labels, where it has no common name."""
    epochs: float = 3.0
    """How many times the examples are gone through."""
    batch_size: int = 32
    """Examples per step."""
    rate: float | None = None
    """The highest learning rate; by default 1e-4, for large models 5e-5."""
    layer_decay: float | None = None
    """Factor on the rate from each layer to the one below; by default 0.8, for large models 0.9."""
    warmup: float = 0.1
    """The share of the steps over which the rate rises."""
    weight_decay: float = 0.01
    """Decoupled weight decay; not for biases and LayerNorms."""
    max_length: int = 128
    """Longest row in tokens; longer texts are cut, and that is said."""
    seed: int = 0
    """Decides the head's first weights, the order of the examples and dropout."""
    seeds: int = 1
    """How many runs, with consecutive seeds: scores get a mean and a deviation; the first model is kept."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""

    def __post_init__(self) -> None:
        require = _require
        require(self.task in TASKS, "task", self.task, f"one of {', '.join(TASKS)}")
        require(self.epochs > 0, "epochs", self.epochs, "a number above 0")
        require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        require(self.rate is None or self.rate > 0, "rate", self.rate, "a number above 0")
        decay = self.layer_decay
        require(decay is None or 0 < decay <= 1, "layer_decay", decay, "above 0 and up to 1 (1: none)")
        require(0 <= self.warmup < 1, "warmup", self.warmup, "a share of the steps, from 0 to below 1")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        require(self.max_length >= 3, "max_length", self.max_length, "3 or more tokens")
        require(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2**63 - 1")
        require(self.seeds >= 1, "seeds", self.seeds, "1 or more")


def finetune(config: FinetuneConfig) -> dict[str, Any]:
    """Fit the model, score it, write `config.output`, and return what scores.json holds.

    Keys: `scores` (of the model that was kept), `examples` (how many they were measured on), `seconds`, and with
    several seeds `mean` and `deviation` (of the sample) of every score. Input that cannot be used is a ValueError
    that names file and line; nothing is written then.
    """
    _refuse_used(config.output)
    _require_metrics()
    device = hardware.choose(config.device)
    learnt = read_examples(config.train, config.task, config.label_column)
    held_out = read_examples(config.eval, config.task, config.label_column)
    task, tokenizer = _task(config, learnt), ElectraTokenizer.from_pretrained(config.model)
    task = task.for_tokenizer(tokenizer)
    rows = _checked(learnt, lambda: task.training_rows([example for example, _ in learnt], tokenizer))
    _checked(held_out, lambda: task.training_rows([example for example, _ in held_out], tokenizer))
    _say_what(task, rows, len(learnt), len(held_out))

    started, scores = time.monotonic(), []
    kept: torch.nn.Module | None = None
    for seed in range(config.seed, config.seed + config.seeds):
        model = new_model(config.model, task, seed=seed).to(device)
        fit(model, rows, task, seed=seed, report=_say, **_hyperparameters(config, model.config))
        scores.append(score(model, tokenizer, task, [example for example, _ in held_out]))
        _say(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in scores[-1].items()))
        kept = kept or model
    result = _result(scores, len(held_out), time.monotonic() - started)
    _write(config, kept, tokenizer, result)
    return result


def read_examples(path: Path, task: str, label_column: str | None = None) -> list[tuple[Example, Record]]:
    """The file's examples under the names that tasks use, each with the record it came from."""
    records = read_records(path)
    if task == "token-classification":
        names = {"tokens": (TOKEN_COLUMNS, "the words"), "tags": (TAG_COLUMNS, "their tags")}
        read: Callable[[Record, str], Any] = _list_of
    else:
        names = {"text": (TEXT_COLUMNS, "the text"), "label": (LABEL_COLUMNS, "the label")}
        read = value_of
    labels = tuple(names)[1]
    if label_column:
        names[labels] = ((label_column,), "the labels")
    columns = {key: column_of(records, allowed, meaning) for key, (allowed, meaning) in names.items()}
    pair = next((name for name in PAIR_COLUMNS if name in records[0].values), None)
    if pair and "text" in columns:
        columns["text_pair"] = pair
    return [({key: read(record, column) for key, column in columns.items()}, record) for record in records]


def new_model(name_or_path: str, task: LabelledTask[Any], *, seed: int) -> Any:
    """The pretrained encoder with a head for the task, whose fresh weights follow from the seed."""
    torch.manual_seed(seed)
    return getattr(models, task.architecture).from_pretrained(name_or_path, **task.config_fields())


def fit(
    model: Any,
    rows: Sequence[TrainingRow],
    task: LabelledTask[Any],
    *,
    epochs: float,
    batch_size: int,
    rate: float,
    layer_decay: float,
    warmup: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 0,
    report: Report = lambda line: None,
) -> None:
    """Train `model` in place, on the device it is on, and leave it in evaluation mode.

    As in Google's run_finetuning.py, the loss is the sum over a step's labels, not their mean, and the gradient is
    clipped to norm 1: nearly every step is clipped, so that its length is the rate's alone.
    """
    device = model.device
    steps = max(1, round(len(rows) * epochs / batch_size))
    layers = model.config.num_hidden_layers
    optimizer = Adam(
        model.named_parameters(),
        weight_decay=weight_decay,
        multiplier=lambda name: layer_multiplier(name, layers, layer_decay),
    )
    dtype = hardware.precision(device)

    def losses(part: TrainingBatch) -> Mapping[str, Tensor]:
        part = part.to(device)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = model(part.batch, labels=part.labels).loss
        return {"loss": loss * part.count, "labels": torch.tensor(float(part.count))}

    def say(step: int, values: Mapping[str, Tensor]) -> None:
        loss = float(values["loss"]) / max(float(values["labels"]), 1.0)
        if not math.isfinite(loss):
            raise ValueError(
                f"the loss is {loss} at step {step}: lower the rate (it is {rate:g}) or check the examples"
            )
        report(f"step {step:,} of {steps:,}   loss {loss:.4f}")

    model.train()
    train(
        losses,
        _batches(rows, task, steps, batch_size, seed),
        optimizer,
        rate=lambda step: linear_schedule(step, rate=rate, steps=steps, warmup_steps=round(warmup * steps)),
        steps=steps,
        seed=seed,
        periodic=[Every(max(1, steps // 10), say)],
    )
    model.eval()


def layer_multiplier(name: str, layers: int, decay: float) -> float:
    """The factor on the learning rate for a parameter: `decay ** (layers + 2 - depth)`; 1 for the head.

    depth: 0 for the embeddings and their projection, i + 1 for encoder layer i. The exponent is Google's
    (model/optimization.py): the encoder's last layer has decay squared, as if a layer stood between it and the head.
    """
    found = re.search(r"\bencoder\.layer\.(\d+)\.", name)
    if found:
        depth = int(found[1]) + 1
    elif re.search(r"\bembeddings(_project)?\.", name):
        depth = 0
    else:
        return 1.0
    return decay ** (layers + 2 - depth)


def score(model: Any, tokenizer: Any, task: LabelledTask[Any], examples: Sequence[Example]) -> dict[str, float]:
    """Predict and compare: the task's metrics by name."""
    task = task.for_scoring()
    return task.score(list(predict(model, tokenizer, task, examples)), examples)


def _batches(
    rows: Sequence[TrainingRow], task: LabelledTask[Any], steps: int, batch_size: int, seed: int
) -> Iterator[list[TrainingBatch]]:
    """One batch a step, in parts; every example once an epoch, in an order that follows from the seed."""
    for step in range(steps):
        counters = np.arange(step * batch_size, (step + 1) * batch_size)
        chosen = [rows[i] for i in samples(counters, len(rows), seed=seed)]
        yield [task.training_batch(part) for part in _parts(chosen)]


def _parts(rows: Sequence[TrainingRow]) -> Iterator[list[TrainingRow]]:
    part: list[TrainingRow] = []
    for row in rows:
        if part and sum(map(len, part)) + len(row) > PART_TOKENS:
            yield part
            part = []
        part.append(row)
    yield part


def _task(config: FinetuneConfig, examples: Sequence[tuple[Example, Record]]) -> LabelledTask[Any]:
    """The task with the labels that the training examples have."""
    longest = ElectraConfig.from_pretrained(config.model).max_position_embeddings
    options = {"max_length": min(config.max_length, longest)}
    kind = TASKS[config.task]
    return _checked(examples, lambda: kind.from_examples([example for example, _ in examples], **options))


def _checked(examples: Sequence[tuple[Example, Record]], work: Callable[[], Made]) -> Made:
    """Do the work; what it refuses becomes an error with the file, and the line where one example is to blame."""
    try:
        return work()
    except ExampleError as error:
        raise ValueError(f"{examples[error.index][1].where}: {error.problem}") from error
    except ValueError as error:
        raise ValueError(f"{examples[0][1].source}: {error}") from error


def _list_of(record: Record, column: str) -> list[str]:
    """A list of strings: a JSON list, or words between spaces as CSV files have them."""
    value = value_of(record, column)
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list):
        raise ValueError(f"{record.where}: {column!r} is to be a list of words, not {value!r}")
    return [str(word) for word in value]


def _hyperparameters(config: FinetuneConfig, network: ElectraConfig) -> dict[str, Any]:
    """What `fit` needs, with the rates that go by the model's size filled in."""
    large = network.hidden_size >= LARGE_HIDDEN_SIZE
    return {
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "rate": (5e-5 if large else 1e-4) if config.rate is None else config.rate,
        "layer_decay": (0.9 if large else 0.8) if config.layer_decay is None else config.layer_decay,
        "warmup": config.warmup,
        "weight_decay": config.weight_decay,
    }


def _result(scores: Sequence[Mapping[str, float]], examples: int, seconds: float) -> dict[str, Any]:
    result: dict[str, Any] = {"scores": dict(scores[0]), "examples": examples, "seconds": round(seconds, 1)}
    if len(scores) > 1:
        columns = {name: [of_seed[name] for of_seed in scores] for name in scores[0]}
        result["seeds"] = len(scores)
        result["mean"] = {name: statistics.mean(values) for name, values in columns.items()}
        result["deviation"] = {name: statistics.stdev(values) for name, values in columns.items()}
    return result


def _write(config: FinetuneConfig, model: Any, tokenizer: Any, result: Mapping[str, Any]) -> None:
    """The output folder, whole or not at all."""
    settings = {name: str(v) if isinstance(v, Path) else v for name, v in asdict(config).items()}
    with writing_folder(config.output) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        write_text(folder / "scores.json", json.dumps({**result, "settings": settings}, indent=2) + "\n")
    _say(f"written: {config.output}")


def _refuse_used(output: Path) -> None:
    """Before any work: the output must be new."""
    if output.is_file() or (output.is_dir() and any(output.iterdir())):
        raise ValueError(f"the output {output} is there already: give a new folder, or remove it first")


def _require_metrics() -> None:
    """Before any work: what the scores at the end will need."""
    missing = [package for package in ("sklearn", "seqeval") if find_spec(package) is None]
    if missing:
        raise ImportError(f"scoring needs {' and '.join(missing)}: pip install 'electra[train]'")


def _say_what(task: LabelledTask[Any], rows: Sequence[TrainingRow], learnt: int, held_out: int) -> None:
    shown = ", ".join(task.labels[:8]) + (", …" if len(task.labels) > 8 else "")
    _say(f"{task.name}: {learnt:,} examples to learn from, {held_out:,} to score with; labels: {shown}")
    full = sum(len(row) >= task.max_length for row in rows)
    if full:
        what = "cut" if task.name == "text-classification" else "read in several windows"
        _say(
            f"{full:,} rows are {task.max_length} tokens long, the most that max_length allows: longer texts are {what}"
        )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}: it must be {allowed}")
