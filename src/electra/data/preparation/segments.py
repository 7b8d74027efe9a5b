"""Documents of token ids -> training examples of one or two segments, by the algorithm of Google's ExampleBuilder.

The algorithm (google-research/electra, build_pretraining_dataset.py): sentences (lines) are collected until they reach
a target length, or the document ends. One example in ten has a single segment; in the others the first segment takes
sentences up to about half the target, and may exceed it once, with probability one half. What does not fit is
discarded. One target in twenty is sampled from 5 to the full length, the others are the full length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random

SEGMENTS = ("faithful", "packed")
"""How examples are made of documents: by the algorithm here, or by the one of module `packing`."""

SHORTEST_LENGTH = 5
"""Tokens of the shortest target, and therefore the smallest length that is allowed."""

ONE_SEGMENT_PROBABILITY = 0.1
CROSSING_PROBABILITY = 0.5
SHORT_TARGET_PROBABILITY = 0.05


class ExampleBuilder:
    """Sentences in, examples out: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, at most `length` ids, not padded.

    The calls on `random` are those of Google's code in the same order, so that equal seeds give equal examples.

    Args:
        length: the largest number of ids in an example.
        cls_token_id: the id of [CLS].
        sep_token_id: the id of [SEP].
        random: the source of all random decisions.

    Raises:
        ValueError: `length` is below 5.
    """

    def __init__(self, *, length: int, cls_token_id: int, sep_token_id: int, random: Random) -> None:
        check_length(length)
        self._length = length
        self._cls, self._sep = cls_token_id, sep_token_id
        self._random = random
        self._sentences: list[Sequence[int]] = []
        self._tokens = 0
        self._target = length

    def add(self, sentence: Sequence[int]) -> list[int] | None:
        """Add the next sentence (`[tokens]` ids, without special tokens). Returns an example if this completes one."""
        self._sentences.append(sentence)
        self._tokens += len(sentence)
        return self._example() if self._tokens >= self._target else None

    def end_document(self) -> list[int] | None:
        """Return an example of the remaining sentences, if there are any: no example holds text of two documents."""
        return self._example() if self._tokens else None

    def sample_target(self) -> None:
        """Sample the number of tokens at which the next example is complete."""
        short = self._random.random() < SHORT_TARGET_PROBABILITY
        self._target = self._random.randint(SHORTEST_LENGTH, self._length) if short else self._length

    def _example(self) -> list[int]:
        first, second = self._segments()
        first = first[: self._length - 2]
        second = second[: max(0, self._length - len(first) - 3)]
        self._sentences, self._tokens = [], 0
        self.sample_target()
        return [self._cls, *first, self._sep, *second, self._sep] if second else [self._cls, *first, self._sep]

    def _segments(self) -> tuple[list[int], list[int]]:
        one_segment = self._random.random() < ONE_SEGMENT_PROBABILITY
        half = 100_000 if one_segment else (self._target - 3) // 2  # as in Google's code, a large number means no limit
        first: list[int] = []
        second: list[int] = []
        for sentence in self._sentences:
            if not first or len(first) + len(sentence) < half or self._crosses(first, second, half):
                first.extend(sentence)
            else:
                second.extend(sentence)
        return first, second

    def _crosses(self, first: list[int], second: list[int], half: int) -> bool:
        """Whether a sentence joins the first segment although that then exceeds half of the target."""
        return not second and len(first) < half and self._random.random() < CROSSING_PROBABILITY


def examples_of(
    sentences: Iterable[Sequence[int]], *, length: int, cls_token_id: int, sep_token_id: int, seed: int, document: int
) -> Iterator[list[int]]:
    """The examples of one document, a function of its ids and of (`seed`, `document`) alone.

    Google's code carries the state of its random numbers and the target length from one document to the next. Here
    every document has its own random numbers, so that its examples can be made again without the other documents.

    Args:
        sentences: ids of each line, without special tokens.
        length: the largest number of ids in an example.
        cls_token_id: the id of [CLS].
        sep_token_id: the id of [SEP].
        seed: of the run.
        document: the document's number.

    Raises:
        ValueError: `length` is below 5.
    """
    builder = ExampleBuilder(
        length=length,
        cls_token_id=cls_token_id,
        sep_token_id=sep_token_id,
        random=Random(seed << 64 | document),
    )
    builder.sample_target()
    for sentence in sentences:
        if (example := builder.add(sentence)) is not None:
            yield example
    if (example := builder.end_document()) is not None:
        yield example


def check_length(length: int) -> None:
    """Raise ValueError for a length that is too short for an example."""
    if length < SHORTEST_LENGTH:
        raise ValueError(f"length={length}: an example needs room for {SHORTEST_LENGTH} tokens or more (128 is usual)")
