"""Render the HTML templates of `templates/`, with every value escaped and no character that hides or reorders text.

A template's result is `Markup`, and is put into another template as it is. Every other value is text.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from electra.validation import visible


def render(template: str, **values: object) -> Markup:
    """The HTML of a template.

    Args:
        template: name of a file in `templates/`, without `.html`.
        values: what the template refers to; all of them have to be there.
    """
    return Markup(_environment().get_template(f"{template}.html").render(values))


def _visible(value: Any) -> Any:
    """Text without hidden characters; `Markup` (checked when it was made) and other values unchanged."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("electra.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
