"""One self-contained page of HTML: no script, nothing fetched, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
p.note, figcaption, caption { color: color-mix(in srgb, currentColor 70%, transparent); font-size: .9rem; }
table { border-collapse: collapse; margin: .8rem 0; } caption { text-align: start; }
th, td { border-bottom: 1px solid var(--line); padding: .15rem .8rem .15rem 0; text-align: start; }
td { vertical-align: top; overflow-wrap: anywhere; } .number { text-align: end; font-variant-numeric: tabular-nums; }
tr.differs td, tr.differs th { font-weight: 600; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(21rem, 1fr)); gap: 1rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
.alarm { border-inline-start: .3rem solid #d55e00; background: var(--soft); padding: .5rem .8rem; margin: .6rem 0; }
.tokens { line-height: 2.3; margin: .8rem 0; border-bottom: 1px solid var(--line); padding-bottom: .6rem; }
.tokens span { padding: 0 .12em; border-radius: .2em; } .tokens .marked { text-decoration: underline 2px; }
ruby rt { font-size: .65em; color: color-mix(in srgb, currentColor 70%, transparent); }
.case { margin: .8rem 0; border-bottom: 1px solid var(--line); padding-bottom: .5rem; } .case p { margin: .25rem 0; }
.right { text-decoration: underline 2px #0072b2; text-underline-offset: .2em; }
.said { background: rgb(230 120 0 / .3); border-radius: .2em; }
sub { font-size: .65em; margin-inline-start: .15em; } sub.right, sub.said { text-decoration: none; background: none; }
sub.right { color: #0072b2; } sub.said { color: #d55e00; } sub.right.said { color: inherit; }
.wide { overflow-x: auto; } .matrix td, .matrix th { padding: .2rem .6rem; }
.sideways th span { writing-mode: vertical-rl; transform: rotate(180deg); }
pre { overflow-x: auto; background: var(--soft); padding: .6rem .8rem; }
@media print { body { max-width: none; margin: 0; } figure, .alarm, .tokens, .case { break-inside: avoid; } }
"""


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page: `title` is text, the parts are HTML as the functions of this folder make it."""
    shown = escape(title)
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{shown}</title>\n<style>{STYLE}</style>\n</head>\n"
    )
    return f"{head}<body>\n<h1>{shown}</h1>\n" + "\n".join(parts) + "\n</body>\n</html>\n"


def section(heading: str, parts: Iterable[str], *, note: str = "") -> str:
    """A heading and what is under it; nothing at all where there is nothing. heading, note: text; parts: HTML."""
    inside = "\n".join(part for part in parts if part)
    if not inside:
        return ""
    said = f'<p class="note">{escape(note)}</p>\n' if note else ""
    return f"<section>\n<h2>{escape(heading)}</h2>\n{said}{inside}\n</section>"


def paragraph(text: str) -> str:
    """A paragraph of text."""
    return f"<p>{escape(text)}</p>"


def notice(heading: str, text: str) -> str:
    """Something that must be seen."""
    return f'<div class="alarm"><strong>{escape(heading)}</strong><br>{escape(text)}</div>'


def code(text: str) -> str:
    """Text as it stands, in one width of letters."""
    return f"<pre>{escape(text)}</pre>"
