"""BERT's text pipeline as a `tokenizers.Tokenizer`: build it, and recognise it in one that was loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

CONTINUATION = "##"
"""What a piece within a word begins with."""
LONGEST_WORD_CHARACTERS = 100
"""A longer word is one unknown token; transformers' limit, Google's is 200."""


@dataclass(frozen=True)
class Casing:
    """How text is normalized before its words are looked up.

    Attributes:
        lowercase: upper case becomes lower case.
        strip_accents: é becomes e; None means "if lowercasing", which is what BERT does.
        chinese_chars: every CJK ideograph is a word of its own.
        compose_accents: e followed by a combining accent becomes é first (Unicode NFC). BERT does not do it, and a
            cased vocabulary then knows only one of the two spellings.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    chinese_chars: bool = True
    compose_accents: bool = False

    @property
    def effective(self) -> Casing:
        """The same with `strip_accents` True or False."""
        return replace(self, strip_accents=self.lowercase if self.strip_accents is None else self.strip_accents)


def build_backend(vocabulary: Mapping[str, int], casing: Casing, unk_token: str) -> Tokenizer:
    """A WordPiece tokenizer over `vocabulary` (token -> id), without special tokens and without a template."""
    backend = Tokenizer(
        WordPiece(dict(vocabulary), unk_token=unk_token, max_input_chars_per_word=LONGEST_WORD_CHARACTERS)
    )
    backend.normalizer = build_normalizer(casing)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix=CONTINUATION)
    return backend


def build_normalizer(casing: Casing) -> Any:
    """BERT's normalizer with this casing, after NFC if it composes accents."""
    bert = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=casing.chinese_chars,
        strip_accents=casing.strip_accents,
        lowercase=casing.lowercase,
    )
    return normalizers.Sequence([normalizers.NFC(), bert]) if casing.compose_accents else bert


def set_template(backend: Tokenizer, cls_token: str | None, sep_token: str | None) -> None:
    """`[CLS] A [SEP]`, and `B [SEP]` of token type 1 for a pair; a token that is None is left out."""
    first = [f"{cls_token}:0"] if cls_token else []
    end, second_end = ([f"{sep_token}:0"], [f"{sep_token}:1"]) if sep_token else ([], [])
    single = [*first, "$A:0", *end]
    names = [name for name in (cls_token, sep_token) if name]
    backend.post_processor = processors.TemplateProcessing(
        single=single,
        pair=[*single, "$B:1", *second_end],
        special_tokens=[(name, backend.token_to_id(name)) for name in dict.fromkeys(names)],
    )


def state(part: Any) -> dict[str, Any]:
    """The JSON description of a normalizer, pre-tokenizer or model; {} for None."""
    return {} if part is None else dict(json.loads(part.__getstate__()))


def casing_of(backend: Tokenizer) -> Casing | None:
    """The casing that a tokenizer applies, or None when its normalizer is not one that `build_normalizer` makes."""
    description = state(backend.normalizer)
    steps = description.get("normalizers", [description])
    compose = len(steps) == 2 and steps[0].get("type") == "NFC"
    bert = steps[-1]
    if len(steps) != 1 + compose or bert.get("type") != "BertNormalizer" or not bert["clean_text"]:
        return None
    return Casing(bert["lowercase"], bert["strip_accents"], bert["handle_chinese_chars"], compose)


def change_casing(backend: Tokenizer, **changes: bool | None) -> None:
    """Set fields of the casing of a loaded tokenizer; None leaves a field as it is.

    Raises:
        ValueError: its normalizer is not BERT's and has no such fields.
    """
    wanted = {name: value for name, value in changes.items() if value is not None}
    if not wanted:
        return
    casing = casing_of(backend)
    if casing is None:
        raise ValueError(
            f"{', '.join(wanted)} cannot be set: this tokenizer normalizes text in its own way "
            f"({state(backend.normalizer).get('type', 'not at all')}, not BERT's); leave them out to use it as it is"
        )
    backend.normalizer = build_normalizer(replace(casing, **wanted))


def is_stock(backend: Tokenizer) -> bool:
    """Whether other libraries can rebuild this tokenizer from its vocabulary and BERT's three flags."""
    casing = casing_of(backend)
    if casing is None or casing.compose_accents or not isinstance(backend.model, WordPiece):
        return False
    if state(backend.pre_tokenizer) != {"type": "BertPreTokenizer"}:
        return False
    model = backend.model
    return (model.continuing_subword_prefix, model.max_input_chars_per_word) == (CONTINUATION, LONGEST_WORD_CHARACTERS)


def fingerprint(backend: Tokenizer, special_tokens: Mapping[str, str]) -> str:
    """SHA-256, in hex, of everything that decides which ids a text gets."""
    description = json.loads(backend.to_str())
    deciding = {name: description[name] for name in ("added_tokens", "normalizer", "pre_tokenizer", "post_processor")}
    deciding["model"] = description["model"]
    deciding["special_tokens"] = dict(special_tokens)
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


@contextmanager
def no_panics(doing: str) -> Iterator[None]:
    """Raise a panic of the Rust library as a ValueError: it is a BaseException, which `except Exception` misses."""
    try:
        yield
    except BaseException as error:
        if not is_panic(error):
            raise
        raise ValueError(f"the tokenizers library failed while {doing}: {error}") from error


def is_panic(error: BaseException) -> bool:
    """Whether it is a panic of the Rust library."""
    return type(error).__name__ == "PanicException"
