"""Bytes of a file -> text, with what is not text refused, or replaced and counted."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

INVALID = ("refuse", "replace")
REPLACEMENT = "\ufffd"


class NotTextError(Exception):
    """What is wrong with the text; the reader adds file and line."""


@dataclass(frozen=True)
class Decoding:
    """How bytes become text.

    encoding: a name that Python knows, whose line ends are the byte 0x0a.
    invalid: "refuse" bytes that are no text in it, or "replace" each run of them by U+FFFD.
    """

    encoding: str = "utf-8"
    invalid: str = "refuse"

    def __post_init__(self) -> None:
        check_encoding(self.encoding)
        if self.invalid not in INVALID:
            near = get_close_matches(str(self.invalid), INVALID, n=1)
            meant = f"; meant {near[0]}?" if near else ""
            raise ValueError(f"invalid_utf8={self.invalid!r}: allowed is {' or '.join(INVALID)}{meant}")

    def decode(self, line: bytes) -> tuple[str, int]:
        """The text, and how many places in it were replaced. Raises `NotTextError`, also for zero bytes."""
        if b"\0" in line:
            raise NotTextError("a zero byte: this is a binary file (an archive?) or UTF-16, not text")
        try:
            return line.decode(self.encoding), 0
        except UnicodeDecodeError as error:
            if self.invalid == "refuse":
                raise NotTextError(
                    f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line is not {self.encoding}: "
                    f"give the file's own encoding (latin-1?), convert it to utf-8 (iconv -f LATIN1 -t UTF-8), or have "
                    f'such bytes replaced (--invalid-utf8 replace, invalid_utf8="replace")'
                ) from error
        text = line.decode(self.encoding, "replace")
        meant = line.decode(self.encoding, "ignore").count(REPLACEMENT)  # the file may hold the character itself
        return text, text.count(REPLACEMENT) - meant

    def clean(self, text: str) -> tuple[str, int]:
        """The same for text that was decoded by others (JSON's escapes), in which half a surrogate pair is no text."""
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            if self.invalid == "refuse":
                raise NotTextError(
                    f"\\u{ord(text[error.start]):04x} is half of a surrogate pair, and no character: repair the file, "
                    f'or have such characters replaced (--invalid-utf8 replace, invalid_utf8="replace")'
                ) from error
            there = text.count(REPLACEMENT)
            text = "".join(REPLACEMENT if "\ud800" <= one <= "\udfff" else one for one in text)
            return text, text.count(REPLACEMENT) - there
        return text, 0


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that is unknown, or whose line ends are not the byte 0x0a."""
    try:
        line_feed = "\n".encode(encoding)  # refuses encodings that are not of text, such as hex
    except LookupError:
        raise ValueError(
            f"encoding={encoding!r} is unknown: use Python's names of encodings of text, such as utf-8 or latin-1"
        ) from None
    if line_feed != b"\n":
        raise ValueError(f"encoding={encoding!r} cannot be read line by line: convert the files to utf-8 first")
