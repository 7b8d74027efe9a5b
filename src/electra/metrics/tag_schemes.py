"""Tag schemes: how tags of words say where entities begin and end (BIO, IOB1, BIOES, BILOU, BMES, in any spelling)"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

OUTSIDE = "O"
"""The tag of words outside of any entity."""
UNNAMED = "entity"
"""The type of entities whose tags are a letter alone: B, I, O."""

_LETTERS = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
"""The letters of all schemes as those of BIOES: begin, inside (middle), end (last), single (unit)."""
_ALLOWED = ({"B", "I"}, {"B", "I", "E", "S"}, {"B", "I", "L", "U"}, {"B", "M", "E", "S"}, {"B", "M", "I", "E", "S"})
"""Letters that occur together: IOB1 and BIO, BIOES, BILOU, BMES (some files have both I and M)."""
_BEFORE = re.compile(r"([BIMELSU])([-_:/.])(.+)", re.IGNORECASE | re.DOTALL)
_AFTER = re.compile(r"(.+)([-_:/.])([BIMELSU])", re.IGNORECASE | re.DOTALL)


class Place(NamedTuple):
    """Where a word is in an entity: B, I, E, S (of BIOES) or O, and the entity's type ("" outside)."""

    letter: str
    type: str


OUTSIDE_PLACE = Place(OUTSIDE, "")


@dataclass(frozen=True)
class TagScheme:
    """What the tags of a file, or the labels of a model, mean.

    Attributes:
        places: the meaning of each tag.
        has_ends: whether entities end with tags of their own (BIOES, BILOU, BMES), so that a strict count asks for
            them.
    """

    places: dict[str, Place]
    has_ends: bool
    _tags: dict[Place, str] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._tags.update({place: tag for tag, place in reversed(self.places.items())})

    def read(self, tags: Sequence[str]) -> list[Place]:
        """The place of each word; a tag that is not of the scheme is outside."""
        return [self.places.get(tag, OUTSIDE_PLACE) for tag in tags]

    def canonical(self, tags: Iterable[str]) -> list[str]:
        """The same tags in one spelling, prefixes before types (B-PER), with the letters of BIOES."""
        return [f"{letter}-{kind}" if kind else OUTSIDE for letter, kind in self.read(list(tags))]

    def to_iob2(self, tags: Sequence[str]) -> list[str]:
        """Tags in which every entity begins with B- and continues with I-.

        An inside tag that does not continue an entity of its type begins one, as in IOB1.
        """
        return [
            f"{'B' if begins else 'I'}-{place.type}" if place.type else OUTSIDE
            for place, begins in zip(self.read(tags), begins_entity(self.read(tags)), strict=True)
        ]

    def write(self, iob2: Sequence[str]) -> list[str] | None:
        """IOB2 tags in this scheme; None where it has no tag for one of them."""
        places = []
        for i, tag in enumerate(iob2):
            letter, _, kind = tag.partition("-")
            if not kind:
                places.append(OUTSIDE_PLACE)
                continue
            last = i + 1 == len(iob2) or iob2[i + 1] != f"I-{kind}"
            if self.has_ends and last:
                letter = "S" if letter == "B" else "E"
            elif letter == "B" and not any(place.letter == "B" for place in self.places.values()):
                letter = "I"  # a scheme without beginnings
            places.append(Place(letter, kind))
        tags = [self._tags.get(place) for place in places]
        return None if None in tags else [tag for tag in tags if tag is not None]


def begins_entity(places: Sequence[Place]) -> list[bool]:
    """Whether an entity begins at each word."""
    begins = []
    before, ended = "", True
    for letter, kind in places:
        begins.append(bool(kind) and (letter in "BS" or kind != before or ended))
        before, ended = kind, letter in ("E", "S", OUTSIDE)
    return begins


def recognise_scheme(tags: Collection[str]) -> TagScheme | None:
    """The scheme of a set of tags: every one has to fit it.

    A letter (B, I, O; E, S; L, U; M) stands before or after a type, parted by one of `-_:/.`, in capitals or small, or
    alone. Tags of other kinds (parts of speech, types without letters) are of no scheme.

    Returns:
        None where a tag fits none, or where no tag marks an entity.
    """
    outside = {tag for tag in tags if tag in (OUTSIDE, "o")}
    marked = [tag for tag in tags if tag not in outside]
    if not marked:
        return None
    for spelling in (_before, _after, _alone):
        pairs = {tag: spelling(tag) for tag in marked}
        letters = {pair[0] for pair in pairs.values() if pair is not None}
        if None in pairs.values() or len({letter.isupper() for letter in letters}) > 1:
            continue
        if not any({letter.upper() for letter in letters} <= allowed for allowed in _ALLOWED):
            continue
        places = dict.fromkeys(outside, OUTSIDE_PLACE)
        places |= {tag: Place(_LETTERS[pair[0].upper()], pair[1]) for tag, pair in pairs.items() if pair is not None}
        has_ends = any(place.letter in "ES" for place in places.values())
        return TagScheme(places, has_ends)
    return None


def unrecognised(tags: Collection[str]) -> list[str]:
    """The tags that keep a set from being of a scheme, where most of the others are of one; [] in other sets."""
    if recognise_scheme(tags) is not None:
        return []
    for spelling in (_before, _after):
        fitting = [tag for tag in tags if spelling(tag) is not None]
        others = [tag for tag in tags if tag not in (OUTSIDE, "o") and spelling(tag) is None]
        if len(fitting) > len(others) and recognise_scheme(fitting) is not None:
            return sorted(others)
    return []


def _before(tag: str) -> tuple[str, str] | None:
    """B-PER, b_per, I:PER"""
    match = _BEFORE.fullmatch(tag)
    return None if match is None else (match[1], match[3])


def _after(tag: str) -> tuple[str, str] | None:
    """PER-B, per_i"""
    match = _AFTER.fullmatch(tag)
    return None if match is None else (match[3], match[1])


def _alone(tag: str) -> tuple[str, str] | None:
    """B, I"""
    return (tag, UNNAMED) if tag.upper() in _LETTERS and len(tag) == 1 else None
