"""`electra evaluate`: a fine-tuned model and labelled examples -> scores with confidence intervals."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from electra.commands.verb import verb
from electra.inference.kernel_library import PRECISIONS
from electra.validation import is_count, is_number, require, require_count, require_one_of

if TYPE_CHECKING:  # the flags must not wait for torch
    from electra.config import ElectraConfig
    from electra.labelled.labelled_examples import LabelledExamples
    from electra.labelled.task_presets import NamedTask
    from electra.metrics.task_metrics import Outcomes
    from electra.tasks.labelled_task import LabelledTask
    from electra.training.progress import Reporter

LABELS = ("label", "labels", "tags", "answers", "scores")
"""The fields of an example that hold its label."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Scores of a fine-tuned model on labelled examples: a table on a terminal, else JSON.

    Task, columns, length and threshold are those that `electra finetune` wrote into the model's folder, unless they are
    given here.

    Raises:
        ValueError: a value that is not allowed; the message names it.
    """

    model: str
    """A model folder, or a name on the Hugging Face hub."""
    data: Path
    """Labelled examples: .jsonl, .csv, .tsv, .parquet, .conll, SQuAD's .json or fastText's .txt (also .gz, .xz)."""
    _: KW_ONLY
    task: str | None = None
    """The task (text-classification, token-classification, question-answering, multiple-choice, text-ranking), or the
    name of a data set with known files, such as mnli. Default: that of the model, or inferred from the columns."""
    columns: str | None = None
    """The columns to use, where they have no common names: text=review,label=stars."""
    catalogue: Path | None = None
    """A TOML file with your own named tasks."""
    compare: str | None = None
    """Another model: how much better the first one is, and whether the difference is significant."""
    predictions: Path | None = None
    """Write the answer to every example here, as JSON lines."""
    html: Path | None = None
    """Write a page here: scores, confusion matrix, calibration, the worst answers in their own text."""
    label_separator: str | None = None
    """What separates several labels in a cell of a table, such as | in joy|love. Default: as in fine-tuning."""
    encoding: str = "utf-8"
    """The encoding of the examples, such as cp1252 or utf-16."""
    skip_invalid: bool = False
    """Leave out invalid examples and count them; by default they are an error."""
    too_long: Literal["cut", "refuse"] = "cut"
    """Truncate texts that the model cannot read whole (their number is logged), or refuse them."""
    max_length: int | None = None
    """Longest sequence in tokens. Default: as in fine-tuning, else what the model and its tokenizer allow."""
    threshold: float | None = None
    """With several labels per text: the score from which a label counts. Question answering: the log odds above which
    there is no answer. Default: as it was tuned in fine-tuning."""
    resamples: int = 1000
    """How many bootstrap samples the confidence intervals are computed from; 0: no intervals."""
    confidence: float = 0.95
    """Of the intervals, between 0 and 1."""
    seed: int = 0
    """Of the bootstrap samples."""
    overwrite: bool = False
    """Replace files at --predictions and --html that an earlier evaluation did not write."""
    quiet: bool = False
    """No progress on stderr."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, …"""
    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16`, or `auto`: as it was saved."""
    precision: str | None = None
    """Compute on the CPU by kernels for its processor: `float32`, `bfloat16`, `int8`, or `auto`: the fastest that
    changes the answers by less than 3 %. `python -m electra.inference.compiling` builds them. Default: by torch."""
    batch_tokens: int | None = None
    """How many tokens go through the network at once. Default: 1,024 on a CPU, 16,384 elsewhere."""

    def __post_init__(self) -> None:
        for name in ("data", "catalogue", "predictions", "html"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        require_count("resamples", self.resamples, 0)
        require(
            is_number(self.confidence) and 0 < self.confidence < 1, "confidence", self.confidence, "between 0 and 1"
        )
        require(is_count(self.seed, 0) and self.seed < 2**32, "seed", self.seed, "from 0 to 2**32 - 1")
        require_one_of("too_long", self.too_long, ("cut", "refuse"))
        for name, least in (("max_length", 3), ("batch_tokens", 1)):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name), least)
        if self.precision is not None:
            require_one_of("precision", self.precision, PRECISIONS)
        if self.threshold is not None:
            require(is_number(self.threshold), "threshold", self.threshold, "a number")


class EvaluationResult(dict[str, Any]):
    """What `evaluate` returns: a dict, and a table for a terminal."""

    confidence = 0.95

    def as_table(self) -> str:
        """The scores in aligned columns."""
        from electra.evaluation.score_table import score_table

        return score_table(self, self.confidence)


@verb(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> EvaluationResult:
    """The scores of a model, and of another one beside it if one is given.

    Returns:
        `model`, `task`, `data`, `examples` (how many were scored), `skipped` (how many were left out), `cut` (how many
        were truncated), `scores`, `intervals` (low and high for each score), `by_class`, `baselines` (the scores of
        baselines that read no text, such as the most frequent class), and with `compare` a `comparison`: the other
        model's `scores`, the `difference` of each score with its interval, and a paired test with its `p`. A score that
        cannot be computed is None.

    Raises:
        ValueError: invalid examples (with file and line), a model that is not for them or computes NaN, or an output
            that is an input or exists.
    """
    from electra.files.output_places import holding_files

    inputs: dict[str, str | Path | None] = {
        "model": config.model,
        "data": config.data,
        "catalogue": config.catalogue,
        "compare": config.compare,
    }
    outputs = {"predictions": config.predictions, "html": config.html}
    with holding_files(outputs, inputs, overwrite=config.overwrite, is_own=_is_own):
        return _evaluate(config)


def _evaluate(config: EvaluateConfig) -> EvaluationResult:
    from electra.evaluation.baselines import simple_baselines
    from electra.metrics.confidence_intervals import intervals
    from electra.training.progress import Reporter

    report = Reporter(quiet=config.quiet)
    evaluated = _evaluated(config, config.model, _named(config), report)
    resampling: dict[str, Any] = {"resamples": config.resamples, "confidence": config.confidence, "seed": config.seed}
    examples = evaluated.labelled.examples
    baselines = simple_baselines(evaluated.task, examples, examples)
    result = EvaluationResult(
        {
            "model": config.model,
            "task": config.task or evaluated.task.name,
            "data": str(config.data),
            "examples": len(evaluated.labelled),
            "skipped": len(evaluated.labelled.skipped),
            "cut": evaluated.data["cut"],
            "scores": _without_nan(evaluated.outcomes.scores()),
            "intervals": intervals(evaluated.outcomes, **resampling) if config.resamples else {},
            "by_class": evaluated.outcomes.by_class(),
            "baselines": {name: _without_nan(scores) for name, scores in baselines.items()},
        }
    )
    result.confidence = config.confidence
    if config.compare is not None:
        other = _evaluated(config, config.compare, evaluated.named, report)
        result["comparison"] = _comparison(config, evaluated, other)
    if config.predictions is not None:
        _write_predictions(config.predictions, evaluated)
    if config.html is not None:
        _write_page(config, result, evaluated)
    return result


def _is_own(option: str, path: Path) -> bool:
    """Whether a file is an earlier output of this command, which may be replaced."""
    try:
        with path.open(encoding="utf-8") as file:
            start = file.read(4000)
    except (OSError, UnicodeError):
        return False
    if option == "html":
        return start.startswith("<!doctype html>") and "<title>Evaluation: " in start
    record = start.partition("\n")[0]
    return record.startswith('{"line": ') and '"answer": ' in record


@dataclass(frozen=True)
class Evaluated:
    """A model's answers to the examples.

    Attributes:
        task: as the model was fitted to it.
        labelled: the examples, and those that were left out.
        answers: to each example.
        outcomes: the answers beside the expected ones.
        named: how the file was read.
        data: the summary of the examples.
        seconds: how long the answers took.
    """

    task: LabelledTask[Any]
    labelled: LabelledExamples
    answers: list[Any]
    outcomes: Outcomes
    named: NamedTask | None
    data: dict[str, Any]
    seconds: float


def _evaluated(config: EvaluateConfig, model_name: str, named: NamedTask | None, report: Reporter) -> Evaluated:
    """Read the examples, let a model answer them, and compare."""
    from electra.config import ElectraConfig
    from electra.evaluation.answers import answer_all
    from electra.evaluation.dataset_summary import summary
    from electra.hardware import devices as hardware
    from electra.inference.engine import engine_for
    from electra.inference.predictor import load, require_finite_weights
    from electra.labelled.fitted_task import fitted_to
    from electra.labelled.labelled_examples import read_columns, read_labelled
    from electra.text.tokenizer import ElectraTokenizer

    settings = ElectraConfig.from_pretrained(model_name)
    fitted = fitted_to(settings, model_name)
    if named is None and fitted is not None and config.task in (None, fitted.task):
        named = fitted
    kinds = _kinds(config, model_name, settings, named)
    labelled = read_labelled(
        config.data,
        kinds,
        columns=read_columns(config.columns),
        named=named,
        skip_invalid=config.skip_invalid,
        encoding=config.encoding,
        label_separator=config.label_separator,
    )
    kind, tokenizer = labelled.kind, ElectraTokenizer.from_pretrained(model_name)
    options = fitted.options if fitted is not None and fitted.task == kind.name else {}
    task = kind.from_config(settings, **{**options, **_options(config, kind)}).for_tokenizer(tokenizer).for_scoring()
    labelled = labelled.usable(task, tokenizer, cut=config.too_long == "cut", skip_invalid=config.skip_invalid)
    data = summary(task, labelled.examples, task.encode_all(labelled.examples, tokenizer))
    model = load(kind, model_name, dtype=config.dtype).to(hardware.choose(config.device))
    require_finite_weights(model, model_name)
    engine = engine_for(model, config.precision)
    start = time.perf_counter()
    with report.counting(f"evaluating {model_name}") as count:
        answers = answer_all(
            model,
            tokenizer,
            task,
            labelled.examples,
            name=model_name,
            batch_tokens=config.batch_tokens,
            engine=engine,
            count=count,
        )
    seconds = time.perf_counter() - start
    return Evaluated(task, labelled, answers, task.outcomes(answers, labelled.examples), named, data, seconds)


def _named(config: EvaluateConfig) -> NamedTask | None:
    from electra.labelled.task_presets import named_task

    return None if config.task is None else named_task(config.task, config.catalogue)


def _kinds(
    config: EvaluateConfig, model_name: str, settings: ElectraConfig, named: NamedTask | None
) -> Sequence[type[LabelledTask[Any]]]:
    """The task that was asked for or that the model was fitted to, or else those that its architecture is for."""
    from electra.labelled.labelled_examples import labelled_task
    from electra.tasks.catalogue import LABELLED_TASKS

    architectures = settings.architectures or []
    name = named.task.removeprefix("joint-") if named else config.task  # which head it has, its architecture says
    if name is not None:
        return (labelled_task(name, architectures),)
    kinds = [kind for kind in LABELLED_TASKS if kind.architecture in architectures]
    if not kinds:
        raise ValueError(
            f"{model_name} was fitted to no task with labelled examples (architectures: {architectures}): fine-tune it "
            "with `electra finetune`, or give --task"
        )
    return kinds


def _options(config: EvaluateConfig, kind: type[LabelledTask[Any]]) -> dict[str, Any]:
    """The options of the task that were given."""
    options: dict[str, Any] = {} if config.max_length is None else {"max_length": config.max_length}
    if config.threshold is not None:
        names = [name for name in ("decision_threshold", "no_answer_threshold") if name in kind.__dataclass_fields__]
        if not names:
            raise ValueError(f"threshold is {config.threshold}: {kind.name} has no threshold; leave it out")
        options[names[0]] = config.threshold
    return options


def _comparison(config: EvaluateConfig, one: Evaluated, other: Evaluated) -> dict[str, Any]:
    """The second model's scores, the differences with their intervals, and a paired test."""
    from electra.metrics.confidence_intervals import difference, paired_test

    if one.labelled.examples != other.labelled.examples:
        raise ValueError(
            f"{config.compare} can answer {len(other.labelled)} of the examples and {config.model} "
            f"{len(one.labelled)}, or reads them for another task: models are compared on the same examples only"
        )
    first, second = one.outcomes.scores(), other.outcomes.scores()
    differences = {
        name: {"value": first[name] - second[name]} for name in first if name in second and _same_labels(one, other)
    }
    if config.resamples:
        resampling: dict[str, Any] = {
            "resamples": config.resamples,
            "confidence": config.confidence,
            "seed": config.seed,
        }
        for name, (low, high) in difference(one.outcomes, other.outcomes, **resampling).items():
            if name in differences:
                differences[name] |= {"low": low, "high": high}
    return {
        "model": config.compare,
        "scores": _without_nan(second),
        "difference": {name: _without_nan(values) for name, values in differences.items()},
        **paired_test(one.outcomes, other.outcomes, seed=config.seed),
    }


def _same_labels(one: Evaluated, other: Evaluated) -> bool:
    """Whether scores that depend on the labels are comparable."""
    return getattr(one.task, "labels", None) == getattr(other.task, "labels", None)


def _write_predictions(path: Path, evaluated: Evaluated) -> None:
    """A JSON line for each example: its line in the file, its id, the answer, the label, how correct the answer is."""
    from electra.files.atomic import writing

    with writing(path, "w") as file:
        for line in _lines(evaluated):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _lines(evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    labelled, correctness = evaluated.labelled, evaluated.outcomes.correctness().tolist()
    each = zip(labelled.records, labelled.examples, evaluated.answers, correctness, strict=True)
    for record, example, answer, correct in each:
        name = {"id": record.values["id"]} if "id" in record.values else {}
        expected = {key: example[key] for key in LABELS if key in example}
        yield {"line": record.line, **name, "answer": answer, **expected, "right": correct}


def _write_page(config: EvaluateConfig, result: Mapping[str, Any], evaluated: Evaluated) -> None:
    from electra.evaluation.answer_sections import Answered, evaluation_page
    from electra.files.atomic import write_text

    assert config.html is not None
    places = [
        f"{record.source.name}:{record.line}" + (f" ({record.values['id']})" if "id" in record.values else "")
        for record in evaluated.labelled.records
    ]
    answered = Answered(
        evaluated.task,
        evaluated.labelled.examples,
        evaluated.answers,
        evaluated.outcomes,
        places,
        evaluated.labelled.skipped,
    )
    page = evaluation_page(result, answered, evaluated.data, config.confidence, evaluated.seconds)
    write_text(config.html, page)


def _without_nan(scores: Mapping[str, float]) -> dict[str, float | None]:
    """NaN and infinity as None, as JSON has neither."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
