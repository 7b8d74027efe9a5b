"""Token ids back to text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from electra.text.backend import no_panics
from electra.text.encode.batch_encoding import plain

# pairs of a spelling with a space too many and the one without
_CLEAN = {f" {mark}": mark for mark in (".", "?", "!", ",")}
_CLEAN |= {" ' ": "'"} | {f" {ending}": ending for ending in ("n't", "'m", "'s", "'ve", "'re")}


def decode_ids(backend: Tokenizer, token_ids: Any, *, skip_special_tokens: bool, clean_up: bool) -> Any:
    """The text of an id or a row of ids; a list of texts for a batch.

    Args:
        backend: the `tokenizers.Tokenizer`.
        token_ids: lists, arrays or tensors of ids, or a mapping with `input_ids`. Ids beyond the vocabulary are left
            out.
        skip_special_tokens: leave special tokens out.
        clean_up: remove spaces before punctuation.

    Raises:
        ValueError: something is no id.
    """
    ids = plain(token_ids["input_ids"] if isinstance(token_ids, Mapping) else token_ids)
    if isinstance(ids, list) and ids and isinstance(ids[0], list):
        return [decode_ids(backend, row, skip_special_tokens=skip_special_tokens, clean_up=clean_up) for row in ids]
    row = ids if isinstance(ids, list) else [ids]
    wrong = [number for number in row if not isinstance(number, int) or number < 0]
    if wrong:
        last = backend.get_vocab_size(with_added_tokens=True) - 1
        raise ValueError(f"{wrong[0]!r} is not a token id: it must be a whole number from 0 to {last}")
    with no_panics("decoding"):
        text = backend.decode(row, skip_special_tokens=skip_special_tokens)
    return clean_up_text(text) if clean_up else text


def clean_up_text(text: str) -> str:
    """A text without the spaces before punctuation and English contractions."""
    for spaced, tight in _CLEAN.items():
        text = text.replace(spaced, tight)
    return text
