"""Keywords of tokenizers of other versions and models, as keywords of ElectraTokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from electra.validation import did_you_mean, require

_OLDER = ("max_len", "keep_accents", "never_split", "do_basic_tokenize")


def older_keywords(older: Mapping[str, Any], known: Iterable[str]) -> tuple[list[str], dict[str, Any]]:
    """The tokens that are never split, and other keywords under the names of ElectraTokenizer.

    Args:
        older: `max_len`, `keep_accents`, `never_split`, `do_basic_tokenize`; None says nothing.
        known: the names of ElectraTokenizer's keywords.

    Raises:
        TypeError: another keyword.
        ValueError: a value that is not allowed.
    """
    for name in older:
        if name not in _OLDER:
            nearest = did_you_mean(name, [one for one in known if one not in ("self", "older")])
            raise TypeError(f"ElectraTokenizer() got an unexpected keyword argument {name!r}{nearest}")
    renamed: dict[str, Any] = {}
    if older.get("max_len") is not None:
        renamed["model_max_length"] = older["max_len"]
    keep_accents = older.get("keep_accents")
    if keep_accents is not None:
        require(isinstance(keep_accents, bool), "keep_accents", keep_accents, "True or False")
        renamed["strip_accents"] = not keep_accents
    require(
        older.get("do_basic_tokenize") in (None, True),
        "do_basic_tokenize",
        older.get("do_basic_tokenize"),
        "True",
        "to separate words yourself, pass lists of them with is_split_into_words=True",
    )
    never_split = older.get("never_split")
    is_list = isinstance(never_split, (list, tuple, set, frozenset)) and all(
        isinstance(token, str) and token for token in never_split
    )
    require(never_split is None or is_list, "never_split", never_split, "a list of tokens")
    return sorted(never_split or ()), renamed
