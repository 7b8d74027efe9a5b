"""Baselines: the scores that a model must beat to be worth anything.

`simple_baselines` need only the labels: the most frequent class, the mean, the order of a ranker's input. The trained
ones are scikit-learn's linear models on TF-IDF features of words and pairs of words, fitted to the same examples.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from electra.metrics.ranking_metrics import RankingOutcomes
from electra.metrics.task_metrics import ChoiceOutcomes, LabelOutcomes, NumberOutcomes, SetOutcomes
from electra.tasks.inputs.relevance import read_relevance
from electra.tasks.inputs.texts import read_words
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.multiple_choice import MultipleChoice, right_choice
from electra.tasks.text_classification import TextClassification
from electra.tasks.text_ranking import TextRanking
from electra.tasks.token_classification import TokenClassification
from electra.validation import import_extra

Scores = dict[str, dict[str, float]]
"""Scores of each baseline, by its name."""

MOST_EXAMPLES = 20_000  # that TF-IDF learns from: a few seconds; more change its scores little
MOST_FEATURES = 100_000


@singledispatch
def simple_baselines(task: LabelledTask[Any], train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    """Baselines that read no text.

    Args:
        task: what the examples are for.
        train: the examples whose labels are known; may be the held-out ones themselves.
        held_out: the examples to score.

    Returns:
        Scores by baseline; empty for a task without one.
    """
    return {}


@singledispatch
def trained_baselines(task: LabelledTask[Any], train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    """Linear models on TF-IDF features, fitted to the training examples; empty for a task without one."""
    return {}


@simple_baselines.register
def _(task: TextClassification, train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    known, expected = _targets(task, train), _targets(task, held_out)
    if task.problem == "regression":
        mean = np.broadcast_to(known.mean(0), expected.shape)
        return {"mean of the labels": NumberOutcomes(mean, expected).scores()}
    if task.problem == "multi_label_classification":
        frequent = np.broadcast_to(known.mean(0) >= 0.5, expected.shape)
        return {"labels of most examples": SetOutcomes(frequent, expected > 0, task.labels).scores()}
    frequent = np.full(len(expected), np.bincount(known.astype(int)).argmax())
    return {"most frequent class": LabelOutcomes(frequent, expected.astype(int), task.labels).scores()}


@simple_baselines.register
def _(task: TokenClassification, train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    tags = [task.labels[tag] for example in train for tag in task.target(example)]
    most_frequent = Counter(tags).most_common(1)[0][0] if tags else task.labels[0]
    return {"most frequent tag": _tag_scores(task, held_out, defaultdict(lambda: most_frequent))}


@trained_baselines.register
def _(task: TokenClassification, train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in train:
        words = read_words(example, str(task.delimiter)).words
        for word, tag in zip(words, task.target(example), strict=True):
            counts[word][task.labels[tag]] += 1
    overall = sum(counts.values(), Counter[str]())
    default = overall.most_common(1)[0][0] if overall else task.labels[0]
    by_word = defaultdict(lambda: default, {word: each.most_common(1)[0][0] for word, each in counts.items()})
    return {"most frequent tag of each word": _tag_scores(task, held_out, by_word)}


@simple_baselines.register
def _(task: MultipleChoice, train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    frequent = Counter(right_choice(example) for example in train).most_common(1)[0][0]
    expected = np.array([right_choice(example) for example in held_out])
    return {"most frequent choice": ChoiceOutcomes(np.full(len(expected), frequent), expected).scores()}


@simple_baselines.register
def _(task: TextRanking, train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    relevance = [read_relevance(example, None).labels for example in held_out]
    in_order = [[-float(place) for place in range(len(labels))] for labels in relevance]
    return {"order of the input": RankingOutcomes.of(in_order, relevance).scores()}


@trained_baselines.register
def _(task: TextClassification, train: Sequence[Any], held_out: Sequence[Any]) -> Scores:
    linear = import_extra("sklearn.linear_model", "train", "scoring")
    text = import_extra("sklearn.feature_extraction.text", "train", "scoring")
    chosen = np.random.default_rng(0).permutation(len(train))[:MOST_EXAMPLES]
    known = _targets(task, [train[i] for i in chosen])
    expected = _targets(task, held_out)
    features = text.TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), max_features=MOST_FEATURES)
    try:
        of_train = features.fit_transform([_text(train[i]) for i in chosen])
    except ValueError:  # no text has a word in scikit-learn's sense
        return {}
    of_held_out = features.transform(list(map(_text, held_out)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge in so many iterations
        if task.problem == "regression":
            predicted = linear.Ridge().fit(of_train, known).predict(of_held_out).reshape(expected.shape)
            return {"TF-IDF with ridge regression": NumberOutcomes(predicted, expected).scores()}
        if task.problem == "multi_label_classification":
            columns = [_probabilities(linear, of_train, known[:, k], of_held_out) for k in range(len(task.labels))]
            predicted = np.stack(columns, axis=1) >= 0.5
            scores = SetOutcomes(predicted, expected > 0, task.labels).scores()
        else:
            if len(np.unique(known)) < 2:
                return {}
            model = linear.LogisticRegression(C=10.0, max_iter=300).fit(of_train, known.astype(int))
            predicted = model.predict(of_held_out)
            scores = LabelOutcomes(predicted.astype(int), expected.astype(int), task.labels).scores()
    return {"TF-IDF with logistic regression": scores}


def _probabilities(linear: Any, of_train: Any, known: np.ndarray, of_held_out: Any) -> np.ndarray:
    """Of one label; where all training examples have it, or none, that is what is predicted."""
    if len(np.unique(known)) < 2:
        return np.full(of_held_out.shape[0], float(known[0]))
    model = linear.LogisticRegression(C=10.0, max_iter=300).fit(of_train, known.astype(int))
    return np.asarray(model.predict_proba(of_held_out)[:, 1])


def _targets(task: TextClassification, examples: Sequence[Any]) -> np.ndarray:
    return np.array([task.target(example) for example in examples], dtype=float)


def _text(example: Any) -> str:
    if isinstance(example, str):
        return example
    return " ".join(str(example[name]) for name in ("text", "text_pair") if example.get(name))


def _tag_scores(task: TokenClassification, examples: Sequence[Any], by_word: defaultdict[str, str]) -> dict[str, float]:
    """The scores of tagging each word by itself."""
    answers = []
    for example in examples:
        words = read_words(example, str(task.delimiter))
        each = zip(words.words, words.starts, strict=True)
        answers.append([{"entity": by_word[word], "score": 1.0, "start": start} for word, start in each])
    return task.for_scoring().outcomes(answers, examples).scores()
