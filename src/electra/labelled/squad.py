"""SQuAD's JSON files (versions 1.1 and 2.0) -> questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any


def questions(path: Path, file: IO[str], refuse: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each question by its number from 1: `id`, `question`, `context` and `answers`, none where it is impossible."""
    try:
        articles = json.load(file)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    articles = articles.get("data") if isinstance(articles, Mapping) else articles
    number = 0
    for paragraph in _paragraphs(path, articles):
        for question in paragraph["qas"]:
            number += 1
            if isinstance(question, Mapping) and "question" in question:
                yield number, _columns(question, paragraph["context"])
            else:
                refuse(f"{path}:{number}: the question has no 'question' in it")


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


def _is_paragraph(given: Any) -> bool:
    return isinstance(given, Mapping) and isinstance(given.get("qas"), list) and isinstance(given.get("context"), str)


def _columns(question: Mapping[str, Any], context: str) -> dict[str, Any]:
    answers = [] if question.get("is_impossible") else question.get("answers")
    found = {"id": question.get("id"), "question": question["question"], "context": context, "answers": answers}
    return {name: value for name, value in found.items() if value is not None}
