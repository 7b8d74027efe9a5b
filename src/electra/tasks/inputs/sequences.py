"""A text or a pair of texts as one row, cut to the network's length: for the tasks that judge a text as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from electra.batch import Row
from electra.tasks.inputs.texts import Text
from electra.tasks.task import Encoded, of_each

TRUNCATIONS = {True: "longest_first", "longest_first": "longest_first"} | {
    name: name for name in ("only_first", "only_second")
}


def check_truncation(truncation: bool | str) -> None:
    """Refuse what is no way to truncate."""
    if truncation is not False and truncation not in (*TRUNCATIONS, "do_not_truncate"):
        raise ValueError(
            f"truncation={truncation!r}: choose True, False, 'longest_first', 'only_first', 'only_second' "
            "or 'do_not_truncate'"
        )


def encode_texts(texts: Sequence[Text], tokenizer: Any, max_length: int, truncation: bool | str) -> list[Encoded]:
    """Each text as one row of at most `max_length` tokens.

    A longer one is cut as the tokenizer's `truncation` says, and `cut_tokens` counts what was lost; without truncation
    it is an `ExampleError`.
    """
    made = dict.fromkeys(range(len(texts)), Row([]))
    singles = [i for i, text in enumerate(texts) if text.pair is None]
    pairs = [i for i, text in enumerate(texts) if text.pair is not None]
    for chosen in (singles, pairs):
        made.update(zip(chosen, _whole([texts[i] for i in chosen], tokenizer), strict=True))

    def cut(i: int) -> Encoded:
        row = made[i]
        if len(row) <= max_length:
            return Encoded((row,), 0)
        if truncation not in TRUNCATIONS:
            raise ValueError(
                f"the text has {len(row)} tokens, the model reads {max_length}: shorten it, or give truncation=True"
            )
        kept = _whole([texts[i]], tokenizer, truncation=TRUNCATIONS[truncation], max_length=max_length)[0]
        if len(kept) > max_length:
            raise ValueError(f"truncation={truncation!r} leaves {len(kept)} tokens, the model reads {max_length}")
        return Encoded((kept,), len(row) - len(kept))

    return of_each(cut, range(len(texts)))


def _whole(texts: Sequence[Text], tokenizer: Any, **truncation: Any) -> list[Row]:
    """One row for each of the texts, all of them single or all of them pairs."""
    if not texts:
        return []
    pairs = [text.pair for text in texts] if texts[0].pair is not None else None
    options = {
        "truncation": False,
        "padding": False,
        "return_attention_mask": False,
        "return_token_type_ids": True,
        "verbose": False,
    }
    found = tokenizer([text.text for text in texts], pairs, **(options | truncation))
    return list(map(Row, found["input_ids"], found["token_type_ids"]))
