"""Text as tokens in HTML, each coloured by a probability."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from electra.reporting.rendering import render

CONTINUES = "##"  # WordPiece's prefix of a token that continues a word


@dataclass(frozen=True)
class ShownToken:
    """A token of the text.

    Attributes:
        text: the token.
        probability: 0 to 1, the strength of its colour.
        instead_of: the original token, if this one replaced it.
        note: shown when the reader points at it.
    """

    text: str
    probability: float
    instead_of: str | None = None
    note: str = ""


@dataclass(frozen=True)
class _Shown:
    """The values that the template needs."""

    space: str
    text: str
    opacity: float
    original: str | None
    note: str


def coloured(tokens: Iterable[ShownToken]) -> Markup:
    """A line of tokens: the more probable, the stronger the colour; a replaced one has the original above it.

    The direction follows from the text, so that Arabic and Hebrew run from the right.
    """
    return render("tokens", tokens=[_shown(token, first=number == 0) for number, token in enumerate(tokens)])


def _shown(token: ShownToken, *, first: bool) -> _Shown:
    return _Shown(
        "" if first or token.text.startswith(CONTINUES) else " ",
        token.text.removeprefix(CONTINUES) or token.text,
        min(1.0, max(0.0, token.probability)),
        token.instead_of,
        token.note,
    )
