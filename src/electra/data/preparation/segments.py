"""Documents of token ids -> training examples of one or two segments, by the law of Google's ExampleBuilder.

The law (google-research/electra, build_pretraining_dataset.py): sentences (lines) are collected until they reach a
target length, or the document ends. One example in ten has a single segment; in the others the first segment takes
sentences up to about half the target, and may go over it once, by the throw of a coin. What does not fit is thrown
away. One target in twenty is drawn from 5 to the full length, the others are the full length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random

SEGMENTS = ("faithful", "packed")
"""Ways to make examples of documents: by the law here, or by the one of module `packing`."""

SHORTEST_LENGTH = 5
"""Tokens; the shortest target, and therefore the shortest length that a builder takes."""

ONE_SEGMENT_PROBABILITY = 0.1
CROSSING_PROBABILITY = 0.5
SHORT_TARGET_PROBABILITY = 0.05


class ExampleBuilder:
    """Sentences in, examples out: `[CLS] A [SEP]` or `[CLS] A [SEP] B [SEP]`, at most `length` ids, not padded.

    The calls on `random` are those of the original, in its order, so that equal seeds give equal examples.
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
        """Take the next sentence (`[tokens]` ids, no special ones); an example if this completes one."""
        self._sentences.append(sentence)
        self._tokens += len(sentence)
        return self._example() if self._tokens >= self._target else None

    def end_document(self) -> list[int] | None:
        """Make an example of what is left, if anything is: no example holds text of two documents."""
        return self._example() if self._tokens else None

    def draw_target(self) -> None:
        """Draw the number of tokens at which the next example is complete."""
        short = self._random.random() < SHORT_TARGET_PROBABILITY
        self._target = self._random.randint(SHORTEST_LENGTH, self._length) if short else self._length

    def _example(self) -> list[int]:
        first, second = self._segments()
        first = first[: self._length - 2]
        second = second[: max(0, self._length - len(first) - 3)]
        self._sentences, self._tokens = [], 0
        self.draw_target()
        return [self._cls, *first, self._sep, *second, self._sep] if second else [self._cls, *first, self._sep]

    def _segments(self) -> tuple[list[int], list[int]]:
        one_segment = self._random.random() < ONE_SEGMENT_PROBABILITY
        half = 100_000 if one_segment else (self._target - 3) // 2  # as the original: "no limit" is a large number
        first: list[int] = []
        second: list[int] = []
        for sentence in self._sentences:
            if not first or len(first) + len(sentence) < half or self._crosses(first, second, half):
                first.extend(sentence)
            else:
                second.extend(sentence)
        return first, second

    def _crosses(self, first: list[int], second: list[int], half: int) -> bool:
        """Whether a sentence that carries the first segment over its share joins it all the same."""
        return not second and len(first) < half and self._random.random() < CROSSING_PROBABILITY


def examples_of(
    sentences: Iterable[Sequence[int]], *, length: int, cls_token_id: int, sep_token_id: int, seed: int, document: int
) -> Iterator[list[int]]:
    """The examples of one document, a function of its ids and of (`seed`, `document` number) alone.

    The original carries its random numbers, and the target length, from one document to the next; here every document
    draws its own (the first target too), so that any of them can be made again without the others.
    """
    builder = ExampleBuilder(
        length=length,
        cls_token_id=cls_token_id,
        sep_token_id=sep_token_id,
        random=Random(seed << 64 | document),
    )
    builder.draw_target()
    for sentence in sentences:
        if (example := builder.add(sentence)) is not None:
            yield example
    if (example := builder.end_document()) is not None:
        yield example


def check_length(length: int) -> None:
    """Refuse a length too short for an example."""
    if length < SHORTEST_LENGTH:
        raise ValueError(f"length={length}: an example needs room for {SHORTEST_LENGTH} tokens or more (128 is usual)")
