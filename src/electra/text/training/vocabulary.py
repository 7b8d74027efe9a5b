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
from electra.validation import require_one_of

logger = logging.getLogger("electra")


def read_vocabulary(
    path: str | Path,
    *,
    lowercase: bool | None = None,
    strip_accents: bool | None = None,
    chinese_chars: bool = True,
    model_max_length: int | None = None,
) -> ElectraTokenizer:
    """The tokenizer of a vocab.txt, or of a tokenizer.json.

    Args:
        path: the file.
        lowercase: lowercase text. Default: inferred from the vocabulary, and logged.
        strip_accents: é becomes e. Default: inferred, or if lowercasing.
        chinese_chars: every CJK ideograph is a word.
        model_max_length: tokens that the model takes; None for no limit.

    Raises:
        ValueError: the file is empty, not UTF-8, has an empty line or a token twice, or lacks one of [PAD], [UNK],
            [CLS], [SEP], [MASK]; the message names the file and the line or the tokens.
    """
    if Path(path).suffix == ".json":
        return ElectraTokenizer(
            tokenizer_file=path,
            do_lower_case=lowercase,
            strip_accents=strip_accents,
            tokenize_chinese_chars=None if chinese_chars else False,
            model_max_length=model_max_length,
        )
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
    """Learn a WordPiece vocabulary. The same texts give the same vocabulary in every process.

    Args:
        texts: they are read twice: a list, or an object whose `__iter__` starts again; an iterator is kept in memory.
        size: tokens at most, the five special ones included.
        lowercase: lowercase text.
        strip_accents: é becomes e. Default: if lowercasing.
        chinese_chars: every CJK ideograph is a word.
        compose_accents: apply Unicode NFC first.
        min_frequency: how often a pair of pieces must occur to be merged.
        max_characters: the most frequent characters that are kept; words with others become [UNK]. Default: a quarter
            of `size`, at least 256.
        model_max_length: tokens that the model takes; None for no limit.
        progress: show a progress bar.
        unicode_form: "NFC" (as `compose_accents`) or "NFKC" (ﬁ and ２ become fi and 2, too), applied first. BERT
            applies none.
        split_digits: every digit is a word; for BERT 2024 is one word.

    Raises:
        ValueError: there is no text, `size` has no room for the characters, or `unicode_form` is another.
    """
    require_one_of("unicode_form", unicode_form, (None, "NFC", "NFKC"))
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
        logger.info("the texts give %d tokens, fewer than the %d that were asked for", len(tokens), size)
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
