"""Relevance of texts to a query: the formats of labelled rankings, in files and as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from electra.tasks.inputs.texts import read_ranking
from electra.validation import as_number

_number = partial(as_number, name="the relevance of a text")


@dataclass(frozen=True)
class Relevance:
    """The relevance of each of a query's texts (0: not relevant), and a teacher's scores, if there are any."""

    labels: tuple[float, ...]
    teacher: tuple[float, ...] = ()


def read_relevance(example: Any, objective: str | None) -> Relevance:
    """`labels`, or a teacher's `scores`, of a labelled ranking.

    Raises:
        ValueError: labels or scores are missing, or the objective cannot use them.
    """
    count = len(read_ranking(example).texts)
    teacher = _numbers(example, "scores", count)
    labels = _numbers(example, "labels", count) or teacher
    if not labels:
        raise ValueError("a labelled ranking has 'labels', a number for each text, or a teacher's 'scores'")
    if objective == "margin-mse" and not teacher:
        raise ValueError("margin-mse learns a teacher's 'scores', and this example has none")
    if min(labels) < 0 and (labels is not teacher or objective == "listwise"):
        raise ValueError(f"'labels' are 0 or more (0: not relevant), not {min(labels)}")
    if objective == "pointwise" and max(labels) > 1:
        raise ValueError(f"pointwise, a label is from 0 to 1, not {max(labels)}")
    return Relevance(labels, teacher if objective in (None, "margin-mse") else ())


def read_labelled_ranking(values: Mapping[str, Any]) -> dict[str, Any]:
    """A record -> `query`, `texts` and `labels` or `scores`.

    The record has `texts` and a list of `label`s or `scores`; or `positive` and `negative`, each a text or a list; or
    one `text` and its `label` (or score).
    """
    query, scores, label = values.get("query"), values.get("scores"), values.get("label")
    if "positive" in values:
        good, bad = _texts(values["positive"]), _texts(values.get("negative", []))
        if not good:
            raise ValueError("'positive' is empty: every query needs a text that answers it")
        example = {"query": query, "texts": [*good, *bad], "labels": [1.0] * len(good) + [0.0] * len(bad)}
    elif "texts" in values:
        example = {"query": query, "texts": values["texts"]}
        if label is not None:
            example["labels"] = [_number(each) for each in (label if isinstance(label, list) else [label])]
    elif "text" in values and (label is not None or scores is not None):
        example = {"query": query, "texts": [values["text"]]}
        if label is not None:
            example["labels"] = [_number(label)]
    else:
        raise ValueError(
            "a labelled ranking has a query and texts with labels (or scores), a positive and a negative, or a passage "
            f"with its label; this one has {', '.join(values)}"
        )
    if scores is not None:
        example["scores"] = [_number(each) for each in (scores if isinstance(scores, list) else [scores])]
    read_relevance(example, None)
    return example


def gathered(examples: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], int]]:
    """Merge examples of one text into one example per query, at the position of its first; others are unchanged.

    Returns:
        Each example with the index of the (first) input example that it was made of.
    """
    rankings: list[tuple[dict[str, Any], int]] = []
    of_query: dict[str, dict[str, Any]] = {}
    for number, example in enumerate(examples):
        if len(example["texts"]) > 1:
            rankings.append((example, number))
        elif example["query"] not in of_query:
            of_query[example["query"]] = {key: _copied(value) for key, value in example.items()}
            rankings.append((of_query[example["query"]], number))
        else:
            for key in ("texts", "labels", "scores"):
                of_query[example["query"]].get(key, []).extend(example.get(key, []))
    return rankings


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _texts(value: Any) -> list[Any]:
    """The texts of a cell or a list; an empty cell has none."""
    texts = list(value) if isinstance(value, (list, tuple)) else [value]
    return [text for text in texts if text is not None and str(text).strip()]


def _numbers(example: Mapping[str, Any], key: str, count: int) -> tuple[float, ...]:
    """A number for each text; none where the example has no such key."""
    numbers = example.get(key)
    if numbers is None:
        return ()
    if not isinstance(numbers, (list, tuple)) or len(numbers) != count:
        received = f"{len(numbers)} of them" if isinstance(numbers, (list, tuple)) else repr(numbers)
        raise ValueError(f"{key!r} has a number for each of the {count} texts; this has {received}")
    return tuple(map(_number, numbers))
