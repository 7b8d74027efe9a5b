"""Hostile names and texts in pages and model cards: no markup comes through, tags are balanced."""

from __future__ import annotations

import random
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from electra.hub.model_card import escaped, model_card
from electra.reporting.html_page import notice, page, paragraph, section
from electra.reporting.html_tables import table
from tests.fuzz.driver import Broken, Case
from tests.fuzz.hostile import encodable

VOID = {"meta", "br", "hr", "img", "input", "link", "path", "rect", "line", "circle", "use", "col"}
FORBIDDEN = {"script", "iframe", "object", "embed", "img", "a"}


class Tags(HTMLParser):
    """Refuses tags that a page of ours never has, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in FORBIDDEN or any(name.startswith("on") for name, _ in attrs):
            raise Broken(f"a page has <{tag} {attrs}>")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            raise Broken(f"</{tag}> closes nothing")


def prepare(shared: Path) -> Case:
    """Nothing is shared."""
    return case


def case(random: random.Random, folder: Path) -> str:
    """Make a page or a card."""
    if random.random() < 0.5:
        rows = [[encodable(random), random.random()] for _ in range(3)]
        parts: list[Any] = [paragraph(encodable(random)), notice(encodable(random), encodable(random))]
        parts.append(section(encodable(random), [table([encodable(random), "b"], rows)], note=encodable(random)))
        html = page(encodable(random), parts)
    else:
        card = model_card(
            encodable(random),
            f"Fitted on {escaped(encodable(random))}.",
            network="ElectraForSequenceClassification",
            figures={encodable(random) or "x": random.choice([1, 0.5, encodable(random)])},
        )
        body = card.split("---\n", 2)[2]
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(body)
        if "\u202e" in card:
            raise Broken("a card has U+202E")
    parser = Tags()
    parser.feed(html)
    parser.close()
    if parser.open:
        raise Broken(f"left open: {parser.open}")
    if "\u202e" in html:
        raise Broken("a page has U+202E")
    return "sound"
