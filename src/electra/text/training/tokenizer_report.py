"""How well a tokenizer suits a text: unknown words, pieces for each word, letters and marks that it changes."""

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
from electra.text.training.letters import (
    MOST_DOTTED,
    MOST_LOST,
    fraction,
    has_accent,
    is_decomposed,
    is_mark,
    letters_of,
    most_frequent,
    shown,
)

MOST_UNKNOWN = 0.01
"""Fraction of words; above it a vocabulary does not suit a text. (BERT's in English: less than 0.0001.)"""
SHOWN = 20
SAMPLES, SAMPLE_CHARACTERS = 5, 300
MANY_PIECES = 5
CHARACTERS_AT_ONCE = 2**17
LONGEST_LINE = 2**14
WORDS_KEPT = 2**17
LONGEST_WORD = 100
"""Characters that are remembered of an unknown word: WordPiece splits no longer word, and a line may be one word."""


@dataclass(frozen=True)
class Fit:
    """The counts of a report. Fractions are of 1; a word is what the tokenizer's rules separate, punctuation too."""

    vocabulary: int
    """Tokens of the tokenizer."""
    used: int
    """Tokens that the text uses."""
    lines: int
    characters: int
    words: int
    pieces: int
    unknown_words: int
    unknown_rate: float
    """Fraction of words that are the unknown token."""
    pieces_per_word: float
    characters_per_piece: float
    words_by_pieces: dict[str, int]
    """How many words are split into "1", "2", … and "5 or more" pieces."""
    unknown: list[tuple[str, int]]
    """The most frequent unknown words, and how often they occur."""
    unknown_characters: list[tuple[str, int]]
    """The most frequent characters that no token has."""
    most_cut: list[tuple[str, list[str]]]
    """The words of most pieces, and their pieces."""
    longest_pieces: list[str]
    """The longest tokens that the text uses."""
    lowercases: bool
    strips_accents: bool
    capitals: float
    """Fraction of the letters that are upper case."""
    accents: float
    """Fraction of the letters that have an accent."""
    marks: float
    """Fraction of letters and marks that are marks: vowel signs, points, combining accents."""
    removed_marks: list[str]
    """The most frequent marks that the tokenizer removes."""
    removed: float
    """Fraction of letters and marks that are such marks."""
    decomposed: float
    """Fraction of letters and marks that the tokenizer takes apart, such as syllables of Hangul."""
    dotted: float
    """Fraction of letters and marks that are the Turkish İ or ı."""
    joiners: list[str]
    """The most frequent joiners and other format characters that the tokenizer removes."""
    removed_joiners: float
    """Fraction of the characters that are such."""
    samples: list[tuple[str, list[str]]]
    """The beginnings of a few lines, and their tokens."""


def report_of(tokenizer: ElectraTokenizer, texts: Iterable[str]) -> Fit:
    """Tokenize texts and count; memory does not grow with them.

    Give text that the vocabulary was not trained on: on its own text every vocabulary looks good.
    """
    count = _Count(tokenizer)
    for group in _groups(texts):
        count.add(group)
    return count.fit()


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    """Lines that are tokenized in one call; a long one is divided."""
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
    """What makes a tokenizer unsuitable for a text, and what to do."""
    if fit.words and fit.unknown_rate > MOST_UNKNOWN:
        most = ", ".join(repr(word) for word, _ in fit.unknown[:5])
        yield (
            f"{fit.unknown_rate:.1%} of the words are unknown to the tokenizer, most often {most}: "
            f"use a vocabulary that was trained on text like this, with more characters"
        )
    if fit.lowercases and fit.dotted > MOST_DOTTED:
        yield (
            "the tokenizer lowercases, and the text has the letters İ and ı: lowercasing makes i of I, and of İ an i "
            "with a dot of its own (U+0307): use a cased vocabulary (--cased trains one)"
        )
    elif fit.lowercases and fit.capitals > MOST_LOST:
        yield (
            f"the tokenizer lowercases, and {fit.capitals:.1%} of the letters of the text are upper case: "
            f"where case has a meaning, use a cased vocabulary (--cased trains one)"
        )
    keep = "use a vocabulary that keeps them (electra tokenizer train --keep-accents, or --cased)"
    if fit.strips_accents and fit.accents > MOST_LOST:
        yield f"the tokenizer strips accents, and {fit.accents:.1%} of the letters of the text have one: {keep}"
    if fit.removed > MOST_LOST:
        yield (
            f"the tokenizer removes marks that are characters of their own, {fit.removed:.1%} of the letters and marks "
            f"of the text, most often {shown(fit.removed_marks)}: {keep}" + _combining_hint(fit)
        )
    if fit.decomposed > MOST_LOST:
        yield (
            f"the tokenizer takes {fit.decomposed:.1%} of the letters of the text apart, such as syllables of Hangul "
            f"into their letters: {keep}"
        )
    if fit.removed_joiners > MOST_LOST / 10:
        yield (
            f"the tokenizer removes joiners and other format characters, {fit.removed_joiners:.1%} of the text, most "
            f"often {', '.join(f'U+{ord(one):04X}' for one in fit.joiners)}: no flag keeps them, as BERT's clean-up "
            "removes them; where words differ by them, replace them in the text by a character of your own first"
        )


def _combining_hint(fit: Fit) -> str:
    """Accents of Latin, Greek and Cyrillic letters can be joined to their letters."""
    combining = any("\u0300" <= mark <= "\u036f" for mark in fit.removed_marks)
    return "; --unicode nfc joins accents to their letters (e and U+0301 become é)" if combining else ""


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
        if len(self.unknown) > WORDS_KEPT:  # drop the rare ones, which are not shown
            self.unknown = Counter(dict(self.unknown.most_common(WORDS_KEPT // 2)))

    def _most_cut(self) -> list[tuple[str, list[str]]]:
        return nsmallest(SHOWN, self.most_cut.items(), key=lambda item: (-len(item[1]), item[0]))

    def fit(self) -> Fit:
        words, pieces = self.by_pieces.total(), self.used.total()
        characters = self.characters.total()
        letters = {one: count for one, count in self.characters.items() if one.isalpha()}
        with_marks = letters_of(self.characters)
        changed = {one: self._normalized(one).strip() for one in self.characters if not one.isspace()}

        def is_removed(one: str) -> bool:
            return is_mark(one) and not changed[one]

        def is_taken_apart(one: str) -> bool:
            return is_decomposed(one) and changed[one] != one

        def is_joiner(one: str) -> bool:
            return unicodedata.category(one) == "Cf" and not changed[one]

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
            strips_accents=not any(map(has_accent, self._normalized("é"))),
            capitals=fraction(letters, str.isupper),
            accents=fraction(letters, has_accent),
            marks=fraction(with_marks, is_mark),
            removed_marks=most_frequent(with_marks, is_removed),
            removed=fraction(with_marks, is_removed),
            decomposed=fraction(with_marks, is_taken_apart),
            dotted=fraction(with_marks, "İı".__contains__),
            joiners=most_frequent(self.characters, is_joiner),
            removed_joiners=fraction(self.characters, is_joiner),
            samples=self.samples,
        )

    def _normalized(self, text: str) -> str:
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return text if normalizer is None else str(normalizer.normalize_str(text))

    def _unknown_characters(self) -> Counter[str]:
        """Characters of the unknown words that no token has, after normalization."""
        known = {character for token in self.tokenizer.get_vocab() for character in _bare(token)}
        counts: Counter[str] = Counter()
        for word, count in self.unknown.items():
            for character in set("".join(self._normalized(word).split())) - known:
                counts[character] += count
        return counts


def _most(counter: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent, those of equal frequency in alphabetic order."""
    return nsmallest(SHOWN, counter.items(), key=lambda item: (-item[1], item[0]))


def _bare(token: str) -> str:
    return token.removeprefix(CONTINUATION)
