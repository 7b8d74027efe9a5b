"""Sentences from Python's own documentation: text that every machine with Python has."""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

LEFT_OUT = {"test", "tests", "idle_test", "lib2to3", "site-packages", "dist-packages", "turtledemo"}


@dataclass(frozen=True)
class Source:
    """The sentences of one file or topic; none of them is in another source."""

    name: str
    sentences: tuple[str, ...]


def gather() -> list[Source]:
    """Collect sentences from Python's help topics and the standard library's docstrings (files are parsed, not run).

    Returns:
        One source for each topic or file; a sentence that several have is in the first one only.

    Raises:
        OSError: this Python has no source files of its standard library.
    """
    texts = [*sorted(topics.items()), *_docstrings(Path(sysconfig.get_path("stdlib")))]
    seen: set[str] = set()
    sources = []
    for name, text in texts:
        new = [sentence for sentence in sentences(text) if not (sentence in seen or seen.add(sentence))]  # type: ignore[func-returns-value]
        if new:
            sources.append(Source(name, tuple(new)))
    if sum(len(source.sentences) for source in sources) < 5000:
        raise OSError("this Python comes without the source of its standard library, which the quickstart reads")
    return sources


def sentences(text: str) -> Iterator[str]:
    """The sentences of the text's prose, without code, tables, argument lists and markup."""
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in paragraph.splitlines()]
        if not any(line.startswith(_NOT_PROSE) for line in lines):
            plain = _MARKUP.sub(lambda match: next(filter(None, match.groups())), " ".join(lines))
            plain = plain.replace("``", "'").replace("''", "'")  # TeX's quotes
            yield from filter(_is_prose, _BETWEEN_SENTENCES.split(plain.strip()))


_NOT_PROSE = (">>>", "...", "--", "==", "~~", "**", "|", "+-", ".. ")
_MARKUP = re.compile(r":[\w:]+:`([^`]+)`|``([^`]+)``|`([^`]+)`|\*\*([^*]+)\*\*|(?<!\w)\*([^*\s][^*]*)\*(?!\w)")
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def _is_prose(sentence: str) -> bool:
    letters = sum(character.isalpha() or character == " " for character in sentence)
    whole = sentence[:1].isupper() and sentence[-1:] in ".!?"
    return whole and 5 <= len(sentence.split()) <= 40 and letters > 0.9 * len(sentence)


def _docstrings(library: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(library.rglob("*.py")):
        if LEFT_OUT.isdisjoint(path.relative_to(library).parts):
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):  # the library has files with deliberate syntax errors
                continue
            yield path.relative_to(library).as_posix(), "\n\n".join(_documented(tree))


def _documented(tree: ast.Module) -> Iterator[str]:
    """The docstrings of a module, its classes and its functions, in order."""
    waiting: list[ast.stmt | ast.Module] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""
            waiting.extend(reversed(node.body))
