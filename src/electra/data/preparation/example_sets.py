"""Documents -> the two sets of examples, for training and held out, in one pass that can resume from a mark."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from electra.data.corpus.documents import Document, Progress, documents_of
from electra.data.corpus.held_out import holding_out
from electra.data.dataset.shards import WORDS, Mark, ShardWriter, smallest_type
from electra.data.preparation.packing import Packer
from electra.data.preparation.segments import examples_of
from electra.data.preparation.tokenize import tokenized
from electra.data.preparation.words import ids_and_starts
from electra.files.encodings import Decoding
from electra.files.resumable_folder import read_mark, write_mark
from electra.text.tokenizer import ElectraTokenizer

TRAIN, HELD_OUT = "train", "held_out"
TOKENS_BETWEEN_MARKS = 2**24
"""Tokens read between two marks on disk: seconds of work, the most that is lost when the process is killed."""

logger = logging.getLogger(__name__)


@dataclass
class _State:
    """The progress of a preparation after a document: all that is needed to resume with the next one."""

    documents: int = 0
    file: int = 0
    documents_before_file: int = 0
    tokens_read: int = 0
    tokens_kept: int = 0
    replaced: int = 0
    first_replaced: str = ""
    boundaries: int = 0
    """How often the character that marks word boundaries occurred."""
    by_set: dict[str, int] = field(default_factory=lambda: {TRAIN: 0, HELD_OUT: 0})
    """Documents in each of the two sets."""


class ExampleSets:
    """Writes both sets into `folder`, from the last mark in it to the end.

    Args:
        folder: where the shards and the mark are.
        tokenizer: must have [CLS] and [SEP].
        recipe: the options that determine the examples, by the names of `prepare`'s arguments.
        first_document: the number of the first document; with the seed it determines the "faithful" examples.
    """

    def __init__(
        self, folder: Path, tokenizer: ElectraTokenizer, recipe: Mapping[str, Any], *, first_document: int = 0
    ) -> None:
        self._folder, self._recipe, self._first = folder, recipe, first_document
        self._tokenizer = tokenizer
        self._is_held_out = holding_out(recipe["held_out_fraction"])
        self._ids = dict(zip(("cls_token_id", "sep_token_id"), _ends(tokenizer), strict=True))
        mark = read_mark(folder) or {}
        self._state = _State(**mark.get("state", {}))
        self._symbol: str | None = recipe.get("word_boundaries")
        self._writers = {
            name: ShardWriter(folder, name, dtype=dtype, resume_from=Mark(**mark.get(name, {})), may_be_empty=True)
            for name, dtype in files_of(len(tokenizer), words=self._symbol is not None).items()
        }
        self._packers = {
            name: Packer(length=recipe["length"], open_examples=mark.get("open", {}).get(name, ()), **self._ids)
            for name in (TRAIN, HELD_OUT)
        }

    def write_files(
        self,
        files: tuple[Path, ...],
        decoding: Decoding,
        progress: Progress | None = None,
        check: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """Write the examples of files to both sets. Files before the marked one are not read again.

        Args:
            files: in reading order, the same as at the mark.
            decoding: how bytes become text.
            progress: called with (bytes read, bytes in all).
            check: called after every document; a mark is written when it raises.

        Returns:
            Counts of tokens read and kept, of replaced bytes, and of examples, tokens and documents in each set.

        Raises:
            ValueError: one of the sets has no example.
        """
        state = self._state
        documents = documents_of(files, decoding, self._recipe["text_field"], progress, first_file=state.file)
        return self.write(documents, files, least=1, check=check)

    def write(
        self,
        documents: Iterable[Document],
        files: Sequence[Path] = (),
        *,
        least: int = 0,
        check: Callable[[], None] | None = None,
    ) -> dict[str, Any]:
        """Write the examples of documents to both sets; documents before the mark are skipped.

        Args:
            documents: from the start of the marked file, or from the very start where there are no files.
            files: in reading order.
            least: 0, or 1 to require an example in each set.
            check: called after every document; a mark is written when it raises.

        Returns:
            The counts, as `write_files` returns them.

        Raises:
            ValueError: `least` is 1 and one of the sets has no example.
        """
        state = self._state
        next_mark = state.tokens_read + TOKENS_BETWEEN_MARKS
        with ExitStack() as stack:
            for writer in self._writers.values():
                stack.enter_context(writer)
            remaining = islice(documents, state.documents - state.documents_before_file, None)
            for document, sentences in self._tokenized(remaining):
                self._add_document(document, sentences, files)
                if state.tokens_read >= next_mark:
                    self._mark()
                    next_mark = state.tokens_read + TOKENS_BETWEEN_MARKS
                if check is not None:
                    self._mark_if_it_raises(check)
            for name, packer in self._packers.items():
                self._add(name, packer.end())
            if least:
                self._check_enough()
        self._log()
        return self._counts()

    def _tokenized(self, documents: Iterable[Document]) -> Iterator[tuple[Document, list[list[int]]]]:
        tokenizer = self._tokenizer
        special, unknown = tokenizer.all_special_ids, tokenizer.unk_token_id
        return tokenized(documents, tokenizer.backend_tokenizer, self._symbol, special=special, unknown=unknown)

    def _add_document(self, document: Document, sentences: list[list[int]], files: Sequence[Path]) -> None:
        state = self._state
        self._count(document, sum(map(len, sentences)), files)
        name = HELD_OUT if self._is_held_out(state.documents) else TRAIN
        self._add(name, self._examples(name, sentences))
        if self._recipe["segments"] == "faithful":
            self._writers[name].end_document()
        state.by_set[name] += 1
        state.documents += 1

    def _mark_if_it_raises(self, check: Callable[[], None]) -> None:
        try:
            check()
        except BaseException:
            self._mark()
            raise

    def _check_enough(self) -> None:
        check_enough(self._writers, self._state.documents, self._recipe["held_out_fraction"])
        if self._symbol is not None and self._state.boundaries == 0:
            raise ValueError(
                f"word_boundaries={self._symbol!r}: the text has no such character. Mark where words begin with it, or "
                f"give the character that does"
            )

    def _count(self, document: Document, tokens: int, files: Sequence[Path]) -> None:
        state = self._state
        if files and document.source is not files[state.file]:
            state.file, state.documents_before_file = files.index(document.source), state.documents
        state.tokens_read += tokens
        if self._symbol is not None:
            state.boundaries += sum(line.count(self._symbol) for line in document.lines)
        if document.replaced:
            state.replaced += document.replaced
            state.first_replaced = state.first_replaced or f"{document.source}:{document.line}"

    def _examples(self, name: str, sentences: list[list[int]]) -> Iterator[list[int]]:
        if self._recipe["segments"] == "packed":
            return self._packers[name].add(list(chain.from_iterable(sentences)))
        return examples_of(
            sentences,
            length=self._recipe["length"],
            seed=self._recipe["seed"],
            document=self._first + self._state.documents,
            **self._ids,
        )

    def _add(self, name: str, examples: Iterator[list[int]]) -> None:
        writer, packed, sep = self._writers[name], self._recipe["segments"] == "packed", self._ids["sep_token_id"]
        for example in examples:
            if self._symbol is None:
                writer.add(example)
            else:
                ids, starts = ids_and_starts(example)
                writer.add(ids)
                self._writers[name + WORDS].add(np.packbits(starts))
            separators = example.count(sep)
            self._state.tokens_kept += len(example) - separators - (separators if packed else 1)
            if packed:  # a packed example holds several documents, but a document mark can only stand between examples
                writer.end_document()

    def _mark(self) -> None:
        marks = {name: asdict(writer.mark()) for name, writer in self._writers.items()}
        open_examples = {name: packer.open_examples for name, packer in self._packers.items()}
        recipe = {
            name: value for name, value in self._recipe.items() if name != "files"
        }  # left out of every mark, as it may be long
        write_mark(self._folder, {"recipe": recipe, "state": asdict(self._state), **marks, "open": open_examples})

    def _counts(self) -> dict[str, Any]:
        state = self._state
        counts: dict[str, Any] = {
            "tokens_read": state.tokens_read,
            "tokens_kept": state.tokens_kept,
            "replaced": state.replaced,
        }
        for name, documents in state.by_set.items():
            writer = self._writers[name]
            counts[name] = {"examples": writer.sequences, "tokens": writer.tokens, "documents": documents}
        return counts

    def _log(self) -> None:
        state = self._state
        fraction = state.tokens_kept / max(1, state.tokens_read)
        logger.info(
            "prepared %s tokens of text, %.1f %% of them are in the examples", state.tokens_read, 100 * fraction
        )
        if state.replaced:
            logger.warning(
                "%s places in the text were not %s and were replaced by U+FFFD, the first in the document at %s",
                f"{state.replaced:,}",
                self._recipe["encoding"],
                state.first_replaced,
            )


def files_of(vocabulary_size: int, *, words: bool) -> dict[str, np.dtype[Any]]:
    """The names of the shards of both sets with their dtypes: ids, and uint8 for the bits of word starts.

    Args:
        vocabulary_size: decides between uint16 and int32 ids.
        words: whether word starts are stored too.
    """
    ids = dict.fromkeys((TRAIN, HELD_OUT), smallest_type(vocabulary_size))
    return ids | (dict.fromkeys((TRAIN + WORDS, HELD_OUT + WORDS), np.dtype(np.uint8)) if words else {})


def _ends(tokenizer: ElectraTokenizer) -> tuple[int, int]:
    """The ids of [CLS] and [SEP]."""
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise ValueError("the tokenizer has no cls_token or no sep_token: pretraining needs both")
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def check_enough(writers: Mapping[str, ShardWriter], documents: int, held_out_fraction: float) -> None:
    """Require an example in every set that is written.

    Args:
        writers: by the name of the set.
        documents: how many documents were read, for the message.
        held_out_fraction: as for `prepare`, for the message.

    Raises:
        ValueError: there is no example to train on, or none to evaluate with.
    """
    if TRAIN in writers and writers[TRAIN].sequences == 0:
        raise ValueError(f"the text ({documents} documents) gives no example to train on: give more text")
    if HELD_OUT in writers and writers[HELD_OUT].sequences == 0:
        remedy = f"a held_out_fraction of {1 / documents:.2g} or more" if documents > 1 else "blank lines"
        raise ValueError(
            f"the text has {documents} document(s), too few to hold out {held_out_fraction:g} of them for evaluation: "
            f"give more text or {remedy} (blank lines separate documents)"
        )
