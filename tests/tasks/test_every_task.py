"""What holds for every task: streams, plain answers, batches of any size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from electra import pipeline
from electra.tasks.catalogue import TASKS
from tests.tasks.tiny import LONG_CONTEXT, LONG_TEXT, QUESTIONS, TAGS, TEXTS, assert_same, make_folder

NAMES = {"id2label": {0: "contradiction", 1: "entailment"}, "label2id": {"contradiction": 0, "entailment": 1}}
TAGGED = {"id2label": TAGS, "label2id": {name: i for i, name in TAGS.items()}}
FOLDERS: dict[str, dict[str, Any]] = {
    "text-classification": NAMES,
    "text-ranking": NAMES,
    "zero-shot-classification": NAMES,
    "token-classification": TAGGED,
    "question-answering": {"max_position_embeddings": 64},
    "text-generation": {"is_decoder": True},
}
PLAIN = [TEXTS[0], TEXTS[1], LONG_TEXT]
EXAMPLES: dict[str, list[Any]] = {
    "question-answering": [{"question": each, "context": LONG_CONTEXT} for each in QUESTIONS],
    "multiple-choice": [{"text": text, "choices": list("abcd")[:n]} for n, text in enumerate(PLAIN, start=2)],
    "text-ranking": [{"query": query, "texts": TEXTS} for query in QUESTIONS],
    "fill-mask": [f"{text} [MASK]" for text in PLAIN],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "text-classification": {"top_k": None},
    "question-answering": {"top_k": 3},
    "zero-shot-classification": {"candidate_labels": ["cat", "Paris"], "hypothesis_template": "a {}"},
    "text-generation": {"max_new_tokens": 2, "do_sample": False},
}
Make = Callable[..., Any]
every_task = pytest.mark.parametrize("task", [task.name for task in TASKS])


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    @cache
    def folder(task: str) -> Path:
        architecture = next(kind.architecture for kind in TASKS if kind.name == task)
        return make_folder(tmp_path_factory.mktemp(task), architecture, **FOLDERS.get(task, {}))

    def run(task: str, **options: Any) -> Any:
        return pipeline(task, folder(task), device="cpu", **OPTIONS.get(task, {}), **options)

    return run


def examples_of(task: str) -> list[Any]:
    """Three of different lengths; none is too long for a task that cannot cut."""
    return EXAMPLES.get(task, TEXTS[:2] + TEXTS[4:5] if task == "text-generation" else PLAIN)


class Dataset:
    """What torch's map-style datasets have."""

    def __init__(self, examples: list[Any]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> Any:
        return self.examples[i]


@every_task
def test_lists_streams_datasets_and_batches_of_any_size_give_the_same(make: Make, task: str) -> None:
    examples = examples_of(task)
    run = make(task)
    answers = run(examples)
    assert len(answers) == 3
    assert answers[0] != answers[1]
    for stream in (run(iter(examples)), run(Dataset(examples))):
        assert not isinstance(stream, list)
        assert_same(list(stream), answers)
    for options in ({"batch_size": 1}, {"batch_tokens": 30}):
        assert_same(make(task, **options)(examples), answers, 1e-4)
    assert run([]) == []


@every_task
def test_half_a_character_is_refused_by_the_number_of_its_example(make: Make, task: str) -> None:
    def broken(example: Any, key: str) -> Any:
        if isinstance(example, str):
            return example + "\ud83d"
        if isinstance(example, list):
            return [*example[:-1], broken(example[-1], key)]
        return {**example, key: broken(example[key], key)}

    good = examples_of(task)[0]
    for key in good if isinstance(good, dict) else [""]:
        with pytest.raises(ValueError, match=r"example 2: character .* is half of a surrogate pair"):
            list(make(task, batch_size=1)(iter([good, good, broken(good, key)])))


@every_task
def test_an_endless_stream_is_answered_while_it_is_read(make: Make, task: str) -> None:
    read = 0

    def endless() -> Iterator[Any]:
        nonlocal read
        while True:
            read += 1
            yield examples_of(task)[read % 3]

    answers = make(task, batch_tokens=64)(endless())
    assert read == 0
    ahead = []
    for given, _ in enumerate(islice(answers, 40), start=1):
        ahead.append(read - given)
    assert ahead[0] <= 20, "the first answer waits for a batch, not for many"
    assert max(ahead) <= 300


@every_task
def test_answers_are_plain_values(make: Make, task: str) -> None:
    answers = make(task)(examples_of(task))
    assert json.loads(json.dumps(answers, allow_nan=False)) == answers
