"""Files of text and a tokenizer -> a folder of prepared examples, made once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from electra.data.documents import Progress, read_documents
from electra.data.order import check_seed
from electra.data.segments import check_length, examples_of
from electra.data.shards import Shards, ShardWriter, smallest_type
from electra.data.sources import describe_sources
from electra.data.text_files import PathLike, check_encoding, find_text_files
from electra.data.tokenize import tokenized
from electra.hub.files import write_text, writing_folder
from electra.text.tokenizer import ElectraTokenizer

FORMAT = "electra-examples-1"
DESCRIPTION = "shards.json"
TRAIN, HELD_OUT = "train", "held_out"

logger = logging.getLogger(__name__)

Recipe = dict[str, Any]


def prepare(
    paths: PathLike | Iterable[PathLike],
    tokenizer: ElectraTokenizer,
    folder: PathLike,
    *,
    length: int = 128,
    seed: int = 0,
    held_out_fraction: float = 0.01,
    encoding: str = "utf-8",
    progress: Progress | None = None,
    reuse_only: bool = False,
) -> tuple[Shards, Shards]:
    """Tokenize text once: `(train, held_out)` examples of at most `length` tokens, memory-mapped.

    paths: files, folders or glob patterns, as `read_documents` takes them.
    folder: where prepared text is kept, each preparation in a folder of its own, named by what decides it: tokenizer,
        `length`, `seed`, `held_out_fraction`, `encoding`, and the files' sizes, times of change and ends. If it is
        there already it is opened, which takes no time; an unfinished one is never taken for a whole one.
    length: tokens of an example with its special ones, 5 or more.
    seed: decides how lines are put together to examples (see `segments`).
    held_out_fraction: the share of documents, above 0 and at most 0.5, that is kept for evaluation. Which ones follows
        from their numbers in reading order alone.
    progress: called with (bytes read, bytes in all).
    reuse_only: open what is there, and raise `ValueError` where that is not this text prepared in this way.

    Raises `ValueError` or `FileNotFoundError` for text that cannot be read (with file and line), and `ValueError` for
    too little of it. Memory does not grow with the text.
    """
    check_length(length)
    check_seed(seed)
    check_encoding(encoding)
    if not 0 < held_out_fraction <= 0.5:
        raise ValueError(f"held_out_fraction={held_out_fraction}: it must be above 0 and at most 0.5 (0.01 is usual)")
    files = find_text_files(paths)
    recipe: Recipe = {
        "format": FORMAT,
        "tokenizer": tokenizer.fingerprint(),
        "length": length,
        "seed": seed,
        "held_out_fraction": held_out_fraction,
        "encoding": encoding,
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
    with writing_folder(target) as partial:
        counts = _write(partial, files, tokenizer, recipe, progress)
        if describe_sources(files) != recipe["files"]:
            raise ValueError("a text file changed while it was read: start again when nothing writes to the files")
        described = {"recipe": recipe, "files": [str(file) for file in files], **counts}
        write_text(partial / DESCRIPTION, json.dumps(described, indent=1) + "\n")
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


def _write(
    folder: Path, files: tuple[Path, ...], tokenizer: ElectraTokenizer, recipe: Recipe, progress: Progress | None
) -> dict[str, Any]:
    """Write both sets of examples; how much was read, and how much is in them."""
    cls_token_id, sep_token_id = _ends(tokenizer)
    dtype = smallest_type(len(tokenizer))
    period = round(1 / recipe["held_out_fraction"])
    tokens_read = 0
    documents = read_documents(files, encoding=recipe["encoding"], progress=progress)
    with ShardWriter(folder, TRAIN, dtype=dtype) as train, ShardWriter(folder, HELD_OUT, dtype=dtype) as held_out:
        for number, sentences in enumerate(tokenized(documents, tokenizer.backend_tokenizer)):
            tokens_read += sum(map(len, sentences))
            writer = held_out if number % period == period // 2 else train
            for example in examples_of(
                sentences,
                length=recipe["length"],
                cls_token_id=cls_token_id,
                sep_token_id=sep_token_id,
                seed=recipe["seed"],
                document=number,
            ):
                writer.add(example)
            writer.end_document()
        _check_enough(train, held_out, recipe["held_out_fraction"])
    counts: dict[str, Any] = {"tokens_read": tokens_read}
    for name, writer in ((TRAIN, train), (HELD_OUT, held_out)):
        counts[name] = {"examples": writer.sequences, "tokens": writer.tokens, "documents": writer.documents}
    logger.info("prepared %s tokens of text, in the examples are %s", tokens_read, train.tokens + held_out.tokens)
    return counts


def _ends(tokenizer: ElectraTokenizer) -> tuple[int, int]:
    """The ids of [CLS] and [SEP]."""
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise ValueError("the tokenizer has no cls_token or no sep_token: pretraining needs both")
    return tokenizer.cls_token_id, tokenizer.sep_token_id


def _check_enough(train: ShardWriter, held_out: ShardWriter, held_out_fraction: float) -> None:
    documents = train.documents + held_out.documents
    if train.sequences == 0:
        raise ValueError(f"the text ({documents} documents) gives no example to train on: give more text")
    if held_out.sequences == 0:
        remedy = f"a held_out_fraction of {1 / documents:.2g} or more" if documents > 1 else "blank lines"
        raise ValueError(
            f"the text has {documents} document(s), too few to hold out {held_out_fraction:g} of them for evaluation: "
            f"give more text or {remedy} (blank lines separate documents)"
        )


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
