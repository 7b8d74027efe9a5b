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
    look: Callable[[], None] | None = None,
    reuse_only: bool = False,
) -> tuple[Shards, Shards]:
    """Tokenize text once: `(train, held_out)` examples of at most `length` tokens, memory-mapped.

    paths, encoding, text_field, invalid_utf8: as `read_documents` takes them.
    folder: where prepared text is kept, each preparation in a folder of its own, named by what decides it: tokenizer,
        the options here (but for `invalid_utf8`: text without such bytes is the same with either, and one that was
        refused goes on where it was), and the files' sizes, times of change, ends and kinds. If it is there already it
        is opened, which takes no time; an unfinished one is never taken for a whole one. One that was interrupted or
        killed goes on where it was, and ends with the same bits as one that was not.
    length: tokens of an example with its special ones, 5 or more.
    segments: how examples are made of documents: "faithful" to Google's law (module `segments`), which throws away what
        does not fit, or "packed", which keeps every token (module `packing`).
    seed: decides how lines are put together to faithful examples.
    held_out_fraction: the share of documents, above 0 and at most 0.5, that is kept for evaluation. Which ones follows
        from their numbers in reading order alone.
    word_boundaries: a character that stands between words in the text, and nowhere else in it (white space parts words
        too). The text is read without it, and the examples tell where words begin, for masking whole ones.
    progress: called with (bytes read, bytes in all).
    look: called after every document. What it raises ends the preparation, which the same call then goes on with after
        that document.
    reuse_only: open what is there, and raise `ValueError` where that is not this text prepared in this way. The files'
        times do not count then: copies on another machine have other ones.

    Raises `ValueError` or `FileNotFoundError` for text that cannot be read (with file and line), and `ValueError` for
    too little of it. Memory does not grow with the text.
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
    target, there = Path(folder) / _key(recipe), _find(Path(folder), recipe, files, times=not reuse_only)
    if there is not None:
        try:
            return open_prepared(there, tokenizer)
        except (ValueError, FileNotFoundError) as error:
            if reuse_only:
                raise
            logger.warning("the text is prepared again: %s", error)
    elif reuse_only:
        raise ValueError(_not_there(recipe, Path(folder)))
    elif (target / DESCRIPTION).is_file():
        logger.warning("the text is prepared again: %s is damaged, or of files of another kind", target / DESCRIPTION)
    with resumable_folder(target, DESCRIPTION) as working:
        if not (working / DESCRIPTION).is_file():
            counts = ExampleSets(working, tokenizer, recipe).write_files(files, decoding, progress, look)
            _insist_unchanged(files, recipe)
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
    """What decides how examples are made of documents. Raises `ValueError` for a value that is not allowed."""
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
        # not there where it is not given: so were texts prepared before it could be
        **({} if word_boundaries is None else {"word_boundaries": word_boundaries}),
    }


def open_prepared(folder: PathLike, tokenizer: ElectraTokenizer) -> tuple[Shards, Shards]:
    """Open one prepared folder: `(train, held_out)`.

    Raises `ValueError` if another tokenizer prepared it, or if it is damaged.
    """
    recipe = read_recipe(folder)
    there, words = recipe["tokenizer"], recipe.get("word_boundaries") is not None
    if there != tokenizer.fingerprint():
        raise ValueError(
            f"{folder} was prepared with another tokenizer (fingerprint {there}) than the one given "
            f"({tokenizer.fingerprint()}): its ids mean other tokens. Use the first, or prepare the text again"
        )
    return Shards(Path(folder), TRAIN, words=words), Shards(Path(folder), HELD_OUT, words=words)


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


def _find(folder: Path, recipe: Recipe, files: tuple[Path, ...], *, times: bool) -> Path | None:
    """The folder in which these files were prepared in this way, if there is one."""
    wanted = _comparable(recipe, files, times=times)
    for path in (folder / _key(recipe) / DESCRIPTION, *_whole_ones(folder)):
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):  # a damaged one is none
            told = json.loads(path.read_text("utf-8"))
            if _comparable(told["recipe"], map(Path, told["files"]), times=times) == wanted:
                return path.parent
    return None


def _comparable(recipe: Recipe, files: Iterable[Path], *, times: bool) -> Recipe:
    """The recipe with what each file was read as, which older ones did not tell, and without times where they do not
    count.
    """
    sources = [{**source, "kind": format_of(file)} for source, file in zip(recipe["files"], files, strict=True)]
    dropped = () if times else ("changed_ns",)
    return {**recipe, "files": [{name: one[name] for name in one if name not in dropped} for one in sources]}


def _whole_ones(folder: Path) -> list[Path]:
    """The descriptions of what was prepared in the folder to its end."""
    return sorted(folder.glob(f"[!.]*/{DESCRIPTION}"))  # the hidden ones are not


def _insist_unchanged(files: tuple[Path, ...], recipe: Recipe) -> None:
    changed = [
        str(file)
        for file, before, now in zip(files, recipe["files"], describe_sources(files), strict=True)
        if before != now
    ]
    if changed:
        raise ValueError(f"{', '.join(changed)} changed while it was read: start again when nothing writes to it")


def _not_there(recipe: Recipe, folder: Path) -> str:
    """What to say where nothing was prepared in this way: what the nearest that is there differs in."""
    others = [read_recipe(path.parent) for path in _whole_ones(folder)]
    if not others:
        return f"{folder} holds no prepared text to use again: prepare it first"
    differing, there = min(((_differing(recipe, other), other) for other in others), key=lambda pair: len(pair[0]))
    told = [
        "the files changed" if field == "files" else f"{field} was {there.get(field)}, is {recipe.get(field)}"
        for field in differing or ["files"]  # which are of another kind, if they differ in nothing that was described
    ]
    return (
        f"{folder} holds no text prepared in this way to use again ({'; '.join(told)}): "
        f"prepare it again, or give what it was prepared with"
    )


def _differing(one: Recipe, other: Recipe) -> list[str]:
    """The fields that differ; one that is not there counts as None."""
    return [field for field in {**one, **other} if one.get(field) != other.get(field)]


def _key(recipe: Recipe) -> str:
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
