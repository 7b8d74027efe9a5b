"""`electra predict`: answers for the examples of a file, as JSON lines, CSV, TSV or Parquet"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from electra.commands.verb import verb
from electra.inference.kernel_library import PRECISIONS
from electra.validation import require_count, require_one_of

if TYPE_CHECKING:  # the flags must not wait for torch
    from torch import nn

    from electra.inference.answer_files import Answered
    from electra.inference.engine import Engine
    from electra.inference.example_files import Input
    from electra.tasks.task import Task

FORMATS = ("auto", "text", "jsonl", "csv", "tsv")
STDIN = "/dev/stdin"
RESUMABLE_EXAMPLES = 1024
"""With `resume`, answers are saved after so many examples; these are batched by themselves, so a resumed run gives the
same answers to the last bit."""
REPORT_SECONDS = 30.0


@dataclass(frozen=True)
class PredictConfig:
    """Answers for the examples of a file."""

    model: str
    """A model folder, or a name on the Hugging Face hub."""
    data: str = "-"
    """The examples. A .txt file and stdin (`-`) have a text on every line; .jsonl, .csv, .tsv, .parquet, .conll and
    SQuAD's .json have columns such as `text` and `text_pair`, `tokens`, `question` and `context`, `query` and `texts`,
    or `text` and `choices` (all but .parquet also .gz, .xz, .zst). In Python also a list, a data frame or a data
    set."""
    _: KW_ONLY
    task: str | None = None
    """What to do. Default: what the model was fine-tuned for."""
    output: str | None = None
    """The file to write, whole or not at all: .csv, .tsv, .parquet, or JSON lines under any other name. Default (and
    `-`): stdout."""
    format: str = "auto"
    """`text`, `jsonl`, `csv`, `tsv`, or `auto`: by the file's name."""
    columns: str | None = None
    """Which column is what, where it has no common name: text=review. Default: as in the model's training files."""
    keep: str | None = None
    """Columns of the input to put beside the answers, such as `id,title`, or `all`."""
    overwrite: bool = False
    """Replace an output that exists."""
    resume: bool = False
    """Save answers beside the output as they come; after a kill, the same command continues after the last ones."""
    encoding: str = "utf-8"
    """Of text."""
    top_k: int | None = None
    """How many labels, tokens (fill-mask), answers (question-answering), choices or texts (text-ranking)."""
    aggregation_strategy: str | None = None
    """Token-classification: `none`, `simple`, `first`, `average` or `max`. Default: as it was fine-tuned."""
    ignore_labels: list[str] | None = None
    """Token-classification: labels to leave out. Default: O."""
    stride: int | None = None
    """Token-classification, fill-mask: how many tokens neighbouring windows of a long text share."""
    targets: list[str] | None = None
    """Fill-mask: choose among these tokens only."""
    threshold: float | None = None
    """Replaced-token-detection: the score from which a token counts as replaced. Question-answering: the log odds above
    which no answer is given. Default: as it was fine-tuned."""
    candidate_labels: str | None = None
    """Zero-shot-classification: the labels to choose from, with commas between them."""
    hypothesis_template: str | None = None
    """Zero-shot-classification: the hypothesis, with {} for the label. Default: This example is {}."""
    multi_label: bool = False
    """Zero-shot-classification: score each label on its own."""
    handle_impossible_answer: bool | None = None
    """Question-answering: answer with an empty text where the context has no answer. Default: as it was fine-tuned."""
    no_answer_threshold: float | None = None
    """Question-answering: the same as `threshold`."""
    doc_stride: int | None = None
    """Question-answering: how many tokens neighbouring windows of a long context share."""
    max_answer_len: int | None = None
    """Question-answering: the longest answer in tokens. Default: as it was evaluated, else 15."""
    max_length: int | None = None
    """The longest sequence in tokens. Default: as it was fine-tuned, else what the model and its tokenizer allow."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, …"""
    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16`, or `auto`: as it was saved."""
    precision: str | None = None
    """Compute on the CPU by kernels for its processor: `float32`, `bfloat16`, `int8`, or `auto`: the fastest that
    changes the answers by less than 3 %. `python -m electra.inference.compiling` builds them. Default: by torch."""
    batch_tokens: int | None = None
    """How many tokens go through the network at once."""
    quiet: bool = False
    """Show no progress."""

    def __post_init__(self) -> None:
        require_one_of("format", self.format, FORMATS)
        if self.precision is not None:
            require_one_of("precision", self.precision, PRECISIONS)
        if self.batch_tokens is not None:
            require_count("batch_tokens", self.batch_tokens)
        if self.threshold is not None and self.no_answer_threshold is not None:
            raise ValueError("threshold and no_answer_threshold are both given: they mean the same, so give one")
        reads_again = isinstance(self.data, str) and self.data not in ("-", STDIN)
        if self.resume and (self.output in (None, "-") or not reads_again):
            raise ValueError("resume needs a file as data, which can be read again, and a file as output")

    def options(self, kind: type[Task[Any]]) -> dict[str, Any]:
        """The task's options that were given, under their names in this task."""
        values = {name: getattr(self, name) for name in TASK_OPTIONS}
        options = {name: value for name, value in values.items() if value is not None}
        if not options["multi_label"]:
            del options["multi_label"]
        if "threshold" in options and "no_answer_threshold" in kind.__dataclass_fields__:
            options["no_answer_threshold"] = options.pop("threshold")
        if "no_answer_threshold" in options and "no_answer_threshold" in kind.__dataclass_fields__:
            options.setdefault("handle_impossible_answer", True)
        return options


TASK_OPTIONS = (
    "top_k",
    "aggregation_strategy",
    "ignore_labels",
    "stride",
    "targets",
    "threshold",
    "candidate_labels",
    "hypothesis_template",
    "multi_label",
    "handle_impossible_answer",
    "no_answer_threshold",
    "doc_stride",
    "max_answer_len",
    "max_length",
)


@dataclass(frozen=True)
class PredictResult:
    """What `predict` wrote.

    Attributes:
        output: the file.
        examples: how many answers it has.
    """

    output: Path
    examples: int


@verb(PredictConfig)
def predict(config: PredictConfig) -> list[Any] | PredictResult:
    """Answer the examples of a file, a list, a data frame or a data set.

    Returns:
        The answers in the order of the examples, as a pipeline returns them; with `output` where they were written, and
        how many they are.

    Raises:
        ValueError: an example that cannot be used, with file and line; a model without the task's head; an answer that
            is NaN; an output that exists. The output is then as it was.
        OSError: a file cannot be read or written.
    """
    if config.output in (None, "-"):
        with _run(config) as run:
            return [answer for _, answer in run.answered()]
    return _write(config)


def predict_file(config: PredictConfig) -> None:
    """Write the answers to `config.output` or stdout, as they come: what the command line does."""
    if config.output not in (None, "-"):
        _write(config)
        return
    from electra.inference.answer_files import STDOUT, write_answers

    with _run(config) as run:
        write_answers(STDOUT, run.answered())


def _write(config: PredictConfig) -> PredictResult:
    from electra.files.output_places import holding_files
    from electra.inference.answer_files import Progress, check_output, write_answers

    output = str(config.output)
    check_output(output)
    data = config.data if isinstance(config.data, str) else None
    inputs = {"model": config.model, "data": data}
    with holding_files({"output": Path(output)}, inputs, overwrite=config.overwrite), _run(config) as run:
        if not config.resume:
            return PredictResult(Path(output), write_answers(output, run.answered()))
        progress = Progress(output, run.identity())
        progress.open()
        try:
            run.save_to(progress)
            count = write_answers(output, progress.answers())
        finally:
            progress.close()
        progress.remove()
    return PredictResult(Path(output), count)


@dataclass(frozen=True)
class _Run:
    """A model that is ready, and the examples to answer."""

    config: PredictConfig
    model: nn.Module
    tokenizer: Any
    task: Task[Any]
    inputs: Iterator[Input]
    keep: Sequence[str] | None
    engine: Engine | None

    def answered(self, first: int = 0) -> Iterator[Answered]:
        """Kept columns and answers, in order."""
        return self._answered(_shown_progress(self.config, self.inputs, first))

    def _answered(self, inputs: Iterable[Input]) -> Iterator[Answered]:
        from electra.inference.predictor import predict as predict_all
        from electra.tasks.task import ExampleError

        waiting: deque[Input] = deque()

        def examples() -> Iterator[Any]:
            for each in inputs:
                waiting.append(each)
                yield each.example

        taken = 0  # waiting holds what was read ahead of the answers
        answers = predict_all(
            self.model,
            self.tokenizer,
            self.task,
            examples(),
            batch_tokens=self.config.batch_tokens,
            engine=self.engine,
        )
        try:
            for answer in answers:
                each = waiting.popleft()
                taken += 1
                yield self._kept(each), answer
        except ExampleError as error:
            where = waiting[error.index - taken].where
            raise ValueError(f"{where}: {error.problem}") from error

    def _kept(self, each: Input) -> dict[str, Any]:
        if self.keep is None:
            return {}
        names = list(each.values) if list(self.keep) == ["all"] else self.keep
        for name in names:
            if name not in each.values:
                there = ", ".join(each.values) or "none"
                raise ValueError(f"{each.where}: keep names the column {name!r}; there is {there}")
        return {name: each.values[name] for name in names}

    def identity(self) -> dict[str, Any]:
        """What must be the same where a run is resumed."""
        from electra.files.digests import describe_sources

        folder = Path(self.config.model)
        weights = [*folder.glob("config.json"), *folder.glob("*.safetensors"), *folder.glob("*.bin")]
        settings = {name: value for name, value in asdict(self.config).items() if name not in _OF_ONE_CALL}
        return {
            **settings,
            "data (its size, time and ends)": describe_sources([Path(self.config.data)]),
            "model (its size, time and ends)": describe_sources(sorted(weights)),
        }

    def save_to(self, progress: Any) -> None:
        """Answer what has no saved answer yet, and save as it comes."""
        for _ in islice(self.inputs, progress.done):
            pass
        inputs = iter(_shown_progress(self.config, self.inputs, progress.done))
        while chunk := list(islice(inputs, RESUMABLE_EXAMPLES)):
            progress.add(list(self._answered(chunk)))


_OF_ONE_CALL = ("overwrite", "resume", "quiet", "device", "output")


@contextmanager
def _run(config: PredictConfig) -> Iterator[_Run]:
    """Load the model and open the examples; what is wrong with the options is said first."""
    from electra.config import ElectraConfig
    from electra.hardware import devices as hardware
    from electra.inference.engine import engine_for
    from electra.inference.example_files import InputColumns, read_examples, read_file
    from electra.inference.predictor import load
    from electra.labelled.fitted_task import fitted_to
    from electra.labelled.labelled_examples import read_columns
    from electra.tasks.catalogue import find_task, task_for
    from electra.text.tokenizer import ElectraTokenizer

    settings = ElectraConfig.from_pretrained(config.model)
    named = settings.architectures
    kind = find_task(config.task, named) if config.task else task_for(settings, config.model)
    options = config.options(kind)
    task = kind.from_config(settings, **options)
    kind.log_overrides(settings, options)
    fitted = fitted_to(settings, config.model) if kind.is_fitted(settings) else None
    columns = InputColumns(
        kind,
        dict(config.columns) if isinstance(config.columns, Mapping) else read_columns(config.columns),
        fitted.columns if fitted else {},
        fitted.header if fitted else (),
    )
    data = STDIN if isinstance(config.data, str) and config.data == "-" else config.data
    if isinstance(data, (str, os.PathLike)):
        data = os.fspath(data)
        if data != STDIN:
            os.stat(data)  # a file that is missing is an error before the model is loaded
        inputs = read_file(data, columns, config.format, config.encoding)
    else:
        inputs = read_examples(data, columns)
    keep = config.keep.split(",") if isinstance(config.keep, str) else config.keep
    keep = None if keep is None else [name.strip() for name in keep if name.strip()]
    tokenizer = ElectraTokenizer.from_pretrained(config.model)
    model = load(kind, config.model, dtype=config.dtype).to(hardware.choose(config.device))
    yield _Run(config, model, tokenizer, task, inputs, keep, engine_for(model, config.precision))


def _shown_progress(config: PredictConfig, inputs: Iterable[Input], first: int) -> Iterator[Input]:
    """The same examples; how many are read is shown on stderr: a bar on a terminal, else a line every 30 seconds."""
    from electra.inference.example_files import estimated_count
    from electra.training.progress import Reporter, clock

    is_file = isinstance(config.data, str) and config.data not in ("-", STDIN)
    total = estimated_count(config.data) if is_file and not config.quiet else None
    terminal = sys.stderr is not None and sys.stderr.isatty() and not config.quiet
    reporter = Reporter(quiet=config.quiet)
    start = reported = time.monotonic()
    with reporter.counting("examples") if terminal and total else nullcontext(None) as counter:
        for done, each in enumerate(inputs, start=first + 1):
            now = time.monotonic()
            if counter is not None and total:
                counter(done, max(total, done))
            elif now - reported > REPORT_SECONDS:
                reported = now
                left = ""
                if total and total > done:
                    left = f" of about {total:,}, {clock((now - start) / (done - first) * (total - done))} left"
                reporter.say(f"{done:,} examples{left}")
            yield each
