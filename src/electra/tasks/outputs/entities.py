"""From a label for every token to entities: transformers' five aggregation strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from electra.tasks.inputs.token_offsets import Tokens

STRATEGIES = ("none", "simple", "first", "average", "max")

Join = Callable[[list[str]], str]
"""Word pieces -> the words as text: a tokenizer's `convert_tokens_to_string`."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text (a token, or a word's tokens), the scores of its labels [K], and the label it is given."""

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
    tokens: Tokens, scores: np.ndarray, labels: Sequence[str], strategy: str, tokenizer: Any
) -> list[dict[str, Any]]:
    """What is found in a text: scores [tokens, K] -> dicts, those of every label.

    `none`: a dict for each token. `simple`: neighbours of the same kind are one, unless the later begins with B-.
    `first`, `average`, `max`: the same, after all tokens of a word were given the word's label: its first token's, that
    of the mean of their scores, or that of its surest token.
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
        ]
    join: Join = tokenizer.convert_tokens_to_string
    if strategy != "simple":
        pieces = [_word(word, strategy, join) for word in _runs(pieces, lambda i: not names[i].startswith("##"))]
    kinds = [_prefix_and_kind(labels[piece.label]) for piece in pieces]
    runs = _runs(pieces, lambda i: kinds[i][0] == "B" or kinds[i][1] != kinds[i - 1][1])
    return [_entity(run, labels, join) for run in runs]


def _token_pieces(tokens: Tokens, names: Sequence[str], scores: np.ndarray, unknown: int) -> list[Piece]:
    best = scores.argmax(-1)
    values = scores[np.arange(len(best)), best].tolist()
    return [
        Piece(tokens.text[start:end] if token == unknown else name, row, start, end, label, score)
        for token, name, (start, end), row, label, score in zip(
            tokens.ids, names, tokens.spans, scores, best.tolist(), values, strict=True
        )
    ]


def _runs(pieces: Sequence[Piece], begins: Callable[[int], bool]) -> list[list[Piece]]:
    """Cut a sequence before every piece that begins something; the first one does in any case."""
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


def _prefix_and_kind(label: str) -> tuple[str, str]:
    """B-PER -> B, PER; a label without such a prefix continues its own kind."""
    if label[:2] in ("B-", "I-"):
        return label[0], label[2:]
    return "I", label


def _entity(pieces: Sequence[Piece], labels: Sequence[str], join: Join) -> dict[str, Any]:
    return {
        "entity_group": labels[pieces[0].label].split("-", 1)[-1],
        "score": float(np.mean([piece.score for piece in pieces])),
        "word": join([piece.word for piece in pieces]),
        "start": pieces[0].start,
        "end": pieces[-1].end,
    }


def without(found: Iterable[dict[str, Any]], ignored: Sequence[str]) -> list[dict[str, Any]]:
    """Leave out the entities of some labels."""
    return [e for e in found if e.get("entity") not in ignored and e.get("entity_group") not in ignored]
