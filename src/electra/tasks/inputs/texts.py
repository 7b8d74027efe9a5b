"""The formats of examples: a string, or a dict with keys such as `text` and `text_pair`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from electra.batch import Row
from electra.tasks.task import Encoded, of_each


@dataclass(frozen=True)
class Text:
    """A text, or a pair of texts."""

    text: str
    pair: str | None = None


def read_text(example: Any) -> Text:
    """A text or a pair of texts. Further keys of a dict are left alone."""
    if isinstance(example, str):
        return Text(_unbroken(example))
    if isinstance(example, Mapping):
        text, pair = example.get("text"), example.get("text_pair")
        if isinstance(text, str) and (pair is None or isinstance(pair, str)):
            return Text(_unbroken(text), pair and _unbroken(pair))
        raise ValueError(f"'text' (and 'text_pair' for a pair) must be strings; the example has {_shown(example)}")
    pairs = ' (a pair of texts is {"text": …, "text_pair": …})' if isinstance(example, (list, tuple)) else ""
    raise ValueError(f"expected a string or a dict with the key 'text', got {_shown(example)}{pairs}")


def read_single_text(example: Any) -> str:
    """A single text.

    Raises:
        ValueError: the example is a pair, or not a text.
    """
    text = read_text(example)
    if text.pair is not None:
        raise ValueError("this task reads one text at a time, not a pair: leave out 'text_pair'")
    return text.text


@dataclass(frozen=True)
class Words:
    """A text that was split into words beforehand. `text` is the words joined by a delimiter."""

    words: tuple[str, ...]
    text: str
    starts: tuple[int, ...]
    """The character of `text` at which each word begins."""


def read_words(example: Any, delimiter: str = " ") -> Words:
    """Words that are given as a list, or as a dict with the key `tokens`."""
    words = example.get("tokens") if isinstance(example, Mapping) else example
    if isinstance(words, str) or not isinstance(words, Sequence) or not all(isinstance(w, str) for w in words):
        raise ValueError(f"expected a list of words, or a dict with such a list under 'tokens', got {_shown(example)}")
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word) + len(delimiter)
    return Words(tuple(words), _unbroken(delimiter.join(words)), tuple(starts))


@dataclass(frozen=True)
class Question:
    """A question, and the text that it is asked about."""

    question: str
    context: str


def read_question(example: Any) -> Question:
    """A dict with the keys `question` and `context`."""
    return Question(_string(example, "question", "context"), _string(example, "context", "question"))


class Answer(NamedTuple):
    """An answer, and at which character of its context it begins."""

    text: str
    start: int


def read_answers(example: Any) -> list[Answer]:
    """The answers of a labelled question, none where there is no answer; each must stand in the context.

    `answers` is a list of dicts with `text` and `answer_start` (or of strings: the first place where one stands in
    the context is taken), one such dict, or one with a list under each name.
    """
    context = read_question(example).context
    answers = example.get("answers")
    if answers is None:
        raise ValueError(f"a labelled question has 'answers', a list; this one has {_shown(example)}")
    return [_placed(answer, context) for answer in _answers(answers)]


def has_guessed_places(example: Mapping[str, Any]) -> bool:
    """Whether an answer has no start and occurs more than once in the context."""
    context = example.get("context")
    answers = [one if isinstance(one, Mapping) else {"text": one} for one in _answers(example.get("answers") or [])]
    return isinstance(context, str) and any(
        one.get("answer_start", one.get("start")) is None and one.get("text") and context.count(str(one["text"])) > 1
        for one in answers
    )


def _answers(answers: Any) -> list[Any]:
    """One dict or string for each answer."""
    if isinstance(answers, Mapping) and isinstance(answers.get("text"), (list, tuple)):
        starts = answers.get("answer_start")
        starts = [None] * len(answers["text"]) if starts is None else list(starts)
        if len(starts) != len(answers["text"]):
            raise ValueError(f"'answers' has {len(answers['text'])} texts and {len(starts)} starts: each text has one")
        return [{"text": text, "answer_start": start} for text, start in zip(answers["text"], starts, strict=True)]
    if isinstance(answers, (str, Mapping)):
        return [answers] if answers else []
    if not isinstance(answers, (list, tuple)):
        raise ValueError(f"'answers' is a list of answers, not {_shown(answers)}")
    return list(answers)


def _placed(answer: Any, context: str) -> Answer:
    """An answer, found in its context."""
    fields = answer if isinstance(answer, Mapping) else {"text": answer}
    text, start = fields.get("text"), fields.get("answer_start", fields.get("start"))
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"an answer is a text that is not empty, not {_shown(answer)}")
    if start is None:
        start = context.find(text)
    if not isinstance(start, int) or start < 0 or context[start : start + len(text)] != text:
        place = context.find(text)
        where = "is not in its context" if place < 0 else f"is at character {place} of its context, not at {start}"
        raise ValueError(f"the answer {text!r} {where}")
    return Answer(text, start)


@dataclass(frozen=True)
class Ranking:
    """A query, and the texts to rank by it."""

    query: str
    texts: tuple[str, ...]


def read_ranking(example: Any) -> Ranking:
    """A dict with the keys `query` and `texts`, a list."""
    return Ranking(_string(example, "query", "texts"), _strings(example, "texts", least=1))


@dataclass(frozen=True)
class Choices:
    """A text and its possible continuations; `seconds` is the second text that the network reads for each choice."""

    text: str
    choices: tuple[str, ...]
    seconds: tuple[str, ...]


def read_choices(example: Any) -> Choices:
    """A dict with `choices`, a list, and `text`, `question` or `context`, or both of the last two."""
    if not isinstance(example, Mapping):
        raise ValueError(f"expected a dict with 'text' and 'choices', got {_shown(example)}")
    keys = [name for name in ("text", "context", "question") if example.get(name) is not None]
    if keys not in (["text"], ["context"], ["question"], ["context", "question"]):
        raise ValueError(
            "beside 'choices' there must be 'text', 'question', 'context', or 'question' and 'context'; the example "
            f"has {_shown(example)}"
        )
    choices = _strings(example, "choices", least=2)
    text = _string(example, keys[0], "choices")
    if len(keys) == 1:
        return Choices(text, choices, choices)
    question = _string(example, "question", "choices")
    return Choices(text, choices, tuple(f"{question} {choice}" for choice in choices))


def _string(example: Any, key: str, other: str) -> str:
    """A part of an example that is a text and not empty."""
    if not isinstance(example, Mapping) or not isinstance(example.get(key), str):
        raise ValueError(f"expected a dict with {key!r}, a string, and {other!r}, got {_shown(example)}")
    text: str = example[key]
    if not text.strip():
        raise ValueError(f"the {key} is empty")
    return _unbroken(text)


def _strings(example: Mapping[str, Any], key: str, least: int) -> tuple[str, ...]:
    """A part of an example that is a list of at least so many texts."""
    texts = example.get(key)
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{key!r} must be a list of strings; the example has {_shown(example)}")
    if len(texts) < least:
        raise ValueError(f"{key!r} has {len(texts)} of the at least {least} that are needed")
    return tuple(map(_unbroken, texts))


def _unbroken(text: str) -> str:
    """The text; a `ValueError` where half of a surrogate pair stands in it, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"character {error.start} of the text, {text[error.start]!r}, is half of a surrogate pair, and no "
            "character: text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') repairs it"
        ) from error
    return text


def _shown(example: Any) -> str:
    """A short description of an unexpected value, for messages."""
    if isinstance(example, Mapping):
        parts = (f"{key!r}: {type(value).__name__}" for key, value in example.items())
        return "{" + ", ".join(parts) + "}"
    shown = repr(example)
    return f"{type(example).__name__} {shown if len(shown) <= 60 else shown[:60] + '…'}"


TRUNCATIONS = {True: "longest_first", "longest_first": "longest_first"} | {
    name: name for name in ("only_first", "only_second")
}


def check_truncation(truncation: bool | str) -> None:
    """Raise ValueError for an unknown truncation strategy."""
    if truncation is not False and truncation not in (*TRUNCATIONS, "do_not_truncate"):
        raise ValueError(
            f"truncation={truncation!r}: choose True, False, 'longest_first', 'only_first', 'only_second' "
            "or 'do_not_truncate'"
        )


def encode_texts(texts: Sequence[Text], tokenizer: Any, max_length: int, truncation: bool | str) -> list[Encoded]:
    """Each text as one row of at most `max_length` tokens.

    A longer one is truncated with the strategy `truncation` of tokenizers, and `cut_tokens` counts the tokens removed;
    without truncation it is an `ExampleError`.
    """
    made = dict.fromkeys(range(len(texts)), Row([]))
    singles = [i for i, text in enumerate(texts) if text.pair is None]
    pairs = [i for i, text in enumerate(texts) if text.pair is not None]
    for indices in (singles, pairs):
        made.update(zip(indices, _whole([texts[i] for i in indices], tokenizer), strict=True))

    def cut(i: int) -> Encoded:
        row = made[i]
        if len(row) <= max_length:
            return Encoded((row,), 0)
        if truncation not in TRUNCATIONS:
            raise ValueError(
                f"the text has {len(row)} tokens, the model reads {max_length}: shorten it, or give truncation=True"
            )
        truncated = _whole([texts[i]], tokenizer, truncation=TRUNCATIONS[truncation], max_length=max_length)[0]
        if len(truncated) > max_length:
            raise ValueError(f"truncation={truncation!r} leaves {len(truncated)} tokens, the model reads {max_length}")
        return Encoded((truncated,), len(row) - len(truncated))

    return of_each(cut, range(len(texts)))


def _whole(texts: Sequence[Text], tokenizer: Any, **truncation: Any) -> list[Row]:
    """One row for each of the texts, all of them single or all of them pairs."""
    if not texts:
        return []
    pairs = [text.pair for text in texts] if texts[0].pair is not None else None
    options = {
        "truncation": False,
        "padding": False,
        "return_attention_mask": False,
        "return_token_type_ids": True,
        "verbose": False,
    }
    encoding = tokenizer([text.text for text in texts], pairs, **(options | truncation))
    return list(map(Row, encoding["input_ids"], encoding["token_type_ids"]))


def spread(columns: Mapping[str, Any]) -> Any:
    """Make a dict of lists a list of dicts; values that are not lists are repeated.

    A dict without lists is returned as it is.

    Raises:
        ValueError: the lists have different lengths.
    """
    lists = {name: value for name, value in columns.items() if isinstance(value, (list, tuple))}
    if not lists:
        return columns
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        shown = " and ".join(f"{count} of {name!r}" for name, count in lengths.items())
        raise ValueError(f"there are {shown}: give equally many, or one for all")
    (count,) = set(lengths.values())
    return [{**columns, **{name: value[i] for name, value in lists.items()}} for i in range(count)]
