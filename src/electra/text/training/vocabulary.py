"""Vocabularies: train one from text, or read a vocab.txt."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import normalizers, pre_tokenizers

from electra.text.backend import Casing, build_backend, build_normalizer
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocab_file import SPECIAL_TOKENS, describe, infer_casing, read_tokens
from electra.text.wordpiece_training import Learning, learn_tokens

logger = logging.getLogger("electra")


def read_vocabulary(
    path: str | Path,
    *,
    lowercase: bool | None = None,
    strip_accents: bool | None = None,
    chinese_chars: bool = True,
    model_max_length: int | None = None,
) -> ElectraTokenizer:
    """The tokenizer of a vocab.txt.

    Casing that is not given is inferred from the vocabulary, and logged. Raises ValueError, naming the file and the
    line or the tokens, for a file that is empty, not UTF-8, has an empty line or a token twice, or lacks one of
    [PAD], [UNK], [CLS], [SEP], [MASK].
    """
    tokens = read_tokens(path)
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing:
        raise ValueError(f"{path}: the vocabulary has no {', '.join(missing)}; add a line for each")
    casing = infer_casing(tokens)
    if lowercase is None:
        logger.info("%s: the vocabulary looks %s", path, describe(casing))
        lowercase, strip_accents = casing.lowercase, casing.strip_accents if strip_accents is None else strip_accents
    return ElectraTokenizer(
        tokens,
        do_lower_case=lowercase,
        strip_accents=strip_accents,
        tokenize_chinese_chars=chinese_chars,
        model_max_length=model_max_length,
    )


def train_vocabulary(
    texts: Iterable[str],
    *,
    size: int,
    lowercase: bool = True,
    strip_accents: bool | None = None,
    chinese_chars: bool = True,
    compose_accents: bool = False,
    min_frequency: int = 2,
    max_characters: int | None = None,
    model_max_length: int | None = None,
    progress: bool = False,
    unicode_form: str | None = None,
    split_digits: bool = False,
) -> ElectraTokenizer:
    """Learn a WordPiece vocabulary of at most `size` tokens, the five special ones included.

    The same texts give the same vocabulary in every process.

    `texts` is read twice, so give a list, or an object whose `__iter__` starts again; an iterator is kept in memory.
    A pair of pieces is merged when it is there `min_frequency` times. Of the characters the `max_characters` most
    frequent are kept (default: a quarter of `size`, at least 256); words with others become [UNK].
    `unicode_form`: "NFC" (as `compose_accents`) or "NFKC" (ﬁ and ２ become fi and 2, too) is made
    first; BERT makes none.
    `split_digits`: every digit is a word of its own; BERT takes 2024 for one word.
    Raises ValueError when there is no text, `size` has no room for the characters, or `unicode_form` is another.
    """
    if unicode_form not in (None, "NFC", "NFKC"):
        raise ValueError(f"unicode_form={unicode_form!r}: allowed is None, 'NFC' or 'NFKC'")
    compose_accents = compose_accents or unicode_form == "NFC"
    casing = Casing(lowercase, strip_accents, chinese_chars, compose_accents)
    learning = Learning(size, SPECIAL_TOKENS, min_frequency, max_characters or max(size // 4, 256), progress)
    normalizer: Any = build_normalizer(casing)
    pre_tokenizer: Any = pre_tokenizers.BertPreTokenizer()
    if unicode_form == "NFKC":
        normalizer = normalizers.Sequence([normalizers.NFKC(), normalizer])
    if split_digits:
        pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizer])
    tokens = learn_tokens(texts, normalizer, pre_tokenizer, learning)
    if len(tokens) < size:
        logger.info("the texts give %d tokens, fewer than the %d asked for", len(tokens), size)
    if unicode_form == "NFKC" or split_digits:
        backend = build_backend({token: number for number, token in enumerate(tokens)}, casing, "[UNK]")
        backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizer
        return ElectraTokenizer(tokenizer_object=backend, model_max_length=model_max_length)
    return ElectraTokenizer(
        tokens,
        do_lower_case=lowercase,
        strip_accents=strip_accents,
        tokenize_chinese_chars=chinese_chars,
        compose_accents=compose_accents,
        model_max_length=model_max_length,
    )
