"""vocab.txt: one token per line, its id is the line's number counted from 0."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from electra.text.backend import CONTINUATION, Casing

logger = logging.getLogger("electra")

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

STRAY_FRACTION = 0.01
"""An uncased vocabulary may hold a few capitals (names of special tokens), a cased one holds very many."""


def read_tokens(path: str | Path, *, strict: bool = True) -> list[str]:
    """The tokens of a vocab.txt in order.

    Args:
        path: the file.
        strict: refuse an empty line or a token that occurs twice. Otherwise they are kept, with one warning: of two
            equal lines the later one counts, as in Google's code, so that a published checkpoint keeps its ids.

    Raises:
        ValueError: the file is empty, no UTF-8, no list of tokens, or not strict; the message names file and line.
    """
    text = _decode(Path(path))
    if text.lstrip().startswith("{") and '"' in text[:200] and Path(path).suffix == ".json":
        raise ValueError(
            f"{path}: this is JSON, and a vocabulary is a text file with one token per line; a tokenizer.json is "
            "read by ElectraTokenizer(tokenizer_file=…)"
        )
    tokens = text.rstrip("\n").split("\n")
    if tokens == [""]:
        raise ValueError(f"{path}: the vocabulary is empty; it needs one token per line")
    complaint = _complaint(path, tokens)
    if complaint and strict:
        raise ValueError(f"{complaint}; each line must be another token, because a token's id is its line's number")
    if complaint:
        logger.warning("%s; the last line with a token gives its id", complaint)
    return tokens


def index(tokens: Sequence[str]) -> dict[str, int]:
    """Token -> id. Of equal tokens the last counts; a placeholder takes the earlier one's id, or a token that is added
    later would get it.
    """
    last = {token: number for number, token in enumerate(tokens)}
    return {token if last[token] == number else _placeholder(number): number for number, token in enumerate(tokens)}


def as_vocabulary(source: str | Path | Mapping[str, int] | Sequence[str] | None) -> Mapping[str, int]:
    """Token -> id from a file's path, from tokens in order, or as it is; from None the five special tokens alone.

    Raises:
        ValueError: a token occurs twice, or the ids are not 0, 1, 2 and so on.
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
    """Which casing a vocabulary was made for.

    Pieces with capitals mean a cased one. A single piece that stripping would change means that accents were kept: text
    without marks has no such pieces, and with stripping its words would never be found. That holds for é, and for all
    that Unicode decomposes or counts as a mark: Hangul, kana, vowel signs of Devanagari, Thai and Tamil, points.
    """
    pieces = [token.removeprefix(CONTINUATION) for token in tokens if not token.startswith(("[", "<"))]
    with_case = [piece for piece in pieces if piece.lower() != piece.upper()]
    if sum(piece != piece.lower() for piece in with_case) > STRAY_FRACTION * len(with_case):
        return Casing(lowercase=False)
    return Casing(lowercase=True, strip_accents=False if any(map(_stripping_changes, pieces)) else None)


def describe(casing: Casing) -> str:
    """The casing in words, with what it is inferred from."""
    if not casing.lowercase:
        return "cased (it has upper-case letters)"
    return (
        "uncased" if casing.strip_accents is None else "uncased, accents kept (it has letters that stripping changes)"
    )


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


def warn_of_stripping(name: str | Path, tokens: Iterable[str]) -> None:
    """Warn where a tokenizer strips accents, as BERT does with do_lower_case, of which the vocabulary has many."""
    lost = [token for token in tokens if _stripping_changes(token)]
    if lost:
        logger.warning(
            "%s: the tokenizer strips accents, so that it never finds %d tokens of the vocabulary, such as %s. "
            "Pass strip_accents=False to keep accents",
            name,
            len(lost),
            ", ".join(map(repr, lost[:3])),
        )


def _stripping_changes(piece: str) -> bool:
    decomposed = unicodedata.normalize("NFD", piece)
    return decomposed != piece or any(unicodedata.category(character) == "Mn" for character in piece)
