"""Group token labels into entities with transformers' five aggregation strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from electra.metrics.tag_schemes import OUTSIDE, OUTSIDE_PLACE, Place, begins_entity, recognise_scheme
from electra.tasks.inputs.token_offsets import Tokens

Item = TypeVar("Item")

STRATEGIES = ("none", "simple", "first", "average", "max")

Join = Callable[[list[str]], str]
"""Word pieces -> the words as text: a tokenizer's `convert_tokens_to_string`."""


@dataclass(frozen=True)
class Piece:
    """A span of text (a token or a word), the scores of its labels [K], and its predicted label."""

    word: str
    scores: np.ndarray
    start: int
    end: int
    label: int
    score: float

    @classmethod
    def judged(cls, word: str, scores: np.ndarray, start: int, end: int) -> Piece:
        """With the label that scores best."""
        label = int(scores.argmax())
        return cls(word, scores, start, end, label, float(scores[label]))


def entities(
    tokens: Tokens,
    scores: np.ndarray,
    labels: Sequence[str],
    strategy: str,
    tokenizer: Any,
    *,
    ignored: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The entities of a text: scores [tokens, K] -> dicts, without those of labels or types that are `ignored`.

    Labels may be of any tag scheme, see `electra.metrics.tag_schemes`: BIO, BIOES, BILOU, BMES, `PER-B`, `b_per`.

    `none`: a dict for each token. `simple`: neighbours of the same type are one, unless the later begins an entity.
    `first`, `average`, `max`: the same, after all tokens of a word were given the word's label: its first token's, that
    of the mean of their scores, or that of its highest-scoring token.
    """
    names = tokenizer.convert_ids_to_tokens(list(tokens.ids))
    pieces = _token_pieces(tokens, names, scores, tokenizer.unk_token_id)
    if strategy == "none":
        return [
            {
                "entity": labels[piece.label],
                "score": piece.score,
                "index": index,
                "word": piece.word,
                "start": piece.start,
                "end": piece.end,
            }
            for index, piece in enumerate(pieces, start=1)  # [CLS] is 0
            if labels[piece.label] not in ignored
        ]
    join: Join = tokenizer.convert_tokens_to_string
    if strategy != "simple":
        pieces = [_word(word, strategy, join) for word in _groups(pieces, lambda i: not names[i].startswith("##"))]
    meaning = _meaning(labels)
    places = [meaning[piece.label] for piece in pieces]
    begins = begins_entity(places)
    groups = _groups(
        list(zip(pieces, places, strict=True)), lambda i: begins[i] or places[i].type != places[i - 1].type
    )
    return [
        _entity([piece for piece, _ in run], group, join)
        for run in groups
        if (group := run[0][1].type or OUTSIDE) not in ignored or (run[0][1].type and group == OUTSIDE)
    ]


def _token_pieces(tokens: Tokens, names: Sequence[str], scores: np.ndarray, unknown: int) -> list[Piece]:
    best = scores.argmax(-1)
    values = scores[np.arange(len(best)), best].tolist()
    return [
        Piece(tokens.text[start:end] if token == unknown else name, row, start, end, label, score)
        for token, name, (start, end), row, label, score in zip(
            tokens.ids, names, tokens.spans, scores, best.tolist(), values, strict=True
        )
    ]


def _groups(pieces: Sequence[Item], begins: Callable[[int], bool]) -> list[list[Item]]:
    """Split a sequence before every piece that begins a group; the first piece always does."""
    count = 0
    numbers = []
    for i in range(len(pieces)):
        count += i == 0 or begins(i)
        numbers.append(count)
    pairs = zip(numbers, pieces, strict=True)
    return [[piece for _, piece in run] for _, run in groupby(pairs, key=lambda pair: pair[0])]


def _word(pieces: Sequence[Piece], strategy: str, join: Join) -> Piece:
    """The tokens of a word as one piece."""
    if strategy == "first":
        scores = pieces[0].scores
    elif strategy == "max":
        scores = max(pieces, key=lambda piece: piece.score).scores
    else:
        scores = np.mean([piece.scores for piece in pieces], axis=0)
    return Piece.judged(join([piece.word for piece in pieces]), scores, pieces[0].start, pieces[-1].end)


def _meaning(labels: Sequence[str]) -> list[Place]:
    """What each label means; without a tag scheme every label is its own type, as in transformers."""
    scheme = recognise_scheme(labels)
    if scheme is not None:
        return scheme.read(labels)
    return [_place(label) for label in labels]


def _place(label: str) -> Place:
    """B-PER -> B, PER; a label without such a prefix continues its own kind."""
    if label == OUTSIDE:
        return OUTSIDE_PLACE
    if label[:2] in ("B-", "I-"):
        return Place(label[0], label[2:])
    return Place("I", label)


def _entity(pieces: Sequence[Piece], group: str, join: Join) -> dict[str, Any]:
    return {
        "entity_group": group,
        "score": float(np.mean([piece.score for piece in pieces])),
        "word": join([piece.word for piece in pieces]),
        "start": pieces[0].start,
        "end": pieces[-1].end,
    }
