"""Characters that hide or reorder the text around them, made visible as code points."""

from __future__ import annotations

import re

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
# Control characters, the marks that override the direction of text, lone surrogates (which UTF-8 cannot write).
# U+200C to U+200F stay: Arabic, Hebrew, Persian and Indic spelling needs them.


def visible(text: str) -> str:
    """The text with each hidden character as its code point, such as `[U+202E]`."""
    return _HIDDEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
