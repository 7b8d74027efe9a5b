"""The tokenizer and the examples of a run: made of its text, once, or opened in a folder of prepared examples"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from electra.data.dataset.shards import Shards
from electra.data.preparation.prepare import open_prepared, prepare, read_recipe
from electra.files.atomic import write_text
from electra.files.digests import describe_sources, file_sha256
from electra.pretraining.initial_weights import check_shapes
from electra.pretraining.networks import shape_of
from electra.pretraining.pretrain_config import PretrainConfig
from electra.pretraining.run_vocabulary import tokenizer_of
from electra.pretraining.text_source import TextSource
from electra.text.tokenizer import ElectraTokenizer
from electra.training.progress import Reporter
from electra.training.run.run_folder import Run

FLAGS = {"length": "max_length"}
"""What a setting of the preparation is called here, where that differs."""

RECORD = "examples.json"
"""The file in the run folder that identifies the examples which it was started with."""


def tokenizer_and_examples(
    config: PretrainConfig, source: TextSource, run: Run, report: Reporter, check: Callable[[], None]
) -> tuple[ElectraTokenizer, tuple[Shards, Shards]]:
    """The tokenizer and the examples, to train on and held out: opened, or made now.

    Args:
        check: called again and again. What it raises ends the work, which the next call resumes.

    Raises:
        ValueError: the text cannot be read (with file and line), the prepared folder was made with other settings, or
            the run was started with other examples.
    """
    tokenizer = tokenizer_of(config, source, run, report, check)
    if not run.resumes:
        check_shapes(config, shape_of(config, tokenizer))
    texts = (
        _prepared(source.prepared, config, tokenizer)
        if source.prepared
        else _made(config, source, tokenizer, run, report, check)
    )
    _check_same(texts, run)
    return tokenizer, texts


def _made(
    config: PretrainConfig,
    source: TextSource,
    tokenizer: ElectraTokenizer,
    run: Run,
    report: Reporter,
    check: Callable[[], None],
) -> tuple[Shards, Shards]:
    """Examples of the text, in the run folder."""
    with report.counting("tokenizing the text") as count:
        return prepare(
            source.files,
            tokenizer,
            run.folder / "examples",
            length=config.recipe.max_length,
            segments=config.segments,
            seed=config.seed,
            held_out_fraction=config.held_out_fraction,
            word_boundaries=config.word_boundaries,
            **config.reading,
            progress=count,
            check=check,
            reuse_only=run.resumes,
        )


def _prepared(folder: Path, config: PretrainConfig, tokenizer: ElectraTokenizer) -> tuple[Shards, Shards]:
    """Examples that others have prepared, checked to be made with the settings of this run."""
    recipe = read_recipe(folder)
    wanted = {
        "length": config.recipe.max_length,
        "segments": config.segments,
        "word_boundaries": config.word_boundaries,
    }
    differing = [
        f"{FLAGS.get(name, name)} {recipe.get(name)}, not {value}"
        for name, value in wanted.items()
        if recipe.get(name) != value
    ]
    if differing:
        raise ValueError(
            f"{folder} was prepared with {' and '.join(differing)}: give the settings it was prepared with"
        )
    return open_prepared(folder, tokenizer)


def _check_same(texts: tuple[Shards, Shards], run: Run) -> None:
    """Refuse to resume with other examples; before any training (or without a record), record which they are."""
    record, digest = run.folder / RECORD, _digest(texts)
    if not run.resumes or not record.is_file():
        write_text(record, json.dumps({"sha256": digest}) + "\n")
    elif json.loads(record.read_text("utf-8"))["sha256"] != digest:
        raise ValueError(
            f"{run.folder} was started with other examples than those in {texts[0].path.parent}: give those to "
            "resume it, or another output folder for a new run"
        )


def _digest(texts: tuple[Shards, Shards]) -> str:
    """Of the whole indices, and of the size and ends of the ids; not of names and times, so that files may be moved."""
    digest = hashlib.sha256()
    for shards in texts:
        digest.update(bytes.fromhex(file_sha256(shards.path.with_suffix(".idx"))))
        [ids] = describe_sources([shards.path.with_suffix(".bin")])
        digest.update(f"{ids['bytes']} {ids['ends_sha256']}".encode())
    return digest.hexdigest()
