"""Learn the tokens of a WordPiece vocabulary from text, the same ones in every process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer

from electra.text.backend import CONTINUATION, state
from electra.validation import require_one_of

LONGEST_WORD = 100
"""Characters. WordPiece splits no longer word, so nothing is learned from one: a file may be one word."""


@dataclass(frozen=True)
class Learning:
    """How many tokens to learn, and which.

    Attributes:
        size: tokens at most, the special ones included.
        special_tokens: they come first, in this order.
        min_frequency: how often a pair of pieces must occur to be merged.
        max_characters: the most frequent characters are used; words with others become unknown. None: all.
    """

    size: int
    special_tokens: Sequence[str]
    min_frequency: int = 2
    max_characters: int | None = None
    progress: bool = False


def learn_tokens(texts: Iterable[str], normalizer: Any, pre_tokenizer: Any, learning: Learning) -> list[str]:
    """The tokens, in the order of their ids: special ones, characters, learned ones by the order of their merges.

    The library's trainer breaks ties between equally frequent pairs by ids that it assigns in the order of a hash
    table, which differs from process to process; here every character has its id beforehand.

    Args:
        texts: they are read twice; an iterator is stored in memory for it.
        normalizer: of the tokenizer, or None.
        pre_tokenizer: of the tokenizer, or None.
        learning: how many tokens, and which.

    Raises:
        ValueError: there is no text, or `size` has no room for the characters.
    """
    if isinstance(texts, str):
        raise ValueError("texts is a single string; give a list of strings")
    if isinstance(texts, Iterator):
        texts = list(texts)
    initial, continuing = _characters(texts, normalizer, pre_tokenizer, learning.max_characters)
    special = list(learning.special_tokens)
    fixed = list(dict.fromkeys([*special, *initial, *continuing]))
    if learning.size < len(fixed):
        raise ValueError(
            f"size={learning.size} is too small: {len(special)} special tokens and {len(initial)} characters, "
            f"{len(continuing)} of them also within words, need {len(fixed)}; raise size or lower max_characters"
        )
    trainer = WordPieceTrainer(
        vocab_size=learning.size,
        min_frequency=learning.min_frequency,
        special_tokens=fixed,
        initial_alphabet=initial,
        limit_alphabet=len(initial),
        show_progress=learning.progress,
    )
    backend = _untrained(normalizer, pre_tokenizer)
    backend.train_from_iterator(texts, trainer)
    learned = backend.get_vocab()
    return [*fixed, *sorted(learned.keys() - set(fixed), key=learned.__getitem__)]


def relearn(backend: Tokenizer, texts: Iterable[str], learning: Learning, renamed: Mapping[str, str]) -> Tokenizer:
    """The pipeline of `backend` over tokens that are learned from `texts`.

    Args:
        backend: a tokenizer; its special tokens come before those of `learning`.
        texts: see `learn_tokens`.
        learning: how many tokens, and which.
        renamed: special tokens that change their names, old -> new.

    Raises:
        ValueError: as `learn_tokens`, and where there is no WordPiece vocabulary or no such special token.
    """
    if not isinstance(backend.model, WordPiece) or backend.model.continuing_subword_prefix != CONTINUATION:
        raise ValueError(f"only WordPiece with {CONTINUATION!r} can be learned, not {state(backend.model)['type']}")
    added = sorted(backend.get_added_tokens_decoder().items())
    special = [token.content for _, token in added if token.special]
    for token in renamed:
        require_one_of("a key of special_tokens_map", token, special)
    named = dict.fromkeys([*(renamed.get(token, token) for token in special), *learning.special_tokens])
    learning = replace(learning, special_tokens=list(named))
    tokens = learn_tokens(texts, backend.normalizer, backend.pre_tokenizer, learning)
    description = json.loads(backend.to_str())
    ids = {token: number for number, token in enumerate(tokens)}
    unknown = description["model"]["unk_token"]
    description["model"] |= {"vocab": ids, "unk_token": renamed.get(unknown, unknown)}
    description["added_tokens"] = []
    _rename_template(description["post_processor"] or {}, ids, renamed)
    return Tokenizer.from_str(json.dumps(description))


def _rename_template(template: dict[str, Any], ids: Mapping[str, int], renamed: Mapping[str, str]) -> None:
    for token in (template.get("special_tokens") or {}).values():
        token["tokens"] = [renamed.get(name, name) for name in token["tokens"]]
        token["ids"] = [ids[name] for name in token["tokens"]]
    for role in ("cls", "sep"):  # the library's BertProcessing
        if role in template:
            name = renamed.get(template[role][0], template[role][0])
            template[role] = [name, ids[name]]


def _characters(
    texts: Iterable[str], normalizer: Any, pre_tokenizer: Any, most: int | None
) -> tuple[list[str], list[str]]:
    """The characters to use, and `##` with each of those that occur within words; both in code point order."""
    counts: Counter[str] = Counter()
    normalizer = normalizer or normalizers.Sequence([])

    def counted() -> Iterator[str]:
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"texts[{number}] is {text!r:.60}; every text must be a string")
            normalized = normalizer.normalize_str(text)
            counts.update(normalized)
            yield normalized

    backend = _untrained(normalizers.Sequence([]), pre_tokenizer)
    # with a vocabulary of no tokens the library reads the text, returns its characters, and merges nothing
    backend.train_from_iterator(counted(), WordPieceTrainer(vocab_size=0, show_progress=False))
    alphabet = backend.get_vocab()
    characters = [token for token in alphabet if len(token) == 1]
    if not characters:
        raise ValueError(
            f"there is no text to learn a vocabulary from: "
            f"all of it is empty, or words of over {LONGEST_WORD} characters"
        )
    frequent = sorted(characters, key=lambda character: (-counts[character], character))[:most]
    return sorted(frequent), [CONTINUATION + one for one in sorted(frequent) if CONTINUATION + one in alphabet]


def _untrained(normalizer: Any, pre_tokenizer: Any) -> Tokenizer:
    backend = Tokenizer(WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    backend.normalizer = normalizer
    short = pre_tokenizers.Split(Regex(f".{{{LONGEST_WORD + 1},}}"), "removed")
    backend.pre_tokenizer = pre_tokenizers.Sequence([*([pre_tokenizer] if pre_tokenizer else []), short])
    return backend
