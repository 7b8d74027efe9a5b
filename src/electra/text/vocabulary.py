"""Vocabularies: train one from text, or read a vocab.txt."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, normalizers
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.trainers import WordPieceTrainer

from electra.text.backend import CONTINUATION, Casing, build_normalizer
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocab_file import SPECIAL_TOKENS, describe, infer_casing, read_tokens

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
) -> ElectraTokenizer:
    """Learn a WordPiece vocabulary of at most `size` tokens, the five special ones included.

    The same texts give the same vocabulary in every process. The library's trainer breaks ties between equally
    frequent pairs by ids that it hands out in the order of a hash table; here every character has its id beforehand.

    `texts` is read twice, so give a list, or an object whose `__iter__` starts again; an iterator is kept in memory.
    A pair of pieces is merged when it is there `min_frequency` times. Of the characters the `max_characters` most
    frequent are kept (default: a quarter of `size`, at least 256); words with others become [UNK].
    Raises ValueError when there is no text, or `size` has no room for the characters.
    """
    if isinstance(texts, str):
        raise ValueError("texts is a single string; give a list of strings")
    if isinstance(texts, Iterator):
        texts = list(texts)
    casing = Casing(lowercase, strip_accents, chinese_chars, compose_accents)
    kept, continuing = _characters(texts, casing, max_characters or max(size // 4, 256))
    smallest = len(SPECIAL_TOKENS) + len(kept) + len(continuing)
    if size < smallest:
        raise ValueError(
            f"size={size} is too small: {len(SPECIAL_TOKENS)} special tokens and {len(kept)} characters, "
            f"{len(continuing)} of them also within words, need {smallest}; raise size or lower max_characters"
        )
    fixed = [*SPECIAL_TOKENS, *kept, *continuing]
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=fixed,
        initial_alphabet=kept,
        limit_alphabet=len(kept),
        show_progress=progress,
    )
    backend = _untrained(build_normalizer(casing))
    backend.train_from_iterator(texts, trainer)
    learned = backend.get_vocab()
    tokens = [*fixed, *sorted(learned.keys() - set(fixed), key=learned.__getitem__)]
    if len(tokens) < size:
        logger.info("the texts give %d tokens, fewer than the %d asked for", len(tokens), size)
    return ElectraTokenizer(
        tokens,
        do_lower_case=lowercase,
        strip_accents=strip_accents,
        tokenize_chinese_chars=chinese_chars,
        compose_accents=compose_accents,
        model_max_length=model_max_length,
    )


def _characters(texts: Iterable[str], casing: Casing, most: int) -> tuple[list[str], list[str]]:
    """The characters to keep, and `##` with each of those that come within words; both in code point order."""
    counts: Counter[str] = Counter()
    normalizer = build_normalizer(casing)

    def counted() -> Iterator[str]:
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"texts[{number}] is {text!r:.60}; every text must be a string")
            normalized = normalizer.normalize_str(text)
            counts.update(normalized)
            yield normalized

    backend = _untrained(normalizers.Sequence([]))
    # a vocabulary of no tokens: the library goes through the text and returns its characters, and merges nothing
    backend.train_from_iterator(counted(), WordPieceTrainer(vocab_size=0, show_progress=False))
    found = backend.get_vocab()
    characters = [token for token in found if len(token) == 1]
    if not characters:
        raise ValueError("there is no text to learn a vocabulary from: every text is empty")
    frequent = sorted(characters, key=lambda character: (-counts[character], character))[:most]
    return sorted(frequent), [CONTINUATION + one for one in sorted(frequent) if CONTINUATION + one in found]


def _untrained(normalizer: normalizers.Normalizer) -> Tokenizer:
    backend = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    backend.normalizer = normalizer
    backend.pre_tokenizer = BertPreTokenizer()
    return backend
