"""How well a tokenizer suits a text: what it does not know, how finely it cuts words, what it takes away."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest, nsmallest
from itertools import groupby
from typing import Any

from electra.text.backend import CONTINUATION
from electra.text.tokenizer import ElectraTokenizer

MOST_UNKNOWN = 0.01
"""Share of words; above it a vocabulary does not suit a text. (BERT's leaves less than 0.01 % of English unknown.)"""
MOST_LOST = 0.01
"""Share of letters that are capitals, or that have accents, above which it matters that a tokenizer removes them."""
SHOWN = 20
SAMPLES, SAMPLE_CHARACTERS = 5, 300
MANY_PIECES = 5
CHARACTERS_AT_ONCE = 2**17
LONGEST_LINE = 2**14
WORDS_KEPT = 2**17
LONGEST_WORD = 100
"""Characters that are kept of an unknown word: WordPiece takes no longer word apart, and a line may be one word."""


@dataclass(frozen=True)
class Fit:
    """What was counted. Shares are of 1; a word is what the tokenizer's rules separate, punctuation too."""

    vocabulary: int
    """Tokens that the tokenizer has, and how many of them the text uses (`used`)."""
    used: int
    lines: int
    characters: int
    words: int
    pieces: int
    unknown_words: int
    unknown_rate: float
    """Share of words that are the unknown token."""
    pieces_per_word: float
    characters_per_piece: float
    words_by_pieces: dict[str, int]
    """How many words are cut into "1", "2", … and "5 or more" pieces."""
    unknown: list[tuple[str, int]]
    """The most frequent unknown words, and how often they are there."""
    unknown_characters: list[tuple[str, int]]
    """The most frequent characters that no token has."""
    most_cut: list[tuple[str, list[str]]]
    """The words that are cut most, and their pieces."""
    longest_pieces: list[str]
    """The longest tokens that the text uses."""
    lowercases: bool
    strips_accents: bool
    capitals: float
    """Share of the letters that are capitals."""
    accents: float
    """Share of the letters that have an accent."""
    samples: list[tuple[str, list[str]]]
    """The beginnings of a few lines, and their tokens."""


def report_of(tokenizer: ElectraTokenizer, texts: Iterable[str]) -> Fit:
    """Tokenize the texts and count; memory does not grow with them.

    Give text that the vocabulary was not trained on: on its own text every vocabulary looks good.
    """
    count = _Count(tokenizer)
    for group in _groups(texts):
        count.add(group)
    return count.fit()


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lines that are tokenized in one call; a long one is cut."""
    group: list[str] = []
    characters = 0
    for text in texts:
        for start in range(0, len(text), LONGEST_LINE):
            group.append(text[start : start + LONGEST_LINE])
            characters += len(group[-1])
            if characters >= CHARACTERS_AT_ONCE:
                yield group
                group, characters = [], 0
    if group:
        yield group


def problems_of(fit: Fit) -> Iterator[str]:
    """What is bad about a tokenizer for a text, in words, and what to do."""
    if fit.words and fit.unknown_rate > MOST_UNKNOWN:
        most = ", ".join(repr(word) for word, _ in fit.unknown[:5])
        yield (
            f"{fit.unknown_rate:.1%} of the words are unknown to the tokenizer, most often {most}: "
            f"use a vocabulary that was trained on text like this, with more characters"
        )
    if fit.lowercases and fit.capitals > MOST_LOST:
        yield (
            f"the tokenizer makes all letters small, and {fit.capitals:.1%} of those in the text are capitals: "
            f"where case has a meaning, use a cased vocabulary (--cased trains one)"
        )
    if fit.strips_accents and fit.accents > MOST_LOST:
        yield (
            f"the tokenizer takes accents away, and {fit.accents:.1%} of the letters in the text have one: "
            f"use a vocabulary that keeps them (electra tokenizer train --keep-accents, or --cased)"
        )


@dataclass
class _Count:
    """The counters behind a `Fit`."""

    tokenizer: ElectraTokenizer
    lines: int = 0
    used: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    unknown_words: int = 0
    by_pieces: Counter[int] = field(default_factory=Counter)
    most_cut: dict[str, list[str]] = field(default_factory=dict)
    samples: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, lines: list[str]) -> None:
        encodings = self.tokenizer.backend_tokenizer.encode_batch(lines, add_special_tokens=False)
        for line, encoding in zip(lines, encodings, strict=True):
            self.lines += 1
            self.characters.update(line)
            self.used.update(encoding.tokens)
            self._words(line, encoding)
            if len(self.samples) < SAMPLES:
                start = line[:SAMPLE_CHARACTERS]
                kept = sum(end <= len(start) for _, end in encoding.offsets)
                self.samples.append((start, encoding.tokens[:kept]))

    def _words(self, line: str, encoding: Any) -> None:
        tokens, offsets, unknown = encoding.tokens, encoding.offsets, self.tokenizer.unk_token
        for _, places in groupby(range(len(tokens)), key=encoding.word_ids.__getitem__):
            first, *more = places
            last = more[-1] if more else first
            self.by_pieces[1 + len(more)] += 1
            if tokens[first] == unknown:
                self.unknown_words += 1
                start, end = offsets[first]
                self._remember_unknown(line[start : min(end, start + LONGEST_WORD)])
            elif len(more) >= MANY_PIECES - 1:
                self.most_cut[line[offsets[first][0] : offsets[last][1]]] = tokens[first : last + 1]
        if len(self.most_cut) > WORDS_KEPT:
            self.most_cut = dict(self._most_cut())

    def _remember_unknown(self, word: str) -> None:
        self.unknown[word] += 1
        if len(self.unknown) > WORDS_KEPT:  # the rare ones go, which are not shown
            self.unknown = Counter(dict(self.unknown.most_common(WORDS_KEPT // 2)))

    def _most_cut(self) -> list[tuple[str, list[str]]]:
        return nsmallest(SHOWN, self.most_cut.items(), key=lambda item: (-len(item[1]), item[0]))

    def fit(self) -> Fit:
        words, pieces = self.by_pieces.total(), self.used.total()
        characters = self.characters.total()
        letters = {one: count for one, count in self.characters.items() if one.isalpha()}
        several = sum(count for number, count in self.by_pieces.items() if number >= MANY_PIECES)
        by_pieces = {str(number): self.by_pieces[number] for number in range(1, MANY_PIECES)}
        unk = self.tokenizer.unk_token
        return Fit(
            vocabulary=len(self.tokenizer),
            used=len(self.used.keys() - {unk}),
            lines=self.lines,
            characters=characters,
            words=words,
            pieces=pieces,
            unknown_words=self.unknown_words,
            unknown_rate=self.unknown_words / max(1, words),
            pieces_per_word=pieces / max(1, words),
            characters_per_piece=characters / max(1, pieces),
            words_by_pieces={**by_pieces, f"{MANY_PIECES} or more": several},
            unknown=_most(self.unknown),
            unknown_characters=_most(self._unknown_characters()),
            most_cut=self._most_cut(),
            longest_pieces=nlargest(SHOWN, self.used.keys() - {unk}, key=lambda t: (len(_bare(t)), t)),
            lowercases=self._normalized("A") == "a",
            strips_accents=not _has_accent(self._normalized("é")),
            capitals=_share(letters, str.isupper),
            accents=_share(letters, _has_accent),
            samples=self.samples,
        )

    def _normalized(self, text: str) -> str:
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _unknown_characters(self) -> Counter[str]:
        """Those of the unknown words that no token has, as they are after normalizing."""
        known = {character for token in self.tokenizer.get_vocab() for character in _bare(token)}
        found: Counter[str] = Counter()
        for word, count in self.unknown.items():
            for character in set("".join(self._normalized(word).split())) - known:
                found[character] += count
        return found


def _most(counter: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent, those of equal frequency in alphabetic order."""
    return nsmallest(SHOWN, counter.items(), key=lambda item: (-item[1], item[0]))


def _bare(token: str) -> str:
    return token.removeprefix(CONTINUATION)


def _has_accent(character: str) -> bool:
    return any(unicodedata.category(part) == "Mn" for part in unicodedata.normalize("NFD", character))


def _share(letters: dict[str, int], which: Any) -> float:
    return sum(count for letter, count in letters.items() if which(letter)) / max(1, sum(letters.values()))
