"""Error analysis: the worst answers, each shown in the text of its example."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from electra.metrics.entity_metrics import entities
from electra.metrics.tag_schemes import recognise_scheme
from electra.reporting.marked_text import Mark, Part
from electra.tasks.inputs.relevance import read_relevance
from electra.tasks.inputs.texts import read_answers, read_choices, read_question, read_ranking, read_words
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification

NO_ANSWER, NO_LABEL = "no answer", "no label"


@dataclass(frozen=True)
class Case:
    """An example and the model's answer to it.

    Attributes:
        message: the predicted and the expected answer in words; empty where the marks show them.
        parts: the example's texts, with marks.
        badness: higher is worse.
        index: of the example.
    """

    message: str
    parts: tuple[Part, ...]
    badness: float
    index: int = 0


def worst(
    task: LabelledTask[Any], examples: Sequence[Any], answers: Sequence[Any], correctness: Sequence[float], most: int
) -> list[Case]:
    """The answers that are not correct, the worst first.

    Args:
        task: what the examples are for.
        examples: the examples.
        answers: those of `task.for_scoring()`.
        correctness: of each answer, 1 for correct ones; of numbers, minus the squared error.
        most: how many cases to return at most.
    """
    if isinstance(task, QuestionAnswering) and all(map(read_answers, examples)):
        task = replace(task, no_answer_threshold=math.inf)  # as in its scores: every question is answered
    each = enumerate(zip(examples, answers, correctness, strict=True))
    cases = [
        replace(case(task, example, answer, correct), index=index)
        for index, (example, answer, correct) in each
        if correct < 1
    ]
    return sorted(cases, key=lambda one: -one.badness)[:most]


@singledispatch
def case(task: LabelledTask[Any], example: Any, answer: Any, correct: float) -> Case:
    """The case of one example. Of a task without a function here, example and answer are shown as JSON."""
    shown, message = (json.dumps(value, ensure_ascii=False, default=str) for value in (example, answer))
    return Case(f"predicted: {message}", (Part("example", shown),), -correct)


def _message(predicted: str, expected: str) -> str:
    return f"predicted: {predicted} · expected: {expected}"


@case.register
def _(task: TextClassification, example: Any, answer: Any, correct: float) -> Case:
    """The most confident errors; of several labels, those farthest off; of numbers, the largest errors."""
    texts = example if isinstance(example, Mapping) else {"text": example}
    parts = tuple(Part(name, texts[name]) for name in ("text", "text_pair") if texts.get(name))
    target = task.target(example)
    if task.problem == "single_label_classification":
        assert isinstance(target, int)
        return Case(_message(f"{answer['label']} ({answer['score']:.2f})", task.labels[target]), parts, answer["score"])
    answers = [answer] if isinstance(answer, Mapping) else answer
    scores = {each["label"]: each["score"] for each in answers}
    targets = dict(zip(task.labels, target if isinstance(target, tuple) else (target,), strict=True))
    if task.problem == "regression":
        numbers = [", ".join(f"{side[label]:.3g}" for label in task.labels) for side in (scores, targets)]
        return Case(_message(*numbers), parts, -correct)
    above = {label: score for label, score in scores.items() if score >= task.decision_threshold}
    predicted = ", ".join(f"{label} ({score:.2f})" for label, score in above.items())
    expected = ", ".join(label for label, value in targets.items() if value)
    distance = sum(abs(scores[label] - value) for label, value in targets.items())
    return Case(_message(predicted or NO_LABEL, expected or NO_LABEL), parts, distance)


@case.register
def _(task: TokenClassification, example: Any, answer: Any, correct: float) -> Case:
    """The errors of the words that are most confident, in sum. Entities are marked whole, other labels where wrong."""
    words = read_words(example, str(task.delimiter))
    predicted, tags = task.word_labels(answer, example), [task.labels[i] for i in task.target(example)]
    spans = [(start, start + len(word)) for start, word in zip(words.starts, words.words, strict=True)]
    badness = sum(score for (label, score), tag in zip(predicted, tags, strict=True) if label != tag)
    if (scheme := recognise_scheme(task.labels)) is not None:
        sides = (tags, True), ([label for label, _ in predicted], False)
        marks = [mark for side, right in sides for mark in _entities(scheme.to_iob2(side), spans, right)]
    else:
        each = zip(spans, predicted, tags, strict=True)
        wrong = [(span, label, tag) for span, (label, _), tag in each if label != tag]
        marks = [Mark(*span, *named) for span, label, tag in wrong for named in ((tag, True), (label, False))]
    return Case("", (Part("text", words.text, tuple(marks)),), badness)


def _entities(tags: Sequence[str], spans: Sequence[tuple[int, int]], expected: bool) -> list[Mark]:
    """The entities of tagged words, as conlleval reads tags; spans: of each word in the text."""
    return [Mark(spans[first][0], spans[last][1], name, expected) for name, first, last in entities(tags)]


@case.register
def _(task: QuestionAnswering, example: Any, answer: Any, correct: float) -> Case:
    """The least correct answers, the most confident first."""
    read, expected = read_question(example), read_answers(example)
    spans = dict.fromkeys((one.start, one.start + len(one.text)) for one in expected)
    marks = [Mark(*span) for span in spans]
    threshold = math.inf if task.no_answer_threshold is None else task.no_answer_threshold
    withheld = answer["no_answer"] > threshold or not answer["answer"]
    if not withheld:
        marks.append(Mark(answer["start"], answer["end"], expected=False))
    parts = (Part("question", read.question), Part("context", read.context, tuple(marks)))
    gold = " / ".join(dict.fromkeys(one.text for one in expected))
    message = _message(NO_ANSWER if withheld else answer["answer"], gold or NO_ANSWER)
    return Case(message, parts, 1 - correct + 1e-3 * answer["score"])


@case.register
def _(task: MultipleChoice, example: Any, answer: Any, correct: float) -> Case:
    """The most confident errors."""
    read, best = read_choices(example), answer[0]
    texts = {name: example[name] for name in ("text", "context", "question") if example.get(name)}
    parts = tuple(Part(name, text) for name, text in texts.items())
    message = _message(f"{best['choice']} ({best['score']:.2f})", read.choices[right_choice(example)])
    return Case(message, parts, best["score"])


@case.register
def _(task: TextRanking, example: Any, answer: Any, correct: float) -> Case:
    """The queries whose first relevant text is ranked lowest."""
    read, values = read_ranking(example), read_relevance(example, None).labels
    ranked = [each["corpus_id"] for each in answer]
    rank = next((place for place, number in enumerate(ranked, start=1) if values[number] > 0), None)
    first = Part("ranked first", read.texts[ranked[0]])
    if rank is None:
        return Case("none of the texts is relevant", (Part("query", read.query), first), 0.0)
    relevant = Part("relevant", read.texts[ranked[rank - 1]])
    message = f"the first relevant text is ranked {rank} of {len(ranked)}"
    return Case(message, (Part("query", read.query), relevant, *([first] if rank > 1 else [])), rank + 1 - correct)
