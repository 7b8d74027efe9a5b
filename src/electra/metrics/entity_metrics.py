"""Metrics of named entities and other spans of words, from tags such as O, B-PER and I-PER, by seqeval."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import eq
from typing import Any, ClassVar, Self

import numpy as np

from electra.metrics.bootstrap_counts import f1, ratio
from electra.metrics.tag_schemes import OUTSIDE as OUTSIDE
from electra.metrics.tag_schemes import Place, TagScheme, begins_entity
from electra.metrics.task_metrics import REPORT_NAMES, Outcomes, as_floats
from electra.validation import import_extra

IOB2_PREFIXES = {"B", "I", "O"}
BIOES_PREFIXES = {*IOB2_PREFIXES, "E", "S"}


@dataclass(frozen=True)
class EntityOutcomes(Outcomes):
    """Entities, from tags such as O, B-PER and I-PER for each word of each example."""

    main: ClassVar[str] = "f1"
    confusion_note: ClassVar[str] = (
        "rows: the expected type of an entity, columns: the type predicted for exactly its words; O: no entity of them"
    )

    predicted: Sequence[Sequence[str]]
    expected: Sequence[Sequence[str]]

    @classmethod
    def of_scheme(
        cls, predicted: Sequence[Sequence[str]], expected: Sequence[Sequence[str]], scheme: TagScheme
    ) -> Self:
        """Outcomes of tags in any scheme, which are brought into the spelling of IOB2 or BIOES.

        In IOB1, and in schemes without beginnings, an entity begins with an inside tag: where expected tags do so, the
        tags of both sides become IOB2, as strict counts ask for beginnings.
        """
        sides = predicted, expected
        if not scheme.has_ends and any(map(_begins_inside, map(scheme.read, expected))):
            return cls(*([scheme.to_iob2(tags) for tags in side] for side in sides))
        return cls(*([scheme.canonical(tags) for tags in side] for side in sides))

    def __len__(self) -> int:
        return len(self.expected)

    def scores(self, indices: np.ndarray | None = None) -> dict[str, float]:
        """F1, precision and recall of whole entities, F1 as conlleval counts, and the accuracy of the tags.

        The first three are strict: an entity begins with B-, and in BIOES ends with E- or is an S-.
        conlleval also starts one at an I- that does not continue an entity of its type. Tags of other schemes are
        counted as conlleval does.
        """
        metrics = _seqeval("metrics")
        picked = range(len(self)) if indices is None else indices
        expected, predicted = ([list(tags[i]) for i in picked] for tags in (self.expected, self.predicted))
        scores = {
            name: getattr(metrics, f"{name}_score")(expected, predicted, zero_division=0, **self._strictness())
            for name in ("f1", "precision", "recall")
        }
        scores["conlleval_f1"] = metrics.f1_score(expected, predicted, zero_division=0)
        return as_floats({**scores, "accuracy": metrics.accuracy_score(expected, predicted)})

    def _strictness(self) -> dict[str, Any]:
        """seqeval's arguments: strict counting, where the tags are of the schemes IOB2 or BIOES."""
        prefixes = {tag[:1] for tags in chain(self.predicted, self.expected) for tag in tags}
        if prefixes <= IOB2_PREFIXES:
            return {"mode": "strict", "scheme": _seqeval("scheme").IOB2}
        return {"mode": "strict", "scheme": _seqeval("scheme").IOBES} if prefixes <= BIOES_PREFIXES else {}

    def resampled(self, resamples: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """From the counts of entities of each example, strictly and as conlleval counts, and of its correct tags."""
        strict = self._strictness().get("scheme")
        rows = []
        for expected, predicted in zip(self.expected, self.predicted, strict=True):
            entities = [*_entity_counts(expected, predicted, strict), *_entity_counts(expected, predicted, None)]
            rows.append([*entities, sum(map(eq, expected, predicted)), len(expected)])
        by_example = np.array(rows)
        counts = np.stack([by_example[indices].sum(0) for indices in resamples])
        true_positives, of_predicted, of_expected, *loose, correct_tags, tags = counts.T
        return {
            "f1": f1(true_positives, of_predicted, of_expected),
            "precision": ratio(true_positives, of_predicted),
            "recall": ratio(true_positives, of_expected),
            "conlleval_f1": f1(*loose),
            "accuracy": ratio(correct_tags, tags),
        }

    def correctness(self) -> np.ndarray:
        """Whether all tags of an example are correct."""
        return np.array([list(a) == list(b) for a, b in zip(self.predicted, self.expected, strict=True)], dtype=float)

    def bounds(self, name: str) -> tuple[float, float]:
        return 0.0, 1.0

    def by_class(self) -> dict[str, dict[str, float]]:
        metrics = _seqeval("metrics")
        expected, predicted = ([list(tags) for tags in side] for side in (self.expected, self.predicted))
        report = metrics.classification_report(
            expected, predicted, output_dict=True, zero_division=0, **self._strictness()
        )
        return {
            label: as_floats({REPORT_NAMES[name]: value for name, value in row.items()})
            for label, row in report.items()
            if not label.endswith(" avg")
        }

    def confusion_matrix(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Of the types of entities, counted as in `by_class`; O: no entity of exactly these words: int [K, K]."""
        scheme = self._strictness().get("scheme")
        pairs: list[tuple[str, str]] = []
        for each in zip(self.expected, self.predicted, strict=True):
            of_expected, of_predicted = (
                {(start, end): name for name, start, end in _entities(list(tags), scheme)} for tags in each
            )
            spans = sorted({*of_expected, *of_predicted})
            pairs += [(of_expected.get(span, OUTSIDE), of_predicted.get(span, OUTSIDE)) for span in spans]
        types = [OUTSIDE, *sorted({name for pair in pairs for name in pair} - {OUTSIDE})]
        counts = np.zeros((len(types), len(types)), dtype=int)
        for expected, predicted in pairs:
            counts[types.index(expected), types.index(predicted)] += 1
        return tuple(types), counts


def _begins_inside(places: Sequence[Place]) -> bool:
    """Whether an entity begins with an inside tag."""
    return any(begins and place.letter == "I" for place, begins in zip(places, begins_entity(places), strict=True))


def _entity_counts(expected: Sequence[str], predicted: Sequence[str], scheme: Any) -> tuple[int, int, int]:
    """Of one example: true positives, predicted entities, expected entities."""
    of_expected, of_predicted = (_entities(list(tags), scheme) for tags in (expected, predicted))
    return len(of_expected & of_predicted), len(of_predicted), len(of_expected)


def _entities(tags: list[str], scheme: Any) -> set[Any]:
    """(type, start, end) of each entity; scheme: None: as conlleval counts."""
    if scheme is None:
        return set(entities(tags))
    found = _seqeval("scheme").Entities([tags], scheme)
    return {(entity.tag, entity.start, entity.end) for entity in found.entities[0]}


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first word, last word) of each entity, as conlleval reads tags."""
    found: list[tuple[str, int, int]] = _seqeval("metrics.sequence_labeling").get_entities(list(tags))
    return found


def _seqeval(module: str) -> Any:
    return import_extra(f"seqeval.{module}", "train", "scoring")
