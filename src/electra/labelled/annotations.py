"""Exports of annotation tools (doccano, Label Studio, Prodigy, spaCy): character spans -> words and tags"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from electra.files.lines import Refuse
from electra.labelled.cells import read_cell
from electra.labelled.records import Record
from electra.metrics.tag_schemes import OUTSIDE

TEXT_KEYS = ("text", "data", "sentence", "content", "document")
SPAN_KEYS = ("spans", "entities", "label", "labels", "annotations", "ents")
STARTS = ("start", "start_offset", "start_char", "begin")
ENDS = ("end", "end_offset", "end_char", "stop")
NAMES = ("label", "labels", "tag", "entity", "type", "entity_group", "class")
_ANSWERS = ("accept", "reject", "ignore")
"""What Prodigy's users say of an example."""
_WORD = re.compile(r"\w+|[^\w\s]")
"""Words and punctuation marks, each apart, as BERT's tokenizer parts them."""


@dataclass(frozen=True)
class _Span:
    start: int
    end: int
    label: str
    text: str | None = None


def plain_records(records: Sequence[Record], refuse_row: Refuse, notices: list[str]) -> list[Record]:
    """Records with `tokens` and `tags` in place of character spans, and `label` in place of choices.

    Other records stay as they are.

    Args:
        records: of a file.
        refuse_row: called with the complaint about spans at which no word begins or ends, that overlap or lie outside
            of the text.
        notices: what was left out (rejected and skipped annotations) is added here.
    """
    made = [_from_label_studio(record, refuse_row) for record in records]
    plain = [record for record in made if record is not None]
    plain = _accepted(plain, notices)
    key, text = _columns(plain)
    if key is None or text is None:
        return plain
    tagged = []
    for record in plain:
        try:
            tagged.append(replace(record, values=_tagged(record.values, text, key)))
        except ValueError as error:
            refuse_row(f"{record.where}: {error}")
    return tagged


def _columns(records: Sequence[Record]) -> tuple[str | None, str | None]:
    """The column in which every record has a list of spans, and one that is not empty; and the column of the text."""
    for key in SPAN_KEYS:
        lists = [_list(record.values.get(key)) for record in records]
        every = [one for spans in lists for one in spans or ()]
        if every and None not in lists and all(map(_read, every)):
            text = next((name for name in TEXT_KEYS if all(isinstance(r.values.get(name), str) for r in records)), None)
            return key, text
    return None, None


def _list(value: Any) -> list[Any] | None:
    """A list, also one that was written into a cell; nothing is an empty one."""
    if value is None or value == "":
        return []
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = read_cell(value)
        except ValueError:
            return None
    return list(value) if isinstance(value, (list, tuple)) else None


def _read(value: Any) -> _Span | None:
    """A span: `[0, 3, "PER"]`, or an object with its start, end and label."""
    if isinstance(value, (list, tuple)) and len(value) == 3:
        start, end, label = value
        return _Span(start, end, label) if _is_place(start) and _is_place(end) and isinstance(label, str) else None
    if not isinstance(value, Mapping):
        return None
    start = next((value[name] for name in STARTS if name in value), None)
    end = next((value[name] for name in ENDS if name in value), None)
    label = next((value[name] for name in NAMES if name in value), None)
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if not (_is_place(start) and _is_place(end) and isinstance(label, str)):
        return None
    text = value.get("text")
    return _Span(int(start), int(end), label, text if isinstance(text, str) else None)  # type: ignore[arg-type]


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _tagged(values: Mapping[str, Any], text_column: str, key: str) -> dict[str, Any]:
    text = values[text_column]
    words = _words(values, text)
    spans = sorted((_read(one) for one in _list(values.get(key)) or ()), key=lambda span: (span.start, span.end))  # type: ignore[union-attr]
    tags = [OUTSIDE] * len(words)
    begins, ends = {start: i for i, (start, _) in enumerate(words)}, {end: i for i, (_, end) in enumerate(words)}
    for span in spans:
        assert span is not None
        span = _placed(span, text)
        shown = f"the span {span.start}-{span.end} ({text[span.start : span.end]!r}, {span.label})"
        for place, known, what in ((span.start, begins, "begins"), (span.end, ends, "ends")):
            if place not in known:
                inside = next((text[a:b] for a, b in words if a < place < b), None)
                where = f"inside the word {inside!r}" if inside is not None else "where no word does"
                raise ValueError(f"{shown} {what} {where}: move it to the border of a word")
        first, last = begins[span.start], ends[span.end]
        if any(tag != OUTSIDE for tag in tags[first : last + 1]):
            raise ValueError(f"{shown} overlaps another span: a word has one tag, keep one of them")
        tags[first : last + 1] = [f"B-{span.label}", *[f"I-{span.label}"] * (last - first)]
    others = {name: value for name, value in values.items() if name not in (text_column, key, "tokens")}
    return {**others, "tokens": [text[start:end] for start, end in words], "tags": tags}


def _words(values: Mapping[str, Any], text: str) -> list[tuple[int, int]]:
    """Where the words of a text begin and end: Prodigy's tokens, if it has any."""
    tokens = values.get("tokens")
    if isinstance(tokens, list) and tokens and all(isinstance(one, Mapping) and "start" in one for one in tokens):
        return [(token["start"], token["end"]) for token in tokens]
    return [match.span() for match in _WORD.finditer(text)]


def _placed(span: _Span, text: str) -> _Span:
    """The span in Python's characters. A span that has its text may be counted in UTF-16, as JavaScript does."""
    if not 0 <= span.start < span.end or (span.text is None and span.end > len(text)):
        raise ValueError(f"the span {span.start}-{span.end} ({span.label}) is not in the text, of {len(text)} letters")
    if span.text is None or text[span.start : span.end] == span.text:
        return span
    units = text.encode("utf-16-le")
    start = len(units[: 2 * span.start].decode("utf-16-le", "replace"))
    end = len(units[: 2 * span.end].decode("utf-16-le", "replace"))
    if text[start:end] == span.text:
        return replace(span, start=start, end=end)
    there = text[span.start : span.end]
    raise ValueError(f"the span {span.start}-{span.end} is {there!r} in the text, and {span.text!r} in the export")


def _accepted(records: Sequence[Record], notices: list[str]) -> list[Record]:
    """Without what was rejected or ignored in Prodigy; its choices as labels."""
    answered = all(record.values.get("answer") in _ANSWERS for record in records)
    labelled = answered and any("label" in record.values for record in records)
    if not labelled and not any(_is_of_prodigy(record.values) for record in records):
        return list(records)
    kept = [record for record in records if record.values.get("answer", "accept") == "accept"]
    if len(kept) < len(records):
        notices.append(f"{len(records) - len(kept)} annotations that were not accepted are left out")
    return [
        replace(record, values={**record.values, "label": list(record.values["accept"])})
        if isinstance(record.values.get("accept"), list)
        else record
        for record in kept
    ]


def _is_of_prodigy(values: Mapping[str, Any]) -> bool:
    return values.get("answer") in _ANSWERS and not {
        "_task_hash", "_input_hash", "spans", "accept", "_view_id",
    }.isdisjoint(values)  # fmt: skip


def _from_label_studio(record: Record, refuse_row: Refuse) -> Record | None:
    """A task of Label Studio's JSON as a plain record; None if nobody annotated it. Other records as they are."""
    values = record.values
    done = values.get("annotations", values.get("completions"))
    if not isinstance(values.get("data"), Mapping) or not isinstance(done, list):
        return record
    valid = [one for one in done if isinstance(one, Mapping) and not one.get("was_cancelled")]
    results = [[part for part in one.get("result", []) if isinstance(part, Mapping)] for one in valid]
    if not results:
        refuse_row(f"{record.where}: the task has no annotation: annotate it, or leave it out of the export")
        return None
    labels = [[part for part in result if part.get("type") in ("labels", None)] for result in results]
    spans = [[_read(part.get("value")) for part in result] for result in labels]
    choices = [[c for part in result for c in (part.get("value") or {}).get("choices", [])] for result in results]
    if any(one != spans[0] for one in spans) or any(one != choices[0] for one in choices):
        refuse_row(f"{record.where}: {len(results)} annotations that differ: export the one that counts")
        return None
    made: dict[str, Any] = {**values["data"], **({"id": values["id"]} if "id" in values else {})}
    if choices[0]:
        made["label"] = choices[0] if len(choices[0]) > 1 else choices[0][0]
    else:
        made["spans"] = [
            {"start": span.start, "end": span.end, "label": span.label, "text": span.text} for span in spans[0] if span
        ]
    return replace(record, values=made)
