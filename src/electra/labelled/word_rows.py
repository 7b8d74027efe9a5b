"""Tables with one word per row -> sentences of words and tags, by a column that says which sentence a word is in"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from electra.files.lines import Refuse, refuse
from electra.labelled.records import Record, is_tagged, stream_records

WORD_COLUMNS = ("word", "words", "token", "tokens", "form")
TAG_COLUMNS = ("tag", "tags", "ner_tag", "ner_tags", "ner", "label", "labels", "chunk", "pos")
SENTENCE_COLUMNS = (
    "sentence_id", "sentence #", "sentence_idx", "sentence_number", "sentence_no", "sentence id", "sent_id", "sent_idx",
    "sentence", "sent", "sentence_key", "sid",
)  # fmt: skip


def group_words(records: Sequence[Record], columns: Mapping[str, str], refuse_row: Refuse) -> list[Record]:
    """Sentences, from rows of one word and its tag each; other records as they are.

    The rows of a sentence follow one another. The column of the sentence has its number or name in each of them, or
    only in the first one and nothing in the others.

    Args:
        records: of a table.
        columns: which columns `tokens`, `tags` and `sentence` are, where they have no common name.
        refuse_row: called with the complaint about a row without a word or tag.

    Raises:
        ValueError: rows of one word each without a column of the sentence; a sentence whose rows stand apart.
    """
    names = list(records[0].values) if records else []
    word = _column(names, columns.get("tokens"), WORD_COLUMNS)
    tag = _column(names, columns.get("tags"), TAG_COLUMNS)
    if word is None or tag is None or not all(_is_single(record, word, tag) for record in records):
        return list(records)
    sentence = _column([name for name in names if name not in (word, tag)], columns.get("sentence"), SENTENCE_COLUMNS)
    if sentence is None:
        if len(records) < 2:
            return list(records)
        raise ValueError(
            f"{records[0].where}: every row has one word and its tag, and no column says which words are a sentence: "
            f"name it (--columns sentence=…; there is {', '.join(names)}), or give sentences as lists of words"
        )
    return _grouped(records, word, tag, sentence, refuse_row)


def _column(names: Sequence[str], given: str | None, usual: Sequence[str]) -> str | None:
    if given is not None:
        return given if given in names else None
    lower = {name.lower().strip(): name for name in reversed(names)}
    return next((lower[name] for name in usual if name in lower), None)


def _is_single(record: Record, word: str, tag: str) -> bool:
    """Whether it has no more than one word and one tag, both strings (or the tag a number)."""
    words, tags = record.values.get(word), record.values.get(tag)
    one_word = words is None or (isinstance(words, str) and words[:1] != "[" and " " not in words)
    return one_word and (tags is None or isinstance(tags, int) or (isinstance(tags, str) and " " not in tags))


def _sentence_name(record: Record, column: str) -> str:
    """What the row says its sentence is; nothing where the cell is empty, or says in words that it is."""
    name = record.values.get(column)
    if name is None or name != name or str(name).strip() in ("nan", "NaN", "<NA>"):  # NaN is not equal to itself
        return ""
    return str(name).strip()


def _grouped(records: Sequence[Record], word: str, tag: str, sentence: str, refuse_row: Refuse) -> list[Record]:
    if len(records) > 1 and all(_sentence_name(record, sentence) == "" for record in records):
        raise ValueError(
            f"{records[0].where}: the column {sentence!r} of the sentence is empty in every row: the file would be one "
            "sentence. Give each sentence's first row its number or name"
        )
    found: list[Record] = []
    seen: dict[str, int] = {}
    current: str | None = None
    for record in records:
        words, tags = record.values.get(word), record.values.get(tag)
        name = _sentence_name(record, sentence)
        if found and name in ("", current):
            values = found[-1].values
        else:
            if name in seen:
                raise ValueError(
                    f"{record.where}: sentence {name!r} began on line {seen[name]} and others stand between: sort the "
                    "rows by sentence"
                )
            seen[name], current = record.line, name
            values = {"tokens": [], "tags": [], **({"id": name} if name else {})}
            found.append(Record(values, record.source, record.line))
        if words is None or words == "" or tags is None or tags == "":
            refuse_row(f"{record.where}: no {(word if words in (None, '') else tag)!r} in this row")
            continue
        values["tokens"].append(words)
        values["tags"].append(tags if isinstance(tags, str) else str(tags))
    return [record for record in found if record.values["tokens"]]


def unlabelled_records(
    source: Path,
    *,
    words: bool,
    columns: Mapping[str, str],
    header: Sequence[str] = (),
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """The records of a file, a folder or a pattern, one at a time; tables of words are read whole.

    Args:
        source: of any format that labelled examples have.
        words: whether the task reads lists of words, so that rows of one word each are sentences.
        columns: which columns the user says the parts of an example are in. Words are under this name too.
        header: what the columns of a file are called whose first line does not name any of them.
        encoding: of the text.

    Raises:
        ValueError: see `read_records` and `group_words`.
    """
    records = stream_records(source, header=header, encoding=encoding, columns=columns)
    if not words:
        yield from records
        return
    rows = list(records)
    if not rows:
        raise ValueError(f"{source} holds no examples")
    sentences = group_words(rows, columns, refuse)
    made = sentences[0] is not rows[0] or is_tagged(sentences[0].source) if sentences else False
    name = columns.get("tokens")
    for sentence in sentences:
        if made and name is not None and name not in sentence.values and "tokens" in sentence.values:
            sentence = replace(sentence, values={**sentence.values, name: sentence.values["tokens"]})
        yield sentence
