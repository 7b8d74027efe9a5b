"""Checks of a tokenizer's files: types of fields, classes that are not WordPiece, costs of a tokenizer.json."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from electra.text.backend import state
from electra.text.encode.call_options import NO_LIMIT, SIDES
from electra.text.special_tokens import EXTRA, EXTRA_BEFORE_V5, ROLES
from electra.validation import require

MOST_GROWTH = 100
"""Characters that a normalizer may make of one. Unicode's own forms make at most 18."""
MOST_SPECIAL_TOKENS = 1000
"""That a template may put into a row."""

_WORDPIECE = ("Bert", "Electra", "DistilBert", "MobileBert", "ConvBert", "Funnel", "LayoutLM", "Lxmert", "Splinter")
_WORDPIECE_CLASSES = {
    *(
        f"{name}Tokenizer{fast}"
        for name in (*_WORDPIECE, "SqueezeBert", "RetriBert", "MPNet", "Realm")
        for fast in ("", "Fast")
    ),
    *("PreTrainedTokenizerFast", "PreTrainedTokenizer", "TokenizersBackend", "BasicTokenizer"),
}

Check = tuple[Callable[[Any], bool], str]


def _is_token(value: Any) -> bool:
    """A non-empty string, or a description of one."""
    if isinstance(value, Mapping):
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        return _is_text(value.get("content")) and all(isinstance(value.get(flag, False), bool) for flag in flags)
    return _is_text(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_length(value: Any) -> bool:
    # transformers writes "no limit" as 1000000000000000019884624838656, and some write it as 1e30
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 1 <= value < 1e31 and value == int(value)


def _are_tokens(value: Any) -> bool:
    tokens = value.values() if isinstance(value, Mapping) else value
    return isinstance(value, (list, Mapping)) and all(map(_is_token, tokens))


def _are_added(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_id(number) and _is_token(token) for number, token in value.items())


def _is_id(text: Any) -> bool:
    return isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 10


_BOOL: Check = (lambda value: isinstance(value, bool), "true or false")
_NAMES: Check = (lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of strings")
_TOKEN: Check = (_is_token, "a token: a string that is not empty, or an object with its `content`")
_TOKENS: Check = (_are_tokens, "a list of tokens: strings that are not empty, or objects with their `content`")
_LENGTH: Check = (_is_length, "a whole number of tokens, 1 or more")
_SIDE: Check = (lambda value: value in SIDES, "'right' or 'left'")

FIELDS: dict[str, Check] = {
    "model_max_length": _LENGTH,
    "max_len": _LENGTH,
    "model_input_names": _NAMES,
    "never_split": _NAMES,
    "padding_side": _SIDE,
    "truncation_side": _SIDE,
    "tokenizer_class": (lambda value: isinstance(value, str), "a string"),
    **dict.fromkeys(("do_lower_case", "strip_accents", "tokenize_chinese_chars", "keep_accents"), _BOOL),
    **dict.fromkeys(("do_basic_tokenize", "clean_up_tokenization_spaces", "split_special_tokens"), _BOOL),
    **dict.fromkeys(ROLES, _TOKEN),
    EXTRA: _TOKENS,
    EXTRA_BEFORE_V5: _TOKENS,
    "added_tokens_decoder": (_are_added, "an object from ids (strings of digits) to tokens with their `content`"),
}
"""Fields of tokenizer_config.json and special_tokens_map.json that are read; each may be null, too."""


def check_fields(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse values of wrong types in tokenizer_config.json or special_tokens_map.json.

    Raises:
        ValueError: the message names the file and the field.
    """
    for name, value in values.items():
        if name in FIELDS and value is not None:
            holds, allowed = FIELDS[name]
            _require(path, holds(value), name, value, allowed)


def check_added_tokens(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse an added_tokens.json that is not an object from tokens to ids."""
    for token, number in values.items():
        is_id = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 10**10
        _require(path, token != "", "a token", token, "a string that is not empty")
        _require(path, is_id, token, number, "the token's id, a whole number from 0 on")


def _require(path: Path, holds: bool, name: str, value: Any, allowed: str) -> None:
    shown = repr(value)
    require(holds, f"{path}: {name}", _Shown(shown if len(shown) <= 80 else shown[:80] + "…"), allowed)


class _Shown:
    """A value that is too long for a message, abbreviated."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def refuse_other_class(name_or_path: str | Path, config: Mapping[str, Any]) -> None:
    """Refuse a vocab.txt whose words are not separated as BERT separates them.

    Raises:
        ValueError: the files name the tokenizer of another library or model.
    """
    kind = config.get("tokenizer_class")
    # of Japanese BERTs; transformers writes both fields
    if config.get("word_tokenizer_type") not in (None, "basic") or config.get("subword_tokenizer_type") == "character":
        kind = "BertJapaneseTokenizer"
    if not isinstance(kind, str) or kind in _WORDPIECE_CLASSES:
        return
    if "Japanese" in kind:
        raise ValueError(
            f"{name_or_path} has a {kind}, which separates words with MeCab or another tagger, and that is not "
            "supported; save it as a tokenizer.json, or separate the words first and pass is_split_into_words=True to "
            "ElectraTokenizer(vocab_file=…)"
        )
    raise ValueError(
        f"{name_or_path} has a {kind}, and of a vocab.txt only BERT's WordPiece is read; save it as a tokenizer.json "
        "(transformers: AutoTokenizer.from_pretrained(…).save_pretrained(…)), or, if the vocabulary is BERT's after "
        "all, use ElectraTokenizer(vocab_file=…)"
    )


def check_costs(path: Path, backend: Tokenizer) -> None:
    """Refuse a tokenizer.json that would make very long rows of short texts.

    Raises:
        ValueError: its normalizer or decoder multiplies characters, or its template has very many special tokens.
    """
    for name in ("normalizer", "decoder"):
        growth = 1.0
        for step in _steps(state(getattr(backend, name))):
            growth *= _growth(step)
        if growth > MOST_GROWTH:
            raise ValueError(
                f"{path}: {name} can make {growth:,.0f} characters of one, and at most {MOST_GROWTH} are allowed; such "
                "a file exhausts the memory. Download it again, or remove its Replace and Prepend steps"
            )
    special = backend.num_special_tokens_to_add(True)
    if special > MOST_SPECIAL_TOKENS:
        raise ValueError(
            f"{path}: post_processor puts {special:,} special tokens into a row, and at most {MOST_SPECIAL_TOKENS:,} "
            "are allowed. Download it again"
        )


def _steps(description: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The steps of a normalizer or decoder, those of sequences within it too."""
    inner = description.get("normalizers") or description.get("decoders")
    if inner is None:
        yield description
    for step in inner or ():
        yield from _steps(step)


def _growth(step: Mapping[str, Any]) -> float:
    """How many characters the step makes of one at most."""
    if step.get("type") == "Prepend":
        return 1.0 + len(step.get("prepend", "")) / 10  # once for a text, which is rarely shorter than a few words
    if step.get("type") != "Replace":
        return 1.0
    pattern, content = step["pattern"], step["content"]
    if "String" in pattern:
        return max(1.0, len(content) / max(1, len(pattern["String"])))
    try:
        may_be_empty = re.compile(pattern["Regex"]).search("") is not None
    except re.error:  # the library's expressions are not quite Python's
        may_be_empty = True
    return max(1.0, len(content) + may_be_empty)


def stated_length(*values: Any) -> int | None:
    """The first of these that is a number of tokens; not transformers' number for "no limit"."""
    for value in values:
        if value is not None and _is_length(value) and value < NO_LIMIT // 10:
            return int(value)
    return None
