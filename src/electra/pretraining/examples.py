"""The examples of a run: made of its text, once, or found in a folder that others prepared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from electra.data.prepare import DESCRIPTION, open_prepared, prepare, read_recipe
from electra.data.shards import Shards
from electra.pretraining.config import PretrainConfig
from electra.text.tokenizer import ElectraTokenizer
from electra.training.progress import Reporter
from electra.training.run import Run


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
        ValueError: the text cannot be read (with file and line), or the prepared folder was made in another way.
    """
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


def is_prepared(files: tuple[str, ...]) -> bool:
    """Whether the one thing named is a folder of prepared examples (see `electra.data.pipeline`)."""
    return len(files) == 1 and (Path(files[0]) / DESCRIPTION).is_file()


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
