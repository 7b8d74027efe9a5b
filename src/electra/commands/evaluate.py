"""`electra evaluate`: a fitted model and labelled examples -> scores, and how sure they are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from electra.commands.verb import verb

if TYPE_CHECKING:  # the flags must not wait for torch
    from electra.config import ElectraConfig
    from electra.labelled.labelled_examples import LabelledExamples
    from electra.labelled.task_presets import NamedTask
    from electra.metrics.task_metrics import Outcomes
    from electra.tasks.labelled_task import LabelledTask

LABELS = ("label", "labels", "tags", "answers", "scores")
"""The parts of an example that say what is right."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Scores of a fitted model on labelled examples, as JSON.

    A model that `electra finetune` wrote is scored as it was then: its folder says for which task, with which columns,
    row length and threshold. What is given here wins.

    Raises:
        ValueError: a value that is not allowed; the message names it.
    """

    model: str
    """A model folder, or a name on the Hugging Face hub."""
    data: Path
    """Labelled examples: .jsonl, .csv, .tsv, .parquet, .conll, SQuAD's .json or fastText's .txt (also .gz, .xz)."""
    _: KW_ONLY
    task: str | None = None
    """The task, such as text-classification, or the name of one with known files, such as mnli. Default: what the model
    was fitted to, else what model and columns are of."""
    columns: str | None = None
    """Which column is what, where it has no common name: text=review,label=stars."""
    catalogue: Path | None = None
    """A TOML file with tasks of one's own."""
    compare: str | None = None
    """Another model: how much better the first one is, and whether that is more than chance."""
    predictions: Path | None = None
    """Write every answer here, as JSON lines."""
    html: Path | None = None
    """Write a page here: the scores, what was taken for what, calibration, the worst answers in their own text."""
    skip_invalid: bool = False
    """Leave out examples that cannot be used, and count them; by default they are an error."""
    too_long: Literal["cut", "refuse"] = "cut"
    """What to do with a text that the model cannot read whole; how many are cut is said."""
    max_length: int | None = None
    """The longest row in tokens. Default: as it was fitted, else what the model and its tokenizer allow."""
    threshold: float | None = None
    """Of several labels: the score from which on one is said. Question answering: the log odds from which on there is
    no answer. Default: as it was fitted."""
    resamples: int = 1000
    """How often the examples are drawn anew for the confidence intervals; 0: no intervals."""
    confidence: float = 0.95
    """Of the intervals."""
    seed: int = 0
    """Decides the draws."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, …"""
    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16`, or `auto`: as it was saved."""
    batch_tokens: int | None = None
    """How many tokens go through the network at once."""

    def __post_init__(self) -> None:
        for name, holds, allowed in (
            ("resamples", self.resamples >= 0, "0 or more"),
            ("confidence", 0 < self.confidence < 1, "between 0 and 1"),
            ("seed", 0 <= self.seed < 2**32, "from 0 to 2**32 - 1"),
            ("too_long", self.too_long in ("cut", "refuse"), "cut or refuse"),
        ):
            if not holds:
                raise ValueError(f"{name} is {getattr(self, name)!r}: it must be {allowed}")


@verb(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """The scores of a model, and of another one beside it if one is given.

    Keys: `model`, `task`, `data`, `examples` (how many were scored), `skipped` (how many were not), `cut` (how many
    were too long), `scores`, `intervals` (low and high for each score), `by_class`, and with `compare` a `comparison`:
    the other's `scores`, the `difference` of each score with its interval, and a paired test with its `p`. A score that
    cannot be computed is None.

    Raises:
        ValueError: examples or a model that cannot be used; with file and line where there are any.
    """
    from electra.metrics.confidence_intervals import intervals

    found = _judged(config, config.model, _named(config))
    drawn = {"resamples": config.resamples, "confidence": config.confidence, "seed": config.seed}
    result = {
        "model": config.model,
        "task": config.task or found.task.name,
        "data": str(config.data),
        "examples": len(found.labelled),
        "skipped": len(found.labelled.skipped),
        "cut": found.data["cut"],
        "scores": _known(found.outcomes.scores()),
        "intervals": intervals(found.outcomes, **drawn) if config.resamples else {},  # type: ignore[arg-type]
        "by_class": found.outcomes.by_class(),
    }
    if config.compare is not None:
        result["comparison"] = _comparison(config, found, _judged(config, config.compare, found.named))
    if config.predictions is not None:
        _write(config.predictions, found)
    if config.html is not None:
        _write_page(config, result, found)
    return result


@dataclass(frozen=True)
class Judged:
    """What a model said of the examples. named: what was known of their file. data: what they are like."""

    task: LabelledTask[Any]
    labelled: LabelledExamples
    answers: list[Any]
    outcomes: Outcomes
    named: NamedTask | None
    data: dict[str, Any]


def _judged(config: EvaluateConfig, model_name: str, named: NamedTask | None) -> Judged:
    """Read the examples, answer them with a model and compare."""
    from electra.config import ElectraConfig
    from electra.evaluation.dataset_summary import summary
    from electra.hardware import devices as hardware
    from electra.inference.predictor import load, predict
    from electra.labelled.fitted_task import fitted_to
    from electra.labelled.labelled_examples import read_columns, read_labelled
    from electra.text.tokenizer import ElectraTokenizer

    settings = ElectraConfig.from_pretrained(model_name)
    fitted = fitted_to(settings, model_name)
    if named is None and fitted is not None and config.task in (None, fitted.task):
        named = fitted
    kinds = _kinds(config, model_name, settings, named)
    labelled = read_labelled(
        config.data, kinds, columns=read_columns(config.columns), named=named, skip_invalid=config.skip_invalid
    )
    kind, tokenizer = labelled.kind, ElectraTokenizer.from_pretrained(model_name)
    options = fitted.options if fitted is not None and fitted.task == kind.name else {}
    task = kind.from_config(settings, **{**options, **_options(config, kind)}).for_tokenizer(tokenizer).for_scoring()
    labelled = labelled.usable(task, tokenizer, cut=config.too_long == "cut", skip_invalid=config.skip_invalid)
    data = summary(task, labelled.examples, task.encode_all(labelled.examples, tokenizer))
    model = load(kind, model_name, dtype=config.dtype).to(hardware.choose(config.device))
    answers = list(predict(model, tokenizer, task, labelled.examples, batch_tokens=config.batch_tokens))
    return Judged(task, labelled, answers, task.outcomes(answers, labelled.examples), named, data)


def _named(config: EvaluateConfig) -> NamedTask | None:
    from electra.labelled.task_presets import named_task

    return None if config.task is None else named_task(config.task, config.catalogue)


def _kinds(
    config: EvaluateConfig, model_name: str, settings: ElectraConfig, named: NamedTask | None
) -> Sequence[type[LabelledTask[Any]]]:
    """The task that was asked for or that the model was fitted to, or those that it may have been fitted to."""
    from electra.labelled.labelled_examples import labelled_task
    from electra.tasks.catalogue import LABELLED_TASKS

    architectures = settings.architectures or []
    name = named.task.removeprefix("joint-") if named else config.task  # the head is the model's affair
    if name is not None:
        return (labelled_task(name, architectures),)
    kinds = [kind for kind in LABELLED_TASKS if kind.architecture in architectures]
    if not kinds:
        raise ValueError(
            f"{model_name} was fitted to no task with labelled examples (architectures: {architectures}): fit it with "
            "`electra finetune`, or name the task"
        )
    return kinds


def _options(config: EvaluateConfig, kind: type[LabelledTask[Any]]) -> dict[str, Any]:
    """The task's options that were given."""
    options: dict[str, Any] = {} if config.max_length is None else {"max_length": config.max_length}
    if config.threshold is not None:
        names = [name for name in ("decision_threshold", "no_answer_threshold") if name in kind.__dataclass_fields__]
        if not names:
            raise ValueError(f"threshold is {config.threshold}: {kind.name} has none, leave it out")
        options[names[0]] = config.threshold
    return options


def _comparison(config: EvaluateConfig, one: Judged, other: Judged) -> dict[str, Any]:
    """The second model's scores, what the first one's are above them, and whether by chance."""
    from electra.metrics.confidence_intervals import difference, paired_test

    if one.labelled.examples != other.labelled.examples:
        raise ValueError(
            f"{config.compare} can be asked {len(other.labelled)} of the examples and {config.model} "
            f"{len(one.labelled)}, or reads them for another task: they can be compared on the same ones only"
        )
    first, second = one.outcomes.scores(), other.outcomes.scores()
    found = {
        name: {"value": first[name] - second[name]} for name in first if name in second and _same_labels(one, other)
    }
    if config.resamples:
        drawn = {"resamples": config.resamples, "confidence": config.confidence, "seed": config.seed}
        for name, (low, high) in difference(one.outcomes, other.outcomes, **drawn).items():  # type: ignore[arg-type]
            if name in found:
                found[name] |= {"low": low, "high": high}
    return {
        "model": config.compare,
        "scores": _known(second),
        "difference": {name: _known(values) for name, values in found.items()},
        **paired_test(one.outcomes, other.outcomes, seed=config.seed),
    }


def _same_labels(one: Judged, other: Judged) -> bool:
    """Whether scores of single labels mean the same in both."""
    return getattr(one.task, "labels", None) == getattr(other.task, "labels", None)


def _write(path: Path, found: Judged) -> None:
    """A JSON line for each example: where it stands, its id, the answer, what is right, and how right that makes it."""
    from electra.files.atomic import writing

    with writing(path, "w") as file:
        for line in _lines(found):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _lines(found: Judged) -> Iterator[dict[str, Any]]:
    labelled = found.labelled
    each = zip(labelled.records, labelled.examples, found.answers, found.outcomes.correctness().tolist(), strict=True)
    for record, example, answer, right in each:
        name = {"id": record.values["id"]} if "id" in record.values else {}
        expected = {key: example[key] for key in LABELS if key in example}
        yield {"line": record.line, **name, "answer": answer, **expected, "right": right}


def _write_page(config: EvaluateConfig, result: Mapping[str, Any], found: Judged) -> None:
    from electra.evaluation.answer_sections import Answered, evaluation_page
    from electra.files.atomic import write_text

    assert config.html is not None
    places = [f"{record.source.name}:{record.line}" for record in found.labelled.records]
    answered = Answered(found.task, found.labelled.examples, found.answers, found.outcomes, places)
    write_text(config.html, evaluation_page(result, answered, found.data, config.confidence))


def _known(scores: Mapping[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
