"""Tokens of a text with their character offsets, in windows: for tasks with an output for every token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from electra.batch import Row
from electra.tasks.inputs.sliding_windows import Window, windows
from electra.tasks.inputs.texts import Words
from electra.tasks.task import Encoded


@dataclass(frozen=True)
class Tokens:
    """The tokens of one text, without [CLS] and [SEP].

    `spans` are the characters of `text` that each token was made of; `words` says which word each token belongs to
    (None where that was not asked for).
    """

    text: str
    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    words: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class EncodedTokens(Encoded):
    """A text in one row, or in several overlapping ones if it is longer than the network."""

    tokens: Tokens
    windows: tuple[Window, ...]

    def merge(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        """Outputs `[row's tokens, …]` of every row, [CLS] and [SEP] included -> `[text's tokens, …]`."""
        owned = [
            output[1 + window.first - window.start : 1 + window.last - window.start]
            for output, window in zip(outputs, self.windows, strict=True)
        ]
        return np.concatenate(owned)


def tokenize(texts: Sequence[str], tokenizer: Any, *, with_words: bool = False) -> list[Tokens]:
    """The tokens of each text, however long; with words as the tokenizer splits a text."""
    if not texts:
        return []
    encoding = tokenizer(list(texts), **_TOKENS_ALONE)
    each = enumerate(zip(texts, encoding["input_ids"], encoding["offset_mapping"], strict=True))
    return [
        Tokens(text, tuple(ids), tuple(map(tuple, spans)), _words(encoding, i) if with_words else None)
        for i, (text, ids, spans) in each
    ]


def _words(encoding: Any, text: int) -> tuple[int, ...]:
    """The number of each token's word; a token outside of words counts as a word."""
    numbers: list[int] = []
    last: int | None = None
    for word in encoding.word_ids(text):
        begins = word is None or word != last
        numbers.append((numbers[-1] + 1 if numbers else 0) if begins else numbers[-1])
        last = word
    return tuple(numbers)


def tokenize_words(texts: Sequence[Words], tokenizer: Any) -> list[Tokens]:
    """The tokens of texts given as words; spans count characters of the joined text."""
    if not texts:
        return []
    encoding = tokenizer([list(text.words) for text in texts], is_split_into_words=True, **_TOKENS_ALONE)
    made = []
    for i, text in enumerate(texts):
        words = tuple(encoding.word_ids(i))
        spans = zip(encoding["offset_mapping"][i], words, strict=True)
        moved = tuple((start + text.starts[w], stop + text.starts[w]) for (start, stop), w in spans)
        made.append(Tokens(text.text, tuple(encoding["input_ids"][i]), moved, words))
    return made


def in_windows(tokens: Tokens, tokenizer: Any, max_length: int, overlap: int | None = None) -> EncodedTokens:
    """Rows of at most `max_length` tokens, each between [CLS] and [SEP]."""
    spans = windows(len(tokens), max_length - 2, overlap)
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    rows = tuple(Row([first, *tokens.ids[window.start : window.stop], last]) for window in spans)
    return EncodedTokens(rows, 0, tokens, spans)


_TOKENS_ALONE = {
    "add_special_tokens": False,
    "truncation": False,
    "padding": False,
    "return_offsets_mapping": True,
    "return_token_type_ids": False,
    "return_attention_mask": False,
    "verbose": False,  # longer texts are split into windows
}
