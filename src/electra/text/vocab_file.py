"""vocab.txt: one token per line, its id is the line's number counted from 0."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from electra.text.backend import CONTINUATION, Casing

logger = logging.getLogger("electra")

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

STRAYS_SHARE = 0.01  # an uncased vocabulary may hold a few capitals (`<S>`, `[unused1]`), a cased one holds very many


def read_tokens(path: str | Path, *, strict: bool = True) -> list[str]:
    """The tokens of a vocab.txt in order.

    `strict` refuses an empty line or a token that comes twice. Otherwise they stand, with one warning: of two equal
    lines the later one counts, as in Google's code, so that a published checkpoint keeps its ids.
    Raises ValueError, naming file and line, also for an empty file and for one that is not UTF-8.
    """
    tokens = _decode(Path(path)).rstrip("\n").split("\n")
    if tokens == [""]:
        raise ValueError(f"{path}: the vocabulary is empty; it needs one token per line")
    complaint = _complaint(path, tokens)
    if complaint and strict:
        raise ValueError(f"{complaint}; each line must be another token, because a token's id is its line's number")
    if complaint:
        logger.warning("%s; the last line with a token gives its id", complaint)
    return tokens


def index(tokens: Sequence[str]) -> dict[str, int]:
    """Token -> id. Of equal tokens the last counts, and a placeholder keeps the earlier one's id from being given to
    a token that is added later."""
    last = {token: number for number, token in enumerate(tokens)}
    return {token if last[token] == number else _placeholder(number): number for number, token in enumerate(tokens)}


def as_vocabulary(source: str | Path | Mapping[str, int] | Sequence[str] | None) -> Mapping[str, int]:
    """Token -> id from a file's path, from tokens in order, or as it is; of None the five special tokens alone.

    Raises ValueError where a token comes twice or the ids are not 0, 1, 2 and so on.
    """
    if isinstance(source, (str, Path)):
        source = read_tokens(source)
    if not isinstance(source, Mapping):
        tokens = list(SPECIAL_TOKENS if source is None else source)
        complaint = _complaint("vocab", tokens)
        if complaint:
            raise ValueError(f"{complaint}; each token must be another one")
        return index(tokens)
    free = sorted(set(range(len(source))) - set(source.values()))
    if free:
        raise ValueError(
            f"vocab: no token has the id {free[0]}; {len(source)} tokens need the ids 0 to {len(source) - 1}"
        )
    return source


def vocabulary_text(vocabulary: Mapping[str, int]) -> str:
    """The text of a vocab.txt. An id without a token gets a line that no text can match."""
    by_id = {number: token for token, number in vocabulary.items()}
    return "".join(by_id.get(number, _placeholder(number)) + "\n" for number in range(max(by_id, default=-1) + 1))


def _placeholder(number: int) -> str:
    return f"[no token {number}]"


def infer_casing(tokens: Sequence[str]) -> Casing:
    """Which casing a vocabulary was made for: one with capitals is cased; a lower-case one with accents keeps them."""
    words = [token.removeprefix(CONTINUATION) for token in tokens if not token.startswith(("[", "<"))]
    words = [word for word in words if word.lower() != word.upper()]
    few = STRAYS_SHARE * len(words)
    if sum(word != word.lower() for word in words) > few:
        return Casing(lowercase=False)
    return Casing(lowercase=True, strip_accents=False if sum(map(_has_accent, words)) > few else None)


def describe(casing: Casing) -> str:
    if not casing.lowercase:
        return "cased (it has upper-case letters)"
    return "uncased" if casing.strip_accents is None else "uncased, accents kept (it has accented letters)"


def _decode(path: Path) -> str:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: there is no such vocabulary file") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 text; a vocabulary is a text file in UTF-8") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}, line {line}: a zero byte; a vocabulary is a text file, one token per line")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _complaint(path: str | Path, tokens: Sequence[str]) -> str | None:
    seen: dict[str, int] = {}
    for line, token in enumerate(tokens, start=1):
        if not token:
            return f"{path}, line {line}: the line is empty"
        if token in seen:
            return f"{path}, line {line}: {token!r} is already on line {seen[token]}"
        seen[token] = line
    return None


def _has_accent(word: str) -> bool:
    return any(unicodedata.category(character) == "Mn" for character in unicodedata.normalize("NFD", word))
