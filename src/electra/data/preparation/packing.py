"""Documents of token ids -> training examples, packed so that no token is discarded.

The algorithm: a document of n tokens is cut into the fewest pieces that fit in `length` tokens with [CLS] and [SEP],
of nearly equal length, so that none is very short. Each piece becomes a row, `[CLS] piece [SEP]`, with its own
positions, and attention stays within a row. An example is one or several rows of up to `length` tokens together: in
reading order, a row goes to the first of the open examples that has room for it (first fit). An example is closed when
nothing fits into it any more; when too many are open, the fullest one is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from electra.data.preparation.segments import check_length

OPEN_EXAMPLES = 64
SHORTEST_ROW = 3
"""[CLS], one token, [SEP]."""


class Packer:
    """Documents in, examples out: `[CLS] A [SEP]` or `[CLS] A [SEP] [CLS] B [SEP] …`, at most `length` ids.

    Args:
        length: the largest number of ids in an example.
        cls_token_id: the id of [CLS].
        sep_token_id: the id of [SEP].
        open_examples: the open examples of an interrupted packer, to resume from.
    """

    def __init__(
        self, *, length: int, cls_token_id: int, sep_token_id: int, open_examples: Sequence[Sequence[int]] = ()
    ) -> None:
        check_length(length)
        self._length = length
        self._cls, self._sep = cls_token_id, sep_token_id
        self.open_examples = [list(example) for example in open_examples]
        """Examples that still have room."""

    def add(self, document: Sequence[int]) -> Iterator[list[int]]:
        """Add one document's ids (`[tokens]`, without special tokens) and yield the examples that this completes."""
        for piece in pieces(document, self._length - 2):
            yield from self._place([self._cls, *piece, self._sep])

    def end(self) -> Iterator[list[int]]:
        """Yield the examples that are still open."""
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
    """Split a document into the fewest pieces of at most `longest` ids; their lengths differ by at most one."""
    count = -(-len(document) // longest)
    for number in range(count):
        yield document[len(document) * number // count : len(document) * (number + 1) // count]
