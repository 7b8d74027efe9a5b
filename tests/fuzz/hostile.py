"""Hostile values: strings, JSON values, damaged bytes."""

from __future__ import annotations

import json
import random
from typing import Any

PIECES = [
    "", " ", "a", "the cat", "[MASK]", "[CLS]", "[SEP]", "O", "B-PER", "label", "0", "1", "-1", "1e309", "NaN", "null",
    "true", "é", "e\u0301", "İ", "ß", "서울", "日本語", "\u200b", "\u202e", "\ufeff", "\u00a0", "\u3000", "\U0001f600",
    "\ud800", "\x00", "\x1b[31m", "\r", "\n", "\t", '"', "'", "\\", ",", ";", "|", "<script>alert(1)</script>", "&amp;",
    "](x)", "`", "# ", "{{7*7}}", "{%", "%s", "../../x", "a" * 200, "9" * 5000, "∞", "١٢", "__class__",
    "text", "tokens",
]  # fmt: skip

BYTES = [b"\0", b"\r", b"\r\n", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\t", b",", b"\x80"]


def text(random: random.Random, most: int = 6) -> str:
    """A string of up to so many pieces."""
    return "".join(random.choice(PIECES) for _ in range(random.randint(0, most)))


def encodable(random: random.Random, most: int = 6) -> str:
    """The same without lone surrogates."""
    return text(random, most).encode("utf-8", "replace").decode()


def value(random: random.Random, depth: int = 3) -> Any:
    """Any JSON value, or nearly one."""
    kind = random.randrange(12 if depth else 9)
    if kind < 3:
        return text(random)
    if kind < 9:
        return random.choice(
            [None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, 1e400, -0.0, 0.5, float("nan"), 10**30, 3, 7]
        )
    if kind == 11:
        return {text(random, 2): value(random, depth - 1) for _ in range(random.randint(0, 3))}
    return [value(random, depth - 1) for _ in range(random.randint(0, 3))]


def damaged(random: random.Random, data: bytes) -> bytes:
    """The bytes with something cut, flipped, doubled, put in or recoded."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(changed) + 1)
        kind = random.randrange(6)
        if kind == 0:
            del changed[place:]
        elif kind == 1 and changed:
            changed[min(place, len(changed) - 1)] ^= 1 << random.randrange(8)
        elif kind == 2:
            changed[place:place] = random.choice(
                [b"\0", b"\r", b"\r\n", b"\xff\xfe", b"\xef\xbb\xbf", b'"', b"\t", b",", b"\x80"]
            )
        elif kind == 3:
            changed[place:place] = changed[place : place + random.randint(1, 200)]
        elif kind == 4:
            del changed[place : place + random.randint(1, 50)]
        else:
            changed[place:place] = text(random).encode("utf-8", "surrogatepass")
    if random.random() < 0.1:
        return (
            bytes(changed)
            .decode("utf-8", "replace")
            .encode(random.choice(["utf-16", "utf-16-le", "cp1252", "utf-32"]), "replace")
        )
    return bytes(changed)


def json_text(random: random.Random, content: Any) -> bytes:
    """The value as JSON, now and then deep, long or broken."""
    kind = random.randrange(20)
    if kind == 0:
        return b"[" * 200_000
    if kind == 1:
        return b'{"a":' * 50_000
    if kind == 2:
        return b'{"vocab_size": ' + b"9" * 5000 + b"}"
    written = json.dumps(content, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    return damaged(random, written) if kind < 6 else written
