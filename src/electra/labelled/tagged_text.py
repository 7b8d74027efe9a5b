"""Tagged text (CoNLL's formats) -> sentences of words and tags: a word to a line, a blank line after a sentence"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from electra.files.lines import Line, Refuse, Row
from electra.metrics.tag_schemes import OUTSIDE, recognise_scheme, unrecognised
from electra.validation import did_you_mean

log = logging.getLogger("electra")

SUFFIXES = (".conll", ".bio", ".iob", ".bioes", ".iob2", ".iobes", ".bmes", ".conllu", ".conllup")
CONLL_2003 = (".train", ".testa", ".testb")
"""As in eng.train."""
CONLLU = (".conllu", ".conllup")
CONLLU_COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
DOCUMENT = "-DOCSTART-"
"""What stands in place of a word where a document begins."""
GLOBAL_COLUMNS = "# global.columns ="
"""How the line begins that names the columns of a CoNLL-U Plus file."""
_COMMENT = re.compile(r"#\s*(id\s|[\w.:-]+\s*=)")
"""How a line begins that says something of a sentence: `# id 1-abc` (MultiCoNER), `# sent_id = 1`, `# text = …`."""
_CONLLU_ID = re.compile(r"\d+([-.]\d+)?")
_BLANKS = re.compile(r"[ \t]+")
"""What separates columns where there are no tabs. Other white space (U+00A0, U+3000) occurs as words."""


@dataclass
class _Sentence:
    """The lines of a sentence, and what is wrong with one of them."""

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    first_line: int = 0
    complaint: str = ""


def sentences(
    path: Path,
    lines: Iterable[Line],
    refuse_row: Refuse,
    columns: Mapping[str, str] | None = None,
    *,
    tags_required: bool = True,
) -> Iterator[Row]:
    """Each sentence with its `tokens` and `tags`, at the line on which it begins.

    Columns are separated by tabs, or else by spaces. Words are in the first column (the second, where the first one
    counts the words), tags in the last; of CoNLL-U in FORM and UPOS, without the lines of multiword tokens and empty
    nodes. Tags of entities become IOB2, whichever scheme they are in.

    Args:
        path: for messages; its suffix may say that it is CoNLL-U.
        lines: of the file.
        refuse_row: called with the complaint about a sentence in which a line has too few or too many columns.
        columns: where `tokens` and `tags` are: numbers from 1, or names that the first line or CoNLL-U has.
        tags_required: whether a file with words alone is refused.

    Raises:
        ValueError: by `refuse_row`; and for columns that the file does not have, or of which it cannot be said which
            has the tags.
    """
    wanted = {key: name for key, name in (columns or {}).items() if key in ("tokens", "tags")}
    found, names = _sentences(path, list(lines), wanted)
    sound = []
    for sentence in found:
        if sentence.complaint:
            refuse_row(sentence.complaint)
        else:
            sound.append(sentence)
    if not sound:
        return
    width = len(sound[0].rows[0])
    words, tags = _places(path, sound, names, wanted, width, tags_required)
    for sentence in sound:
        for number, row in zip(sentence.lines, sentence.rows, strict=True):
            if not row[words] or (tags is not None and not row[tags]):
                sentence.complaint = f"{path}:{number}: the line has no {'tag' if row[words] else 'word'}"
                refuse_row(sentence.complaint)
                break
    sound = [sentence for sentence in sound if not sentence.complaint]
    meaning = None
    if tags is not None:
        every = {row[tags] for sentence in sound for row in sentence.rows}
        meaning = recognise_scheme(every)
        if others := unrecognised(every):
            log.warning(
                "%s: the tags %s fit no tag scheme, the others do: words are scored, not entities",
                path,
                ", ".join(others[:10]),
            )
    for sentence in sound:
        values = {"tokens": [row[words] for row in sentence.rows]}
        if tags is not None:
            own = [row[tags] for row in sentence.rows]
            values["tags"] = own if meaning is None else meaning.to_iob2(own)
        yield Row(sentence.first_line, values)


def _sentences(path: Path, lines: Sequence[Line], wanted: Mapping[str, str]) -> tuple[list[_Sentence], list[str]]:
    """The sentences of a file, and the names of its columns, if it has any."""
    widths = Counter(
        len(_fields(line.text)) for line in lines if not line.text.startswith("#") and line.text.strip(" \t\r\n")
    )
    usual = widths.most_common(1)[0][0] if widths else 0
    universal = path.name.lower().endswith(CONLLU) or _is_conllu(lines)
    names = list(CONLLU_COLUMNS) if universal else []
    found, sentence = [], _Sentence()
    for number, text, _ in chain(lines, [Line(0, "")]):  # a blank line ends the last sentence
        if text.startswith(GLOBAL_COLUMNS):
            names = text.removeprefix(GLOBAL_COLUMNS).split()
        if text.startswith("#") and _is_comment(text, usual, universal, begins=not sentence.rows):
            continue
        fields = _fields(text)
        if not any(fields) or fields[0] == DOCUMENT:
            if sentence.rows or sentence.complaint:
                found.append(sentence)
            sentence = _Sentence()
        elif not found and not sentence.rows and not names and _is_header(fields, wanted):
            names = fields
        elif not universal or fields[0].isdecimal():  # neither 3-4, a multiword token, nor 8.1, an empty node
            sentence.first_line = sentence.first_line or number
            sentence.rows.append(fields)
            sentence.lines.append(number)
            sentence.complaint = sentence.complaint or _complaint(path, number, fields, sentence, usual)
    for sentence in found:
        if not sentence.complaint and len(sentence.rows[0]) != usual and found:
            sentence.complaint = (
                f"{path}:{sentence.first_line}: {_count(sentence.rows[0])}, most lines of the file have {usual}"
            )
    return found, names


def _complaint(path: Path, number: int, fields: Sequence[str], sentence: _Sentence, usual: int) -> str:
    """What is wrong with a line, by how many columns it has; nothing where it is sound."""
    if len(fields) < 2 <= usual:
        return f"{path}:{number}: 1 column, where a word and its tag are needed"
    first = len(sentence.rows[0])
    if len(fields) != first:
        return f"{path}:{number}: {_count(fields)}, the sentence's first line has {first}"
    return ""


def _count(fields: Sequence[str]) -> str:
    return f"{len(fields)} column{'s' * (len(fields) != 1)}"


def _fields(text: str) -> list[str]:
    if "\t" in text:
        return text.rstrip("\r\n").split("\t")
    stripped = text.strip(" \t\r\n")
    return _BLANKS.split(stripped) if stripped else []


def _is_conllu(lines: Sequence[Line]) -> bool:
    """Whether every line has CoNLL-U's ten columns, the first of which counts."""
    rows = [line.text.split("\t") for line in lines if line.text.strip() and not line.text.startswith("#")]
    return bool(rows) and all(len(row) == len(CONLLU_COLUMNS) and _CONLLU_ID.fullmatch(row[0]) for row in rows)


def _is_comment(text: str, usual: int, universal: bool, *, begins: bool) -> bool:
    """Whether a line that begins with # is no word: # may be one, and is followed by its tag then."""
    if universal:
        return True
    return begins and (bool(_COMMENT.match(text)) or len(_fields(text)) != usual)


def _is_header(fields: Sequence[str], wanted: Mapping[str, str]) -> bool:
    """Whether a file's first line names its columns: all that were asked for by name, or a word and a tag."""
    named = [name for name in wanted.values() if not name.isdecimal()]
    if named:
        return set(named) <= set(fields)
    lower = [name.lower() for name in fields]
    return lower[0] in ("word", "words", "token", "tokens", "form") and any(
        name in ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "pos") for name in lower[1:]
    )


def _places(
    path: Path,
    found: Sequence[_Sentence],
    names: Sequence[str],
    wanted: Mapping[str, str],
    width: int,
    tags_required: bool,
) -> tuple[int, int | None]:
    """Which columns the words and the tags are in, counted from 0."""
    universal = list(names[: len(CONLLU_COLUMNS)]) == list(CONLLU_COLUMNS)
    counts = width > 2 and all(_counts_words(sentence.rows) for sentence in found)
    usual = (1, 3) if universal else (int(counts), width - 1)
    words = _place(path, "tokens", wanted, names, width, usual[0])
    if "tags" not in wanted and width < 2:
        if tags_required:
            raise ValueError(f"{path}:{found[0].first_line}: 1 column, where a word and its tag are needed")
        return words, None
    if not universal and "tags" not in wanted:
        tagged = [
            column
            for column in range(words + 1, width)
            if recognise_scheme({row[column] for sentence in found for row in sentence.rows})
        ]
        last = {row[width - 1] for sentence in found for row in sentence.rows}
        elsewhere = tagged and width - 1 not in tagged and last != {OUTSIDE}
        if elsewhere or (counts and len(tagged) > 1):
            raise ValueError(
                f"{path}: column{'s' * (len(tagged) > 1)} {' and '.join(str(column + 1) for column in tagged)} "
                f"{'have' if len(tagged) > 1 else 'has'} tags of entities"
                f"{', and the last one has none' if elsewhere else ''}: say which one is meant (--columns "
                f"tokens={words + 1},tags={tagged[0] + 1})"
            )
        if counts and len(tagged) == 1 and tagged != [width - 1] and not elsewhere:
            # GermEval has nested entities in its last column, and few sentences have any
            log.warning("%s: the last column is O throughout: tags are read from column %d", path, tagged[0] + 1)
            return words, tagged[0]
    return words, _place(path, "tags", wanted, names, width, usual[1])


def _counts_words(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column counts the words, from 0 or 1."""
    numbers = [row[0] for row in rows]
    return any(numbers == [str(i) for i in range(first, first + len(rows))] for first in (0, 1))


def _place(path: Path, key: str, wanted: Mapping[str, str], names: Sequence[str], width: int, usual: int) -> int:
    name = wanted.get(key)
    if name is None:
        return usual
    if name.isdecimal() and 1 <= int(name) <= width:
        return int(name) - 1
    if name in names[:width]:
        return list(names).index(name)
    present = f", {', '.join(names)}" if names else ""
    raise ValueError(
        f"{path}: columns has {key}={name!r}, and the file's columns are the numbers 1 to {width}{present}"
        f"{did_you_mean(name, names)}"
    )
