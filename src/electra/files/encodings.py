"""Bytes of a file -> text; what is not text is refused with the likely encoding, or replaced and counted"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Any

from electra.validation import require_one_of

INVALID = ("refuse", "replace")
REPLACEMENT = "\ufffd"

_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"} | {
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""What a file in UTF-16 or UTF-32 begins with. The longer marks come first: one begins with another."""

_CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp932", "gb18030")
"""What files that are not UTF-8 are mostly in: Western, Central European and Cyrillic Windows, Japanese, Chinese."""


class NotTextError(Exception):
    """What is wrong with the text; the reader adds file and line."""


@dataclass(frozen=True)
class Decoding:
    """How bytes become text.

    Attributes:
        encoding: a name that Python knows.
        invalid: "refuse" bytes that are not text in it, or "replace" each run of them by U+FFFD.
    """

    encoding: str = "utf-8"
    invalid: str = "refuse"

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        require_one_of("invalid_utf8", self.invalid, INVALID)

    @property
    def transcodes(self) -> bool:
        """Whether a line feed is more than the byte 0x0a, so that bytes become UTF-8 before lines are found in them."""
        return "\n".encode(self.encoding) != b"\n"

    def decode(self, line: bytes) -> tuple[str, int]:
        """Decode a line.

        Args:
            line: in `encoding`, or in UTF-8 where it `transcodes`.

        Returns:
            The text, and how many places in it were replaced.

        Raises:
            NotTextError: bytes that are not text, or a zero byte, which no text has.
        """
        encoding = "utf-8" if self.transcodes else self.encoding
        for mark, marked in _MARKS.items():
            if line.startswith(mark) and not self.transcodes:
                raise NotTextError(
                    f"this is {marked.upper()} text, by its first bytes: give its encoding "
                    f'(--encoding {marked}, encoding="{marked}") or convert the file to utf-8'
                )
        if b"\0" in line:
            raise NotTextError("a zero byte: this is a binary file (an archive?) or UTF-16, not text")
        try:
            return line.decode(encoding), 0
        except UnicodeDecodeError as error:
            if self.invalid == "refuse":
                raise NotTextError(self._refusal(line, error)) from error
        text = line.decode(encoding, "replace")
        meant = line.decode(encoding, "ignore").count(REPLACEMENT)  # the file may hold the character itself
        return text, text.count(REPLACEMENT) - meant

    def clean(self, text: str) -> tuple[str, int]:
        """Check text that others decoded (JSON's escapes), in which half a surrogate pair is not a character.

        Returns:
            The text, and how many places in it were replaced.

        Raises:
            NotTextError: half a surrogate pair, where `invalid` is "refuse".
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            if self.invalid == "refuse":
                raise NotTextError(
                    f"\\u{ord(text[error.start]):04x} is half of a surrogate pair, and no character: repair the file, "
                    f'or have such characters replaced (--invalid-utf8 replace, invalid_utf8="replace")'
                ) from error
            present = text.count(REPLACEMENT)
            text = "".join(REPLACEMENT if "\ud800" <= one <= "\udfff" else one for one in text)
            return text, text.count(REPLACEMENT) - present
        return text, 0

    def clean_values(self, value: Any) -> tuple[Any, int]:
        """`clean` for every string in a value of JSON: in lists, and in objects also their keys."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, list):
            cleaned = [self.clean_values(one) for one in value]
            return [one for one, _ in cleaned], sum(count for _, count in cleaned)
        if isinstance(value, dict):
            pairs = [(self.clean(key), self.clean_values(one)) for key, one in value.items()]
            return {key: one for (key, _), (one, _) in pairs}, sum(a + b for (_, a), (_, b) in pairs)
        return value, 0

    def _refusal(self, line: bytes, error: UnicodeDecodeError) -> str:
        if self.transcodes:
            return f"bytes that are not {self.encoding}: is this the file's encoding, and is it whole?"
        place = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line is not {self.encoding}"
        readings = _readings(line, error.start, self.encoding)
        example = readings[0][0] if readings else "cp1252"
        shown = "".join(f"; as {encoding} the place reads {text!r}" for encoding, text in readings)
        return (
            f"{place}{shown}. Give the file's own encoding (latin-1? --encoding {example}, "
            f'encoding="{example}"), convert it to utf-8 (iconv -f {example} -t UTF-8), or have such bytes replaced '
            f'(--invalid-utf8 replace, invalid_utf8="replace")'
        )


def _readings(line: bytes, start: int, encoding: str) -> list[tuple[str, str]]:
    """How the place around a byte reads in the usual code pages, so that whoever knows the language can choose."""
    begin = max(line.rfind(b" ", 0, start) + 1, start - 20)
    end = line.find(b" ", start) % (len(line) + 1)
    piece = line[begin : min(end, start + 20)].strip()
    readings: dict[str, str] = {}
    for page in _CODE_PAGES:
        try:
            text = piece.decode(page)
        except UnicodeDecodeError:
            continue
        if page != encoding and text.isprintable():
            readings.setdefault(text, page)
    return [(page, text) for text, page in readings.items()][:3]


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that Python does not know, or that is not one of text.

    Raises:
        ValueError: it names the encoding.
    """
    try:
        "\n".encode(encoding)  # refuses encodings that are not of text, such as hex
    except (LookupError, ValueError, TypeError):
        raise ValueError(
            f"encoding={encoding!r} is unknown: use Python's names of encodings of text, such as utf-8 or latin-1"
        ) from None
