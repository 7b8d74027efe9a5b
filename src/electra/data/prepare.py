"""Files of text and a tokenizer -> a folder of prepared examples, made once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from electra.data.decoding import Decoding
from electra.data.documents import Document, Progress, documents_of
from electra.data.order import check_seed
from electra.data.packing import Packer
from electra.data.segments import check_length, examples_of
from electra.data.shards import Mark, Shards, ShardWriter, smallest_type
from electra.data.sources import describe_sources
from electra.data.text_files import PathLike, find_text_files
from electra.data.tokenize import tokenized
from electra.data.unfinished import read_mark, unfinished, write_mark
from electra.hub.files import write_text
from electra.text.tokenizer import ElectraTokenizer

FORMAT = "electra-examples-2"
DESCRIPTION = "shards.json"
TRAIN, HELD_OUT = "train", "held_out"
SEGMENTS = ("faithful", "packed")
TOKENS_BETWEEN_MARKS = 2**24
"""Read tokens after which what is done is put on the disk: seconds of work, which is what a kill can cost."""

logger = logging.getLogger(__name__)

Recipe = dict[str, Any]


def prepare(
    paths: PathLike | Iterable[PathLike],
    tokenizer: ElectraTokenizer,
    folder: PathLike,
    *,
    length: int = 128,
    segments: str = "faithful",
    seed: int = 0,
    held_out_fraction: float = 0.01,
    encoding: str = "utf-8",
    text_field: str = "text",
    invalid_utf8: str = "refuse",
    progress: Progress | None = None,
    reuse_only: bool = False,
) -> tuple[Shards, Shards]:
    """Tokenize text once: `(train, held_out)` examples of at most `length` tokens, memory-mapped.

    paths, encoding, text_field, invalid_utf8: as `read_documents` takes them.
    folder: where prepared text is kept, each preparation in a folder of its own, named by what decides it: tokenizer,
        the options here, and the files' sizes, times of change and ends. If it is there already it is opened, which
        takes no time; an unfinished one is never taken for a whole one. One that was interrupted or killed goes on
        where it was, and ends with the same bits as one that was not.
    length: tokens of an example with its special ones, 5 or more.
    segments: how examples are made of documents: "faithful" to Google's law (module `segments`), which throws away what
        does not fit, or "packed", which keeps every token (module `packing`).
    seed: decides how lines are put together to faithful examples.
    held_out_fraction: the share of documents, above 0 and at most 0.5, that is kept for evaluation. Which ones follows
        from their numbers in reading order alone.
    progress: called with (bytes read, bytes in all).
    reuse_only: open what is there, and raise `ValueError` where that is not this text prepared in this way.

    Raises `ValueError` or `FileNotFoundError` for text that cannot be read (with file and line), and `ValueError` for
    too little of it. Memory does not grow with the text.
    """
    check_length(length)
    check_seed(seed)
    decoding = Decoding(encoding, invalid_utf8)
    if segments not in SEGMENTS:
        raise ValueError(f"segments={segments!r}: allowed is {' or '.join(SEGMENTS)}")
    if not 0 < held_out_fraction <= 0.5:
        raise ValueError(f"held_out_fraction={held_out_fraction}: it must be above 0 and at most 0.5 (0.01 is usual)")
    files = find_text_files(paths)
    recipe: Recipe = {
        "format": FORMAT,
        "tokenizer": tokenizer.fingerprint(),
        "length": length,
        "segments": segments,
        "seed": seed,
        "held_out_fraction": held_out_fraction,
        "encoding": encoding,
        "invalid_utf8": invalid_utf8,
        "text_field": text_field,
        "files": describe_sources(files),
    }
    target = Path(folder) / _key(recipe)
    if reuse_only:
        _insist_on(recipe, target)
        return open_prepared(target, tokenizer)
    if (target / DESCRIPTION).is_file():
        try:
            return open_prepared(target, tokenizer)
        except (ValueError, FileNotFoundError) as error:
            logger.warning("the text is prepared again: %s", error)
    with unfinished(target) as working:
        if not (working / DESCRIPTION).is_file():
            counts = _Preparation(working, files, tokenizer, recipe, decoding).write(progress)
            _insist_unchanged(files, recipe)
            described = {"recipe": recipe, "files": [str(file) for file in files], **counts}
            write_text(working / DESCRIPTION, json.dumps(described, indent=1) + "\n")
    return open_prepared(target, tokenizer)


def open_prepared(folder: PathLike, tokenizer: ElectraTokenizer) -> tuple[Shards, Shards]:
    """Open one prepared folder: `(train, held_out)`.

    Raises `ValueError` if another tokenizer prepared it, or if it is damaged.
    """
    there = read_recipe(folder)["tokenizer"]
    if there != tokenizer.fingerprint():
        raise ValueError(
            f"{folder} was prepared with another tokenizer (fingerprint {there}) than the one given "
            f"({tokenizer.fingerprint()}): its ids mean other tokens. Use the first, or prepare the text again"
        )
    return Shards(Path(folder), TRAIN), Shards(Path(folder), HELD_OUT)


def read_recipe(folder: PathLike) -> Recipe:
    """How the examples in one prepared folder were made."""
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no folder of prepared text: it has no {DESCRIPTION}")
    try:
        recipe: Recipe = json.loads(path.read_text("utf-8"))["recipe"]
        recipe["tokenizer"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): delete its folder and prepare the text again") from error
    return recipe


@dataclass
class _State:
    """How far a preparation is: after a document, all that it needs to go on with the next."""

    documents: int = 0
    file: int = 0
    documents_before_file: int = 0
    tokens_read: int = 0
    tokens_kept: int = 0
    replaced: int = 0
    first_replaced: str = ""
    by_set: dict[str, int] = field(default_factory=lambda: {TRAIN: 0, HELD_OUT: 0})
    """Documents in each of the two sets."""


class _Preparation:
    """One pass over the text, from the last mark to the end."""

    def __init__(
        self, folder: Path, files: tuple[Path, ...], tokenizer: ElectraTokenizer, recipe: Recipe, decoding: Decoding
    ) -> None:
        self._folder, self._files, self._decoding, self._recipe = folder, files, decoding, recipe
        self._tokenizer = tokenizer
        self._ids = dict(zip(("cls_token_id", "sep_token_id"), _ends(tokenizer), strict=True))
        mark = read_mark(folder) or {}
        self._state = _State(**mark.get("state", {}))
        dtype = smallest_type(len(tokenizer))
        self._writers = {
            name: ShardWriter(folder, name, dtype=dtype, going_on=Mark(**mark.get(name, {})))
            for name in (TRAIN, HELD_OUT)
        }
        self._packers = {
            name: Packer(length=recipe["length"], open_examples=mark.get("open", {}).get(name, ()), **self._ids)
            for name in (TRAIN, HELD_OUT)
        }

    def write(self, progress: Progress | None) -> dict[str, Any]:
        """Write both sets of examples; how much was read, and how much is in them."""
        state, period = self._state, round(1 / self._recipe["held_out_fraction"])
        next_mark = state.tokens_read + TOKENS_BETWEEN_MARKS
        with self._writers[TRAIN], self._writers[HELD_OUT]:
            for document, sentences in tokenized(self._documents(progress), self._tokenizer.backend_tokenizer):
                self._count(document, sum(map(len, sentences)))
                name = HELD_OUT if state.documents % period == period // 2 else TRAIN
                self._add(name, self._examples(name, sentences))
                if self._recipe["segments"] == "faithful":
                    self._writers[name].end_document()
                state.by_set[name] += 1
                state.documents += 1
                if state.tokens_read >= next_mark:
                    self._mark()
                    next_mark = state.tokens_read + TOKENS_BETWEEN_MARKS
            for name, packer in self._packers.items():
                self._add(name, packer.end())
            _check_enough(self._writers, state.documents, self._recipe["held_out_fraction"])
        self._tell()
        return self._counts()

    def _documents(self, progress: Progress | None) -> Iterator[Document]:
        """Those after the mark: files before its own are left out, the documents before it in its file passed over."""
        state = self._state
        documents = documents_of(
            self._files, self._decoding, self._recipe["text_field"], progress, first_file=state.file
        )
        return islice(documents, state.documents - state.documents_before_file, None)

    def _count(self, document: Document, tokens: int) -> None:
        state = self._state
        if document.source is not self._files[state.file]:
            state.file, state.documents_before_file = self._files.index(document.source), state.documents
        state.tokens_read += tokens
        if document.replaced:
            state.replaced += document.replaced
            state.first_replaced = state.first_replaced or f"{document.source}:{document.line}"

    def _examples(self, name: str, sentences: list[list[int]]) -> Iterator[list[int]]:
        if self._recipe["segments"] == "packed":
            return self._packers[name].add([token for sentence in sentences for token in sentence])
        return examples_of(
            sentences,
            length=self._recipe["length"],
            seed=self._recipe["seed"],
            document=self._state.documents,
            **self._ids,
        )

    def _add(self, name: str, examples: Iterator[list[int]]) -> None:
        writer, packed, sep = self._writers[name], self._recipe["segments"] == "packed", self._ids["sep_token_id"]
        for example in examples:
            writer.add(example)
            separators = example.count(sep)
            self._state.tokens_kept += len(example) - separators - (separators if packed else 1)
            if packed:  # a packed example has several documents, and the marks are of whole sequences
                writer.end_document()

    def _mark(self) -> None:
        marks = {name: asdict(writer.mark()) for name, writer in self._writers.items()}
        left = {name: packer.open_examples for name, packer in self._packers.items()}
        write_mark(self._folder, {"state": asdict(self._state), **marks, "open": left})

    def _counts(self) -> dict[str, Any]:
        state = self._state
        counts: dict[str, Any] = {
            "tokens_read": state.tokens_read,
            "tokens_kept": state.tokens_kept,
            "replaced": state.replaced,
        }
        for name, writer in self._writers.items():
            counts[name] = {"examples": writer.sequences, "tokens": writer.tokens, "documents": state.by_set[name]}
        return counts

    def _tell(self) -> None:
        state = self._state
        share = state.tokens_kept / max(1, state.tokens_read)
        logger.info("prepared %s tokens of text, %.1f %% of them are in the examples", state.tokens_read, 100 * share)
        if state.replaced:
            logger.warning(
                "%s places in the text were not %s and are U+FFFD now, the first in the document at %s",
                f"{state.replaced:,}",
                self._decoding.encoding,
                state.first_replaced,
            )


def _ends(tokenizer: ElectraTokenizer) -> tuple[int, int]:
    """The ids of [CLS] and [SEP]."""
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise ValueError("the tokenizer has no cls_token or no sep_token: pretraining needs both")
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def _check_enough(writers: Mapping[str, ShardWriter], documents: int, held_out_fraction: float) -> None:
    if writers[TRAIN].sequences == 0:
        raise ValueError(f"the text ({documents} documents) gives no example to train on: give more text")
    if writers[HELD_OUT].sequences == 0:
        remedy = f"a held_out_fraction of {1 / documents:.2g} or more" if documents > 1 else "blank lines"
        raise ValueError(
            f"the text has {documents} document(s), too few to hold out {held_out_fraction:g} of them for evaluation: "
            f"give more text or {remedy} (blank lines separate documents)"
        )


def _insist_unchanged(files: tuple[Path, ...], recipe: Recipe) -> None:
    changed = [
        str(file)
        for file, before, now in zip(files, recipe["files"], describe_sources(files), strict=True)
        if before != now
    ]
    if changed:
        raise ValueError(f"{', '.join(changed)} changed while it was read: start again when nothing writes to it")


def _insist_on(recipe: Recipe, target: Path) -> None:
    """Raise unless `target` is there; say what the nearest prepared text beside it differs in."""
    if (target / DESCRIPTION).is_file():
        return
    whole = sorted(target.parent.glob(f"[!.]*/{DESCRIPTION}"))  # the hidden ones are not
    others = [read_recipe(path.parent) for path in whole]
    if not others:
        raise ValueError(f"{target.parent} holds no prepared text to use again: prepare it first")
    differing = min(([field for field in recipe if recipe[field] != there.get(field)] for there in others), key=len)
    there = next(other for other in others if all(other.get(field) != recipe[field] for field in differing))
    told = [
        "the files changed" if field == "files" else f"{field} was {there.get(field)}, is {recipe[field]}"
        for field in differing
    ]
    raise ValueError(
        f"{target.parent} holds no text prepared in this way to use again ({'; '.join(told)}): "
        f"prepare it again, or give what it was prepared with"
    )


def _key(recipe: Recipe) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
