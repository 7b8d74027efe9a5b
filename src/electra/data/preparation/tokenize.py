"""Documents of text -> documents of token ids, on all cores."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from tokenizers import Tokenizer

from electra.data.corpus.documents import Document
from electra.data.preparation.words import ids_with_words

GROUP_CHARACTERS = 2**21  # tokenized in one call: enough text to keep all cores busy
GROUPS_AT_ONCE = 2  # the cores tokenize one group while Python converts the ids of the group before
GROUPS_AHEAD = 3

Sentences = list[list[int]]
"""The ids of each line of a document, without special tokens; `~id` for a token that does not begin a marked word."""


def tokenized(
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    word_boundaries: str | None = None,
    *,
    special: Collection[int] = (),
    unknown: int | None = None,
) -> Iterator[tuple[Document, Sentences]]:
    """Tokenize documents in order; threads tokenize the next ones while the caller handles the last.

    Text that looks like a special token ("[SEP]") is tokenized as ordinary text; where the tokenizer would not split
    it, it becomes an unknown word. RAYON_NUM_THREADS and TOKENIZERS_PARALLELISM limit the cores, as in the tokenizers
    library.

    Args:
        documents: read ahead by a few million characters.
        tokenizer: is not changed.
        word_boundaries: the character that marks word boundaries. The text is tokenized without it, and the ids say
            where words begin (module `words`).
        special: the ids of special tokens.
        unknown: the id of the unknown token.

    Yields:
        Each document with the ids of its lines.

    Raises:
        ValueError: text can become a special token, and there is no unknown token to replace it by.
    """
    tokenizer = for_plain_text(tokenizer)
    replacements = _replacements(tokenizer, special, unknown)
    with ThreadPoolExecutor(GROUPS_AT_ONCE, thread_name_prefix="electra-tokenize") as executor:
        waiting: deque[tuple[list[Document], Future[list[Sentences]]]] = deque()
        for group in _groups(documents):
            waiting.append((group, executor.submit(_tokenize, tokenizer, group, word_boundaries, replacements)))
            if len(waiting) > GROUPS_AHEAD:
                yield from _next(waiting)
        while waiting:
            yield from _next(waiting)


def for_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that neither truncates nor pads and recognises no special tokens in the text."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = True  # "encode the special tokens like other text"
    return copy


def _next(waiting: deque[tuple[list[Document], Future[list[Sentences]]]]) -> Iterator[tuple[Document, Sentences]]:
    group, future = waiting.popleft()
    return zip(group, future.result(), strict=True)


def _groups(documents: Iterable[Document]) -> Iterator[list[Document]]:
    group: list[Document] = []
    characters = 0
    for document in documents:
        group.append(document)
        characters += sum(map(len, document.lines))
        if characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _replacements(tokenizer: Tokenizer, special: Collection[int], unknown: int | None) -> dict[int, int]:
    """Special id -> unknown id, if text can become a special token. BERT's rules split it, so there it is empty."""
    names = [tokenizer.id_to_token(number) for number in special]
    ids_of_names = {number for name in names for number in tokenizer.encode(name, add_special_tokens=False).ids}
    if ids_of_names.isdisjoint(set(special) - {unknown}):
        return {}
    if unknown is None:
        raise ValueError(f"the tokenizer takes text such as {names[0]!r} for a special token: it needs an unk_token")
    return dict.fromkeys(special, unknown) | dict.fromkeys((~number for number in special), ~unknown)


def _tokenize(
    tokenizer: Tokenizer, group: list[Document], symbol: str | None, replacements: Mapping[int, int]
) -> list[Sentences]:
    lines = [line for document in group for line in document.lines]
    if symbol is None:
        encodings = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
        ids = (encoding.ids for encoding in encodings)
    else:
        encodings = tokenizer.encode_batch([line.replace(symbol, "") for line in lines], add_special_tokens=False)
        ids = (ids_with_words(line, symbol, encoding) for line, encoding in zip(lines, encodings, strict=True))
    if replacements:
        ids = ([replacements.get(number, number) for number in sentence] for sentence in ids)
    return [[next(ids) for _ in document.lines] for document in group]
