"""Two texts as one row, `[CLS] first [SEP] second [SEP]`, from tokens: for tasks that pair one text with many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, ClassVar, TypeVar

from electra.batch import Row
from electra.tasks.inputs.texts import check_truncation
from electra.tasks.task import Encoded, Task, of_each
from electra.text.encode.row_encoding import kept_lengths

SPECIAL_TOKENS = 3
"""The number of special tokens in a row of two texts."""


def token_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """The ids of each text without special tokens, not truncated."""
    if not texts:
        return []
    encoding = tokenizer(
        list(texts),
        add_special_tokens=False,
        truncation=False,
        padding=False,
        return_token_type_ids=False,
        return_attention_mask=False,
        verbose=False,  # texts longer than the network are truncated or split later
    )
    ids: list[list[int]] = encoding["input_ids"]
    return ids


def join(first: Sequence[int], second: Sequence[int], tokenizer: Any) -> Row:
    """A row of two texts' tokens; token types 0 up to the first [SEP], then 1."""
    types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
    return Row([tokenizer.cls_token_id, *first, tokenizer.sep_token_id, *second, tokenizer.sep_token_id], types)


def truncate_pair(
    first: Sequence[int], second: Sequence[int], max_length: int, truncation: str, side: str = "right"
) -> tuple[Sequence[int], Sequence[int]]:
    """Truncate two texts to fit in a row of at most `max_length` tokens.

    Args:
        first: ids.
        second: ids.
        max_length: tokens of the row, including three special tokens.
        truncation: "longest_first" (the rule of the tokenizers library), "only_first" or "only_second"; any other
            value allows no truncation.
        side: the end that is removed, "left" or "right".

    Raises:
        ValueError: the texts are too long and may not be truncated, or nothing of a text would remain.
    """
    room = max_length - SPECIAL_TOKENS
    if len(first) + len(second) <= room:
        return first, second
    if truncation == "longest_first":
        lengths = kept_lengths(len(first), len(second), room)
    elif truncation == "only_first" and len(second) < room:
        lengths = room - len(second), len(second)
    elif truncation == "only_second" and len(first) < room:
        lengths = len(first), room - len(first)
    else:
        raise ValueError(
            f"the texts have {len(first)} and {len(second)} tokens, and a row has room for {room}: shorten the text "
            f"that is not to be cut, or give a larger max_length or another truncation than {truncation!r}"
        )
    return _truncated(first, lengths[0], side), _truncated(second, lengths[1], side)


def _truncated(ids: Sequence[int], count: int, side: str) -> Sequence[int]:
    return ids[len(ids) - count :] if side == "left" else ids[:count]


E = TypeVar("E", bound=Encoded)


@dataclass(frozen=True, kw_only=True)
class PairedTask(Task[E]):
    """A task that reads one text together with each of several others, every pair a sequence of its own.

    Attributes:
        truncation: for a pair longer than `max_length`: "longest_first", "only_first" and "only_second" truncate it,
            True truncates it as the task does by default, False raises an error.
    """

    usual_truncation: ClassVar[str] = "only_first"

    truncation: bool | str = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_truncation(self.truncation)

    def pair(
        self, first: Sequence[int], others: Iterable[Sequence[int]], tokenizer: Any
    ) -> tuple[tuple[Row, ...], int]:
        """A row for each of the others, and how many tokens were truncated in all rows together."""
        rule = self.usual_truncation if self.truncation is True else str(self.truncation)
        rows, lost = [], 0
        for other in others:
            truncated = truncate_pair(first, other, self.max_length, rule, tokenizer.truncation_side)
            lost += len(first) + len(other) - len(truncated[0]) - len(truncated[1])
            rows.append(join(*truncated, tokenizer))
        return tuple(rows), lost

    def pair_each(
        self, texts: Sequence[str], others: Sequence[Sequence[str]], tokenizer: Any
    ) -> list[tuple[tuple[Row, ...], int]]:
        """`pair` for each of several texts, with its own others. A pair that cannot be cut is an `ExampleError`."""
        ids = iter(token_ids(list(chain.from_iterable(others)), tokenizer))
        each = zip(token_ids(texts, tokenizer), map(len, others), strict=True)
        return of_each(lambda pair: self.pair(pair[0], islice(ids, pair[1]), tokenizer), each)
