"""Render the HTML templates of `templates/`, with every value escaped and no character that hides or reorders text.

A template's result is `Markup`, and is put into another template as it is. Every other value is text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
"""Control characters, the marks that override the direction of text, lone surrogates (which UTF-8 cannot write).

The marks that Arabic, Hebrew, Persian and Indic spelling needs (U+200C to U+200F) are left alone.
"""


def render(template: str, **values: object) -> Markup:
    """The HTML of a template.

    Args:
        template: name of a file in `templates/`, without `.html`.
        values: what the template refers to; all of them have to be there.
    """
    return Markup(_environment().get_template(f"{template}.html").render(values))


def visible(value: Any) -> Any:
    """Text with each hidden character as its code point, such as `[U+202E]`; what is not text unchanged."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return HIDDEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", value)
    return value


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("electra.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
