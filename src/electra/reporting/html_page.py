"""One self-contained HTML page: no scripts, nothing fetched, light or dark like the reader's system."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from electra.reporting.rendering import render


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page.

    Args:
        title: shown in the browser's tab and as the heading.
        parts: `Markup` from the functions of this folder; a plain string is escaped. Empty ones are left out.
    """
    return f"{render('page', title=title, parts=[part for part in parts if part])}\n"


def section(heading: str, parts: Iterable[str], *, note: str = "") -> Markup:
    """A heading with content below it; empty where there is no content.

    Args:
        heading: text.
        parts: `Markup`; a plain string is escaped.
        note: a sentence below the heading that says how to read the content.
    """
    content = [part for part in parts if part]
    return render("section", heading=heading, parts=content, note=note) if content else Markup("")


def paragraph(text: str) -> Markup:
    """A paragraph of text."""
    return render("paragraph", text=text)


def notice(heading: str, text: str) -> Markup:
    """A box that stands out, for alarms and failures."""
    return render("notice", heading=heading, text=text)
