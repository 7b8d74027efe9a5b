"""Files of text and a tokenizer -> a folder of prepared examples, made once."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from electra.data.corpus.documents import Progress
from electra.data.dataset.batches import check_seed
from electra.data.dataset.shards import Shards
from electra.data.preparation.example_sets import HELD_OUT, TRAIN, ExampleSets
from electra.data.preparation.segments import SEGMENTS, check_length
from electra.data.preparation.words import check_symbol
from electra.files.atomic import write_text
from electra.files.digests import describe_sources, format_of
from electra.files.encodings import Decoding
from electra.files.resumable_folder import resumable_folder
from electra.files.text_files import PathLike, find_text_files
from electra.text.tokenizer import ElectraTokenizer

FORMAT = "electra-examples-2"
DESCRIPTION = "shards.json"
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
    word_boundaries: str | None = None,
    progress: Progress | None = None,
    check: Callable[[], None] | None = None,
    reuse_only: bool = False,
) -> tuple[Shards, Shards]:
    """Tokenize text once: `(train, held_out)` examples of at most `length` tokens, memory-mapped.

    Each preparation has its own folder in `folder`, named by a digest of the tokenizer, the options here and the
    files' sizes, times of change, ends and formats. An existing preparation is opened, which takes no time; an
    unfinished one is never used as a complete one. An interrupted or killed preparation resumes at its last mark and
    gives the same bytes as an uninterrupted one. Memory does not grow with the text.

    Args:
        paths: files, folders or patterns, as for `read_documents`.
        tokenizer: must have [CLS] and [SEP].
        folder: where prepared text is stored.
        length: tokens of an example including special tokens, 5 or more.
        segments: how examples are made of documents: "faithful" to Google's algorithm (module `segments`), which
            discards what does not fit, or "packed", which keeps every token (module `packing`).
        seed: determines how lines are combined into "faithful" examples.
        held_out_fraction: the fraction of documents, above 0 and at most 0.5, that is held out for evaluation. Which
            ones follows from their numbers in reading order alone.
        encoding: as for `read_documents`.
        text_field: as for `read_documents`.
        invalid_utf8: as for `read_documents`. Not part of the digest: valid text gives the same examples with either
            value, and a preparation that "refuse" ended resumes with "replace".
        word_boundaries: a character between words that occurs nowhere else in the text (white space separates words
            too). The text is tokenized without it, and the examples store where words begin, for whole-word masking.
        progress: called with (bytes read, bytes in all).
        check: called after every document. An exception of it ends the preparation; the same call later resumes after
            that document.
        reuse_only: only open an existing preparation. The files' times are ignored then, because copies on another
            machine have other times.

    Returns:
        The training examples and the held-out examples.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the text cannot be read (with file and line) or is too short, an option is not valid, or with
            `reuse_only` there is no preparation of this text with these options.
    """
    decoding = Decoding(encoding, invalid_utf8)
    files = find_text_files(paths)
    recipe = {
        **recipe_of(
            tokenizer,
            length=length,
            segments=segments,
            seed=seed,
            held_out_fraction=held_out_fraction,
            word_boundaries=word_boundaries,
        ),
        "encoding": encoding,
        "text_field": text_field,
        "files": describe_sources(files),
    }
    target, existing = Path(folder) / _key(recipe), _find(Path(folder), recipe, files, times=not reuse_only)
    if existing is not None:
        try:
            return open_prepared(existing, tokenizer)
        except (ValueError, FileNotFoundError) as error:
            if reuse_only:
                raise
            logger.warning("the text is prepared again: %s", error)
    elif reuse_only:
        raise ValueError(_nothing_to_reuse(recipe, Path(folder)))
    elif (target / DESCRIPTION).is_file():
        logger.warning(
            "the text is prepared again: %s is damaged, or the files changed their format", target / DESCRIPTION
        )
    with resumable_folder(target, DESCRIPTION) as working:
        if not (working / DESCRIPTION).is_file():
            counts = ExampleSets(working, tokenizer, recipe).write_files(files, decoding, progress, check)
            _require_unchanged(files, recipe)
            described = {"recipe": recipe, "files": [str(file) for file in files], **counts}
            write_text(working / DESCRIPTION, json.dumps(described, indent=1) + "\n")
    return open_prepared(target, tokenizer)


def recipe_of(
    tokenizer: ElectraTokenizer,
    *,
    length: int,
    segments: str,
    seed: int,
    held_out_fraction: float,
    word_boundaries: str | None = None,
) -> Recipe:
    """The options that determine how examples are made of documents, checked.

    Args:
        tokenizer: enters by its fingerprint.
        length: as for `prepare`, and so are the arguments below.
        segments: as for `prepare`.
        seed: as for `prepare`.
        held_out_fraction: as for `prepare`.
        word_boundaries: as for `prepare`.

    Raises:
        ValueError: a value is not allowed.
    """
    check_length(length)
    check_seed(seed)
    if segments not in SEGMENTS:
        raise ValueError(f"segments={segments!r}: allowed is {' or '.join(SEGMENTS)}")
    if not 0 < held_out_fraction <= 0.5:
        raise ValueError(f"held_out_fraction={held_out_fraction}: it must be above 0 and at most 0.5 (0.01 is usual)")
    check_symbol(word_boundaries)
    return {
        "format": FORMAT,
        "tokenizer": tokenizer.fingerprint(),
        "length": length,
        "segments": segments,
        "seed": seed,
        "held_out_fraction": held_out_fraction,
        # left out where it is None, so that text prepared before the option existed is still found
        **({} if word_boundaries is None else {"word_boundaries": word_boundaries}),
    }


def open_prepared(folder: PathLike, tokenizer: ElectraTokenizer) -> tuple[Shards, Shards]:
    """Open one prepared folder: `(train, held_out)`.

    Args:
        folder: of one preparation, with shards.json.
        tokenizer: must be the one that prepared it.

    Raises:
        FileNotFoundError: it is not a folder of prepared text.
        ValueError: another tokenizer prepared it, or it is damaged.
    """
    recipe = read_recipe(folder)
    fingerprint, words = recipe["tokenizer"], recipe.get("word_boundaries") is not None
    if fingerprint != tokenizer.fingerprint():
        raise ValueError(
            f"{folder} was prepared with another tokenizer (fingerprint {fingerprint}) than the one given "
            f"({tokenizer.fingerprint()}): its ids mean other tokens. Use the first, or prepare the text again"
        )
    return Shards(Path(folder), TRAIN, words=words), Shards(Path(folder), HELD_OUT, words=words)


def read_recipe(folder: PathLike) -> Recipe:
    """The options with which the examples in one prepared folder were made.

    Raises:
        FileNotFoundError: it is not a folder of prepared text.
        ValueError: its description is damaged.
    """
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no folder of prepared text: it has no {DESCRIPTION}")
    try:
        recipe: Recipe = json.loads(path.read_text("utf-8"))["recipe"]
        recipe["tokenizer"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error!r}): delete its folder and prepare the text again") from error
    return recipe


def _find(folder: Path, recipe: Recipe, files: tuple[Path, ...], *, times: bool) -> Path | None:
    """The folder in which these files were prepared with these options, if there is one."""
    wanted = _comparable(recipe, files, times=times)
    for path in (folder / _key(recipe) / DESCRIPTION, *_descriptions(folder)):
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):  # a damaged one is ignored here
            description = json.loads(path.read_text("utf-8"))
            if _comparable(description["recipe"], map(Path, description["files"]), times=times) == wanted:
                return path.parent
    return None


def _comparable(recipe: Recipe, files: Iterable[Path], *, times: bool) -> Recipe:
    """The recipe with each file's format, which older recipes lack, and without times where they do not count."""
    sources = [{**source, "kind": format_of(file)} for source, file in zip(recipe["files"], files, strict=True)]
    dropped = () if times else ("changed_ns",)
    return {**recipe, "files": [{name: one[name] for name in one if name not in dropped} for one in sources]}


def _descriptions(folder: Path) -> list[Path]:
    """The descriptions of the complete preparations in the folder."""
    return sorted(folder.glob(f"[!.]*/{DESCRIPTION}"))  # hidden folders are unfinished


def _require_unchanged(files: tuple[Path, ...], recipe: Recipe) -> None:
    changed = [
        str(file)
        for file, before, now in zip(files, recipe["files"], describe_sources(files), strict=True)
        if before != now
    ]
    if changed:
        raise ValueError(f"{', '.join(changed)} changed while it was read: start again when nothing writes to it")


def _nothing_to_reuse(recipe: Recipe, folder: Path) -> str:
    """The error message for `reuse_only`: how the most similar preparation differs."""
    others = [read_recipe(path.parent) for path in _descriptions(folder)]
    if not others:
        return f"{folder} holds no prepared text to use again: prepare it first"
    differing, nearest = min(((_differing(recipe, other), other) for other in others), key=lambda pair: len(pair[0]))
    differences = [
        "the files changed" if field == "files" else f"{field} was {nearest.get(field)}, is {recipe.get(field)}"
        for field in differing or ["files"]  # no option differs: then the files have another format
    ]
    return (
        f"{folder} holds no text prepared with these options to use again ({'; '.join(differences)}): "
        f"prepare it again, or give the options it was prepared with"
    )


def _differing(one: Recipe, other: Recipe) -> list[str]:
    """The fields that differ; a missing field counts as None."""
    return [field for field in {**one, **other} if one.get(field) != other.get(field)]


def _key(recipe: Recipe) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
