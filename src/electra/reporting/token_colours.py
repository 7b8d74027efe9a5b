"""Text in tokens, coloured by a probability, in HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

CONTINUES = "##"  # how WordPiece begins a piece that goes on with a word


@dataclass(frozen=True)
class ShownToken:
    """text: the token. probability: 0 to 1, the strength of its colour. instead_of: what stood there before, if that
    was another. note: what the reader sees on pointing at it.
    """

    text: str
    probability: float
    instead_of: str | None = None
    note: str = ""


def coloured(tokens: Iterable[ShownToken]) -> str:
    """A line of tokens: the likelier, the stronger the colour; a replaced one is underlined, the original above it.

    The direction follows from the text, so that Arabic and Hebrew run from the right.
    """
    parts = []
    for token in tokens:
        space = "" if token.text.startswith(CONTINUES) else " "
        parts.append(space + _token(token))
    return f'<div class="tokens" dir="auto">{"".join(parts).strip()}</div>'


def _token(token: ShownToken) -> str:
    shown = escape(token.text.removeprefix(CONTINUES) or token.text)
    strength = min(1.0, max(0.0, token.probability))
    mark = "" if token.instead_of is None else ' class="marked"'
    span = (
        f'<span{mark} style="background: rgb(230 120 0 / {strength:.2f})" title="{escape(token.note)}">{shown}</span>'
    )
    if token.instead_of is None:
        return span
    return f"<ruby>{span}<rt>{escape(token.instead_of)}</rt></ruby>"
