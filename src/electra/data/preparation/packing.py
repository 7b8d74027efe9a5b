"""Documents of token ids -> training examples in which nothing is thrown away.

The law: a document of n tokens is cut into the fewest pieces that have room in `length` tokens with [CLS] and [SEP],
as equal as can be, so that none is a stub. Each piece becomes a row, `[CLS] piece [SEP]`, with positions of its own,
and rows attend to nothing outside themselves. An example is one or several rows of up to `length` tokens together: in
reading order, a row goes to the first of the open examples that has room for it (first fit). An example is closed when
nothing fits into it any more, or when too many are open: then it is the fullest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from electra.data.preparation.segments import check_length

OPEN_EXAMPLES = 64
SHORTEST_ROW = 3
"""[CLS], one token, [SEP]."""


class Packer:
    """Documents in, examples out: `[CLS] A [SEP]` or `[CLS] A [SEP] [CLS] B [SEP] …`, at most `length` ids.

    open_examples: those that another packer left open, to go on from there.
    """

    def __init__(
        self, *, length: int, cls_token_id: int, sep_token_id: int, open_examples: Sequence[Sequence[int]] = ()
    ) -> None:
        check_length(length)
        self._length = length
        self._cls, self._sep = cls_token_id, sep_token_id
        self.open_examples = [list(example) for example in open_examples]
        """What is not given out yet."""

    def add(self, document: Sequence[int]) -> Iterator[list[int]]:
        """Take one document's ids (`[tokens]`, no special ones); the examples that this completes."""
        for piece in pieces(document, self._length - 2):
            yield from self._place([self._cls, *piece, self._sep])

    def end(self) -> Iterator[list[int]]:
        """The examples that are still open."""
        yield from self.open_examples
        self.open_examples = []

    def _place(self, row: list[int]) -> Iterator[list[int]]:
        room = self._length - len(row)
        example = next((example for example in self.open_examples if len(example) <= room), None)
        if example is None:
            self.open_examples.append(row)
            example = row
        else:
            example.extend(row)
        if len(example) > self._length - SHORTEST_ROW:
            yield self._close(example)
        elif len(self.open_examples) > OPEN_EXAMPLES:
            yield self._close(max(self.open_examples, key=len))

    def _close(self, example: list[int]) -> list[int]:
        self.open_examples = [other for other in self.open_examples if other is not example]
        return example


def pieces(document: Sequence[int], longest: int) -> Iterator[Sequence[int]]:
    """The fewest runs of at most `longest` ids that make up the document, their lengths at most one apart."""
    count = -(-len(document) // longest)
    for number in range(count):
        yield document[len(document) * number // count : len(document) * (number + 1) // count]
