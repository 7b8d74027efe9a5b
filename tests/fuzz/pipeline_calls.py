"""Random inputs and options for the pipeline of every task, and models whose weights are NaN or infinite."""

from __future__ import annotations

import json
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from electra import pipeline
from electra.pipelines import Pipeline
from electra.tasks.catalogue import find_task
from tests.fuzz.driver import Broken, Case, is_worded
from tests.fuzz.hostile import encodable, text, value
from tests.tasks.tiny import TAGS, make_folder

ARCHITECTURES = {
    "text-classification": "ElectraForSequenceClassification",
    "token-classification": "ElectraForTokenClassification",
    "question-answering": "ElectraForQuestionAnswering",
    "multiple-choice": "ElectraForMultipleChoice",
    "text-ranking": "ElectraForSequenceClassification",
    "fill-mask": "ElectraForMaskedLM",
    "replaced-token-detection": "ElectraForPreTraining",
    "feature-extraction": "ElectraModel",
}
FIELDS: dict[str, dict[str, Any]] = {
    "token-classification": {"id2label": TAGS, "label2id": {label: i for i, label in TAGS.items()}},
    "text-ranking": {"num_labels": 1},
}


def prepare(shared: Path) -> Case:
    """A small model of every task."""
    pipes = _pipes(shared)

    def case(random: random.Random, folder: Path) -> str:
        task = random.choice(list(pipes))
        options = _options(random, task) if random.random() < 0.4 else {}
        return _answered(pipes[task](_input(random, task), **options))

    return case


def prepare_damaged(shared: Path) -> Case:
    """The same models, of which each case makes one weight NaN or infinite."""
    pipes = _pipes(shared)

    def case(random: random.Random, folder: Path) -> str:
        task = random.choice(list(pipes))
        pipe = pipes[task]
        name, parameter = random.choice(list(pipe.model.named_parameters()))
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.fill_(random.choice([float("nan"), float("inf"), -float("inf")]))
        try:
            answer = pipe(_good_input(task))
        except Exception as error:
            if not is_worded(error):
                raise
            return "refused"
        else:
            raise Broken(f"{task} answered {str(answer)[:80]} from a {name} that is not finite")
        finally:
            with torch.no_grad():
                parameter.copy_(kept)

    return case


def _pipes(shared: Path) -> dict[str, Pipeline]:
    made = {}
    for task, architecture in ARCHITECTURES.items():
        folder = make_folder(shared / task, architecture, **FIELDS.get(task, {}))
        made[task] = pipeline(task, str(folder), device="cpu")
    return made


def _answered(answer: Any) -> str:
    """Every answer can be written as JSON, without NaN."""
    try:
        json.dumps(answer, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Broken(f"an answer that is no JSON: {str(answer)[:200]}") from error
    return "answered"


def _good_input(task: str) -> Any:
    context = "Ann and the cat sat on a mat in New York ."
    return {
        "question-answering": {"question": "Where is Ann?", "context": context},
        "multiple-choice": {"text": "Ann sat", "choices": ["on a mat", "in paris"]},
        "text-ranking": {"query": "cat", "texts": ["the cat", "paris"]},
        "fill-mask": "the [MASK] sat",
    }.get(task, context)


def _input(random: random.Random, task: str) -> Any:
    good = _good_input(task)
    kind = random.randrange(8)
    if kind == 0:
        return value(random)
    if isinstance(good, dict) and kind < 6:
        given = {
            name: [encodable(random)] * 2 if isinstance(part, list) else encodable(random)
            for name, part in good.items()
        }
        if kind == 1:
            given.pop(random.choice(list(given)), None)
        if kind == 2:
            given[random.choice([*given, "x"])] = value(random)
        return [given, good] if kind == 3 else given
    if kind == 6:
        return [good, encodable(random)]
    return text(random) + (" [MASK] " if task == "fill-mask" and kind < 7 else "")


def _options(random: random.Random, task: str) -> dict[str, Any]:
    names = [field.name for field in fields(find_task(task, None)) if field.init]
    return {
        random.choice([*names, "batch_size", "no_such_option"]): value(random, 1) for _ in range(random.randint(1, 2))
    }
