"""Examples beside the answers to them, as a reader sees them: the worst first, in their own text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

from electra.metrics.task_metrics import OUTSIDE, needed
from electra.reporting.marked_text import Mark, Part
from electra.tasks.inputs.relevance import read_relevance
from electra.tasks.inputs.texts import read_answers, read_choices, read_question, read_ranking, read_words
from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.task import LabelledTask
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification

NO_ANSWER, NO_LABEL = "no answer", "no label"


@dataclass(frozen=True)
class Case:
    """An example and the answer to it.

    Attributes:
        told: the answer and the right one in words; nothing where the parts show it.
        parts: the example's texts, with what is marked in them.
        badness: the more, the worse.
        index: which of the examples it is.
    """

    told: str
    parts: tuple[Part, ...]
    badness: float
    index: int = 0


def worst(
    task: LabelledTask[Any], examples: Sequence[Any], answers: Sequence[Any], rightness: Sequence[float], most: int
) -> list[Case]:
    """At most so many of the answers that `for_scoring()` gave and that are not right, the worst first.

    rightness: how right each is by itself, 1 for right ones; of numbers, minus the squared error.
    """
    if isinstance(task, QuestionAnswering) and all(map(read_answers, examples)):
        task = replace(task, no_answer_threshold=math.inf)  # as its scores: no answer is held back
    each = enumerate(zip(examples, answers, rightness, strict=True))
    found = [
        replace(case(task, example, answer, right), index=index)
        for index, (example, answer, right) in each
        if right < 1
    ]
    return sorted(found, key=lambda one: -one.badness)[:most]


@singledispatch
def case(task: LabelledTask[Any], example: Any, answer: Any, right: float) -> Case:
    """One of them. A task that is not known here shows what its examples hold."""
    shown = json.dumps(example, ensure_ascii=False, default=str)
    return Case(f"answer: {json.dumps(answer, ensure_ascii=False, default=str)}", (Part("example", shown),), -right)


def _told(said: str, right: str) -> str:
    return f"answer: {said} · right: {right}"


@case.register
def _(task: TextClassification, example: Any, answer: Any, right: float) -> Case:
    """Of one label, the surest errors; of several, where most of them are wrong; of numbers, the largest errors."""
    texts = example if isinstance(example, Mapping) else {"text": example}
    parts = tuple(Part(name, texts[name]) for name in ("text", "text_pair") if texts.get(name))
    target = task.target(example)
    if task.problem == "single_label_classification":
        assert isinstance(target, int)
        return Case(_told(f"{answer['label']} ({answer['score']:.2f})", task.labels[target]), parts, answer["score"])
    answers = [answer] if isinstance(answer, Mapping) else answer
    scores = {each["label"]: each["score"] for each in answers}
    targets = dict(zip(task.labels, target if isinstance(target, tuple) else (target,), strict=True))
    if task.problem == "regression":
        said, wanted = (", ".join(f"{numbers[label]:.3g}" for label in task.labels) for numbers in (scores, targets))
        return Case(_told(said, wanted), parts, -right)
    said = ", ".join(f"{label} ({score:.2f})" for label, score in scores.items() if score >= task.decision_threshold)
    wanted = ", ".join(label for label, held in targets.items() if held)
    distance = sum(abs(scores[label] - held) for label, held in targets.items())
    return Case(_told(said or NO_LABEL, wanted or NO_LABEL), parts, distance)


@case.register
def _(task: TokenClassification, example: Any, answer: Any, right: float) -> Case:
    """Where the words' errors are surest, in sum; entities are marked whole, other labels where they are wrong."""
    words = read_words(example, str(task.delimiter))
    said, tags = task.words_said(answer, example), [task.labels[i] for i in task.target(example)]
    spans = [(start, start + len(word)) for start, word in zip(words.starts, words.words, strict=True)]
    badness = sum(score for (label, score), tag in zip(said, tags, strict=True) if label != tag)
    if all(label == OUTSIDE or label[1:2] == "-" for label in task.labels):
        marks = [*_entities(tags, spans, True), *_entities([label for label, _ in said], spans, False)]
    else:
        pairs = zip(spans, said, tags, strict=True)
        wrong = [(span, label, tag) for span, (label, _), tag in pairs if label != tag]
        marks = [Mark(*span, name, kind) for span, label, tag in wrong for name, kind in ((tag, True), (label, False))]
    return Case("", (Part("text", words.text, tuple(marks)),), badness)


def _entities(tags: Sequence[str], spans: Sequence[tuple[int, int]], right: bool) -> list[Mark]:
    """The stretches of text that are entities, as conlleval reads tags."""
    found = needed("seqeval.metrics.sequence_labeling").get_entities(list(tags))
    return [Mark(spans[first][0], spans[last][1], name, right) for name, first, last in found]


@case.register
def _(task: QuestionAnswering, example: Any, answer: Any, right: float) -> Case:
    """Where least of the answer is right, the surest first."""
    asked, expected = read_question(example), read_answers(example)
    places = dict.fromkeys((one.start, one.start + len(one.text)) for one in expected)
    marks = [Mark(*place) for place in places]
    silent = answer["no_answer"] > task.no_answer_threshold or not answer["answer"]
    if not silent:
        marks.append(Mark(answer["start"], answer["end"], expected=False))
    parts = (Part("question", asked.question), Part("context", asked.context, tuple(marks)))
    golden = " / ".join(dict.fromkeys(one.text for one in expected))
    told = _told(NO_ANSWER if silent else answer["answer"], golden or NO_ANSWER)
    return Case(told, parts, 1 - right + 1e-3 * answer["score"])


@case.register
def _(task: MultipleChoice, example: Any, answer: Any, right: float) -> Case:
    """The surest errors."""
    shown, best = read_choices(example), answer[0]
    texts = {name: example[name] for name in ("text", "context", "question") if example.get(name)}
    parts = tuple(Part(name, text) for name, text in texts.items())
    told = _told(f"{best['choice']} ({best['score']:.2f})", shown.choices[right_choice(example)])
    return Case(told, parts, best["score"])


@case.register
def _(task: TextRanking, example: Any, answer: Any, right: float) -> Case:
    """The queries whose first relevant text is ranked lowest."""
    shown, values = read_ranking(example), read_relevance(example, None).labels
    ranked = [each["corpus_id"] for each in answer]
    rank = next((place for place, number in enumerate(ranked, start=1) if values[number] > 0), None)
    first = Part("ranked first", shown.texts[ranked[0]])
    if rank is None:
        return Case("none of the texts is relevant", (Part("query", shown.query), first), 0.0)
    relevant = Part("relevant", shown.texts[ranked[rank - 1]])
    told = f"the first relevant text is ranked {rank} of {len(ranked)}"
    return Case(told, (Part("query", shown.query), relevant, *([first] if rank > 1 else [])), rank + 1 - right)
