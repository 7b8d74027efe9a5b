"""SQuAD's JSON files (versions 1.1 and 2.0) -> questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from electra.files.lines import Refuse, Row, place_in


def questions(path: Path, articles: Any, refuse_row: Refuse) -> Iterator[Row]:
    """Each question by its number from 1: `id`, `question`, `context` and `answers`, none where it is impossible."""
    number = 0
    for paragraph in _paragraphs(path, articles):
        for question in paragraph["qas"]:
            number += 1
            if isinstance(question, Mapping) and question.get("is_impossible") and question.get("answers"):
                refuse_row(f"{place_in(path, number)}: the question is_impossible, and it has answers: one is wrong")
            elif isinstance(question, Mapping) and "question" in question:
                yield Row(number, _columns(question, paragraph["context"]))
            else:
                refuse_row(f"{place_in(path, number)}: the question has no 'question' in it")


def _paragraphs(path: Path, articles: Any) -> Iterator[Mapping[str, Any]]:
    """All paragraphs of all articles."""
    for article in articles if isinstance(articles, list) else [None]:
        paragraphs = article.get("paragraphs") if isinstance(article, Mapping) else None
        if not isinstance(paragraphs, list) or not all(map(_is_paragraph, paragraphs)):
            raise ValueError(
                f"{path}: a .json file is to be one of SQuAD: data, a list of articles with paragraphs, each with its "
                "context and qas. Examples in JSON lines belong in a file that ends in .jsonl"
            )
        yield from paragraphs


def _is_paragraph(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("qas"), list) and isinstance(value.get("context"), str)


def _columns(question: Mapping[str, Any], context: str) -> dict[str, Any]:
    answers = [] if question.get("is_impossible") else question.get("answers")
    if question.get("is_impossible") is False and not answers:
        answers = None  # it has an answer, which the file does not tell: nothing to learn or score
    columns = {"id": question.get("id"), "question": question["question"], "context": context, "answers": answers}
    return {name: value for name, value in columns.items() if value is not None}
