"""The letters and marks of a text, and what lowercasing and stripping accents would destroy of them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from electra.text.backend import Casing

MOST_LOST = 0.01
"""Fraction of letters and marks; above it, a tokenizer should not change them. (English: 0.0002 have accents.)"""
MOST_DOTTED = 0.001
"""Fraction of letters that are İ or ı, which Turkish and Azerbaijani have; above it the text is not lowercased."""
SAMPLED_CHARACTERS = 20_000_000
"""What the casing of a new vocabulary is chosen by: the beginning of the text."""


def is_mark(character: str) -> bool:
    """Whether it is a mark that is a character of its own: a vowel sign, a point, a combining accent."""
    return unicodedata.category(character)[0] == "M"


def has_accent(character: str) -> bool:
    """Whether it is a letter that consists of a base and accents, such as é or が."""
    return any(unicodedata.category(part) == "Mn" for part in unicodedata.normalize("NFD", character))


def is_decomposed(character: str) -> bool:
    """Whether stripping takes it apart without removing anything, as a syllable of Hangul into its letters."""
    return unicodedata.normalize("NFD", character) != character and not has_accent(character)


def is_stripped(character: str) -> bool:
    """Whether stripping accents changes it."""
    return unicodedata.normalize("NFD", character) != character or unicodedata.category(character) == "Mn"


def letters_of(characters: Mapping[str, int]) -> dict[str, int]:
    """The letters and marks among counted characters."""
    return {one: count for one, count in characters.items() if one.isalpha() or is_mark(one)}


def fraction(letters: Mapping[str, int], which: Callable[[str], bool]) -> float:
    """Which fraction of counted letters is so; 0 without letters."""
    return sum(count for letter, count in letters.items() if which(letter)) / max(1, sum(letters.values()))


def most_frequent(letters: Mapping[str, int], which: Callable[[str], bool], count: int = 5) -> list[str]:
    """The most frequent letters that are so; those of equal frequency in the order of their code points."""
    found = [letter for letter in letters if which(letter)]
    return sorted(found, key=lambda letter: (-letters[letter], letter))[:count]


def shown(characters: Iterable[str]) -> str:
    """Characters for a message; one that is not visible by itself is shown by its code point, too."""
    return ", ".join(f"U+{ord(one):04X} ({one!r})" if is_mark(one) else one for one in characters)


@dataclass(frozen=True)
class CasingChoice:
    """How a new vocabulary treats case and accents, and why; without a reason it is what was asked for, or BERT's."""

    casing: Casing
    reason: str = ""


def choose_casing(
    texts: Iterable[str], *, cased: bool | None = None, keep_accents: bool | None = None, chinese_chars: bool = True
) -> CasingChoice:
    """The casing of a vocabulary that is trained on these texts.

    BERT's default, lowercase without accents, is taken where it destroys little. Accents are kept where stripping would
    change more than one in a hundred letters and marks: vowel signs, points, syllables of Hangul, kana, accented
    letters. Case is kept where the text has the letters İ and ı, of which lowercasing makes others.

    Args:
        texts: their beginning is looked at, SAMPLED_CHARACTERS.
        cased: keep case (and accents). None: choose.
        keep_accents: keep accents. None: choose.
        chinese_chars: for the result.
    """
    if cased or (cased is False and keep_accents is not None):
        return CasingChoice(_casing(bool(cased), keep_accents, chinese_chars))
    letters = letters_of(_count(texts))
    if cased is None and fraction(letters, "İı".__contains__) > MOST_DOTTED:
        reason = (
            "the vocabulary is cased: the text has the letters İ and ı, and lowercasing would make other letters of İ "
            "and I. --cased=false lowercases all the same"
        )
        return CasingChoice(_casing(True, keep_accents, chinese_chars), reason)
    lost = fraction(letters, is_stripped)
    if keep_accents is None and lost > MOST_LOST:
        reason = (
            f"the vocabulary keeps accents: stripping would change {lost:.1%} of the letters and marks of the text, "
            f"most often {shown(most_frequent(letters, is_stripped))}. --keep-accents=false strips them, as BERT does"
        )
        return CasingChoice(_casing(False, True, chinese_chars), reason)
    return CasingChoice(_casing(False, keep_accents, chinese_chars))


def _casing(cased: bool, keep_accents: bool | None, chinese_chars: bool) -> Casing:
    # None: as BERT does, which strips accents if it lowercases
    return Casing(not cased, False if keep_accents else None, chinese_chars)


def _count(texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    left = SAMPLED_CHARACTERS
    for text in texts:
        counts.update(islice(text, left) if len(text) > left else text)
        left -= len(text)
        if left <= 0:
            break
    return counts
