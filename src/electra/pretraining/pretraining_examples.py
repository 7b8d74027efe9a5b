"""The examples of a run: made of its text, once, or found in a folder that others prepared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from electra.data.dataset.shards import Shards
from electra.data.preparation.prepare import DESCRIPTION, open_prepared, prepare, read_recipe
from electra.files.atomic import write_text
from electra.files.digests import describe_sources, file_sha256
from electra.pretraining.pretrain_config import PretrainConfig
from electra.text.tokenizer import ElectraTokenizer
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run

RECORD = "examples.json"
"""In the run folder: by what the examples are recognised that it was begun with."""


def examples_of(
    config: PretrainConfig,
    files: tuple[str, ...],
    tokenizer: ElectraTokenizer,
    run: Run,
    report: Reporter,
    look: Callable[[], None],
) -> tuple[Shards, Shards]:
    """`(train, held_out)`: from `files`, kept in the run's folder, or as they are in the prepared folder named there.

    look: called after every document; what it raises ends the work, which goes on there the next time.

    Raises:
        ValueError: the text cannot be read (with file and line), the prepared folder was made in another way, or the
            run was begun with other examples.
    """
    texts = _found_or_made(config, files, tokenizer, run, report, look)
    _insist_on_same(texts, run)
    return texts


def is_prepared(files: tuple[str, ...]) -> bool:
    """Whether the files are one folder of prepared examples (see `data.preparation.datatrove_pipeline`)."""
    return len(files) == 1 and (Path(files[0]) / DESCRIPTION).is_file()


def _found_or_made(
    config: PretrainConfig,
    files: tuple[str, ...],
    tokenizer: ElectraTokenizer,
    run: Run,
    report: Reporter,
    look: Callable[[], None],
) -> tuple[Shards, Shards]:
    if is_prepared(files):
        return _given(Path(files[0]), config, tokenizer)
    with report.counting("tokenizing the text") as count:
        return prepare(
            files,
            tokenizer,
            run.folder / "examples",
            length=config.recipe.length,
            segments=config.segments,
            seed=config.seed,
            held_out_fraction=config.held_out_fraction,
            word_boundaries=config.word_boundaries,
            **config.reading,
            progress=count,
            look=look,
            reuse_only=bool(run.checkpoints.steps()),
        )


def _given(folder: Path, config: PretrainConfig, tokenizer: ElectraTokenizer) -> tuple[Shards, Shards]:
    recipe = read_recipe(folder)
    wanted = {
        "length": config.recipe.length,
        "segments": config.segments,
        "word_boundaries": config.word_boundaries,
    }
    differing = [
        f"{name} {recipe.get(name)}, not {value}" for name, value in wanted.items() if recipe.get(name) != value
    ]
    if differing:
        raise ValueError(f"{folder} was prepared with {' and '.join(differing)}: give what it was prepared with")
    return open_prepared(folder, tokenizer)


def _insist_on_same(texts: tuple[Shards, Shards], run: Run) -> None:
    """Refuse to go on with other examples; where nothing was trained (or nothing recorded), record what they are."""
    record, digest = run.folder / RECORD, _digest(texts)
    if not run.checkpoints.steps() or not record.is_file():
        write_text(record, json.dumps({"sha256": digest}) + "\n")
    elif json.loads(record.read_text("utf-8"))["sha256"] != digest:
        raise ValueError(
            f"{run.folder} was begun with other examples than those in {texts[0].path.parent}: give those to go on, or "
            "another output folder for a new run"
        )


def _digest(texts: tuple[Shards, Shards]) -> str:
    """Of the indices whole, and of the ids their size and ends: names and times do not count, so they may be moved."""
    digest = hashlib.sha256()
    for shards in texts:
        digest.update(bytes.fromhex(file_sha256(shards.path.with_suffix(".idx"))))
        [ids] = describe_sources([shards.path.with_suffix(".bin")])
        digest.update(f"{ids['bytes']} {ids['ends_sha256']}".encode())
    return digest.hexdigest()
