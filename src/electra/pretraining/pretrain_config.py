"""The settings of a run."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from electra.config import ElectraConfig
from electra.data.preparation.segments import SEGMENTS
from electra.data.preparation.words import check_symbol
from electra.files.encodings import INVALID
from electra.files.text_files import STDIN
from electra.objective.masking import Masking
from electra.pretraining.recipe import RECIPES, Recipe, require
from electra.training.run.settings import Setting
from electra.training.run.trackers import MODULES as TRACKERS

MODES = ("fast", "replica")
OBJECTIVES = ("rtd", "mlm")
SHRINK = "shrink"
PRECISIONS = ("auto", "float32", "tf32", "bfloat16")

# These decide nothing about the result but rounding and which values dropout drops. (Whether the files hold the text
# they held is asked of the text itself, and whether the vocabulary is the same of what was prepared with it.)
CHANGEABLE = frozenset(
    {"files", "vocab", "device", "accumulate", "compile", "save_every", "keep_checkpoints", "tracker", "quiet"}
)


@dataclass(frozen=True)
class PretrainConfig:
    """What to pretrain, on what, for how long. What is left out follows from `size`, as in the paper.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    files: tuple[str, ...]
    """.txt, .jsonl, .csv, .tsv (also .gz, .xz, .zst), .parquet; folders, patterns, `-` (stdin), prepared examples."""
    _: KW_ONLY
    output: Path
    """The run folder: a new one, or that of a run to go on with."""
    size: str = "small"
    """tiny, small, small++ (as Google published it), base or large: the networks, and all that is not given here."""
    mode: str = "fast"
    """fast, or replica: Google's law in every choice. fast masks without replacement, and drops no attention."""
    objective: str = "rtd"
    """rtd: replaced-token detection, or mlm: one network of the discriminator's size that fills in masked tokens."""
    steps: int | None = None
    """Updates of the weights (by size: 10,000, 1,000,000, 4,000,000, 766,000, 400,000)."""
    batch_size: int | None = None
    """Examples in a step (by size: 32, 128, 128, 256, 2048)."""
    length: int | None = None
    """Tokens in an example, at most (by size: 128, 128, 512, 512, 512)."""
    learning_rate: float | None = None
    """The rate that the warm-up leads to (by size: 3e-4, 5e-4, 5e-4, 2e-4, 2e-4)."""
    warmup_steps: int | None = None
    """Steps in which the rate grows from 0 (a tenth of the steps, at most 10,000)."""
    mask_fraction: float | None = None
    """The share of tokens that the generator replaces (0.15; large: 0.25)."""
    generator_fraction: float | None = None
    """The generator's width as a share of the discriminator's (by size: 1/4, 1/4, 1, 1/3, 1/4)."""
    untied: bool = False
    """Give the generator embeddings of its own, as wide as its hidden layers, in place of the discriminator's."""
    whole_words: bool = False
    """Mask whole words: what word_boundaries parts, else a piece that begins with ## belongs to the one before it."""
    word_boundaries: str | None = None
    """A character that stands between words in the text and nowhere else, and is left out of what is learnt."""
    init_discriminator: str | None = None
    """A discriminator to start from, a folder or a name on the hub; its tokenizer is used unless vocab is given."""
    init_generator: str | None = None
    """A generator to start from, or shrink: units of init_discriminator's layers. For mlm: the model to start from."""
    init: Path | None = None
    """A run's folder, or one that `electra convert` wrote, to go on from: its networks, Adam's moments, tokenizer."""
    keep_step: bool = False
    """Count on from the step of init, whose learning rate goes on; left out, a warm-up begins at step 0."""
    dropout: float = 0.1
    """The probability of dropping a value in hidden layers; in mode replica in attention too, which is slower."""
    seed: int = 0
    """All that is random follows from it: the same seed gives the same weights, on a CPU bit for bit."""
    vocab: Path | None = None
    """A vocab.txt or a tokenizer's folder. Left out, a vocabulary is trained on the files."""
    vocab_size: int | None = None
    """Entries of the vocabulary that is trained (tiny: 8192, else 30,522); little text gives fewer."""
    cased: bool = False
    """Train a vocabulary that keeps upper case and accents."""
    text_field: str = "text"
    """The field or column that has the text, in .jsonl, .csv, .tsv and .parquet files."""
    invalid_utf8: str = "refuse"
    """What is to be done with bytes that are not UTF-8: refuse them, or replace and count them."""
    segments: str = "faithful"
    """faithful to Google's examples, which leave out what does not fit, or packed, which keep every token."""
    held_out_fraction: float = 0.01
    """The share of documents that is kept apart for evaluation."""
    report_every: int | None = None
    """Steps from one line of metrics to the next (a hundredth of the steps, at most 100)."""
    evaluate_every: int | None = None
    """Steps from one evaluation on held-out text to the next (a tenth of the steps, at most 1000)."""
    evaluate_examples: int = 1024
    """Held-out examples in an evaluation, at most."""
    save_every: int | None = None
    """Steps from one checkpoint to the next (a tenth of the steps, at most 1000)."""
    keep_checkpoints: int = 5
    """How many checkpoints are kept."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; in several processes without a number."""
    precision: str = "auto"
    """float32, tf32 (float32 with coarser products on GPUs), bfloat16, or auto: bfloat16 on GPUs that have it."""
    accumulate: int = 1
    """Parts that a device computes its share of a batch in, one after another: less memory, the same step."""
    compile: bool = False
    """Compile what a step computes, which takes minutes at the start and makes GPUs faster."""
    tracker: Literal["tensorboard", "wandb"] | None = None
    """Where the figures go besides metrics.jsonl: tensorboard (into the run folder) or wandb (Weights & Biases)."""
    dry_run: bool = False
    """Print what the run would take (tokens, epochs, memory, hours, disk), and write nothing."""
    json: bool = False
    """Of a dry run: print one JSON object instead of lines to read."""
    quiet: bool = False
    """Say nothing while at work."""

    def __post_init__(self) -> None:
        files = (self.files,) if isinstance(self.files, (str, os.PathLike)) else self.files
        names = map(os.fspath, files)
        object.__setattr__(self, "files", tuple("-" if name in STDIN else name for name in names))
        object.__setattr__(self, "output", Path(self.output))
        for name in ("vocab", "init"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        _check(self)

    @property
    def recipe(self) -> Recipe:
        """The hyperparameters of the size with those given here in their place, and what follows from them."""
        given = {name: getattr(self, name) for name in (field.name for field in fields(Recipe))}
        return RECIPES[self.size].with_given(given)

    @property
    def reading(self) -> dict[str, Any]:
        """How the files are read: options of `read_documents` and `prepare`."""
        return {"text_field": self.text_field, "invalid_utf8": self.invalid_utf8}

    @property
    def discriminator(self) -> ElectraConfig:
        """The discriminator's configuration but for its vocabulary, with the dropout that fine-tuning is to use."""
        return ElectraConfig.preset(self.size)

    def generator_of(self, discriminator: ElectraConfig) -> ElectraConfig:
        """The generator's configuration that goes with this one of the discriminator; for mlm, of the one network."""
        if self.objective == "mlm":
            return discriminator
        generator = discriminator.generator(self.generator_fraction)
        if self.untied:  # run_pretraining.py, untied_generator_embeddings
            generator.update({"embedding_size": generator.hidden_size})
        return generator

    @property
    def attention_dropout(self) -> float:
        """The probability of dropping an attention weight; torch's fast kernels for ragged rows do not do that."""
        return self.dropout if self.mode == "replica" else 0.0

    @property
    def init_tokenizer(self) -> str | None:
        """Whose tokenizer is used where `vocab` is not given: that of the network or run to start from."""
        if self.init is None:
            return self.init_discriminator or self.init_generator
        folders = (self.init / name for name in ("discriminator", "model", "tokenizer"))
        return next((str(folder) for folder in folders if folder.is_dir()), f"{self.init}/tokenizer")

    @property
    def masking(self) -> Masking:
        """The law of masking, its maximum of predictions derived from fraction and length (Google's formula)."""
        fraction, length = self.recipe.mask_fraction, self.recipe.length
        return Masking(
            fraction=fraction,
            max_predictions=max(1, int((fraction + 0.005) * length)),
            with_replacement=self.mode == "replica",
        )

    def settings(self) -> dict[str, Setting]:
        """All there is to say about the run, with every hyperparameter, as simple values."""
        values: dict[str, Any] = {**asdict(self), **asdict(self.recipe)}
        if self.vocab is not None or self.init_tokenizer is not None:
            values["vocab_size"] = None
        for name in ("output", "dry_run", "json"):  # none of them is the run's
            del values[name]
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _check(config: PretrainConfig) -> None:
    """Refuse what cannot be run, before anything is read or written."""
    require(0 <= config.dropout < 1, "dropout", config.dropout, "0 or more and below 1")
    require(config.precision in PRECISIONS, "precision", config.precision, f"one of {', '.join(PRECISIONS)}")
    positions = config.discriminator.max_position_embeddings  # names the sizes where `size` is none
    length = config.recipe.length
    require(5 <= length <= positions, "length", length, f"5 to {positions}, the positions that the networks have")
    _check_law(config)
    _check_names(config)
    require(bool(config.files), "files", "empty", "at least one text file, folder or pattern")
    require(config.segments in SEGMENTS, "segments", config.segments, f"one of {', '.join(SEGMENTS)}")
    require(config.invalid_utf8 in INVALID, "invalid_utf8", config.invalid_utf8, f"one of {', '.join(INVALID)}")
    check_symbol(config.word_boundaries)
    require(bool(config.text_field), "text_field", "empty", "the name of a field")
    require(config.tracker in (None, *TRACKERS), "tracker", config.tracker, f"one of {', '.join(TRACKERS)}")
    require(config.dry_run or not config.json, "json", config.json, "only with dry_run: a run prints no result")
    require(config.keep_checkpoints >= 1, "keep_checkpoints", config.keep_checkpoints, "1 or more")
    require(config.accumulate >= 1, "accumulate", config.accumulate, "1 or more")
    require(config.evaluate_examples >= 1, "evaluate_examples", config.evaluate_examples, "1 or more")
    require(0 <= config.seed < 2**63, "seed", config.seed, "0 to 2**63 - 1")
    if config.vocab is not None and config.vocab_size is not None:
        raise ValueError(
            f"vocab ({config.vocab}) and vocab_size ({config.vocab_size}) are both given: "
            "give vocab to use a vocabulary, or vocab_size to train one"
        )
    if config.vocab is not None and config.cased:
        raise ValueError(f"vocab ({config.vocab}) and cased are both given: cased is for a vocabulary that is trained")
    if config.vocab is None and config.init_tokenizer and (config.cased or config.vocab_size is not None):
        raise ValueError(
            f"the tokenizer is that of {config.init_tokenizer}, and cased and vocab_size are for a vocabulary that is "
            "trained: leave them out, or give vocab"
        )


def _check_names(config: PretrainConfig) -> None:
    """Refuse names that the run's own files could not hold."""
    for name in ("files", "output", "vocab", "init", "init_discriminator", "init_generator"):
        value = getattr(config, name)
        for one in value if isinstance(value, tuple) else (value,):
            try:
                str(one).encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError(f"{name}: {str(one)!a} is no name in UTF-8: rename it, or give its folder") from None


def _check_law(config: PretrainConfig) -> None:
    """Refuse choices that are none, or that do not go together."""
    require(config.mode in MODES, "mode", config.mode, f"one of {', '.join(MODES)}")
    require(config.objective in OBJECTIVES, "objective", config.objective, f"one of {', '.join(OBJECTIVES)}")
    config.discriminator.generator(config.generator_fraction)
    if config.mode == "replica":
        require(config.segments == "faithful", "segments", config.segments, "faithful in mode replica")
        require(not config.whole_words, "whole_words", True, "False in mode replica: Google's code masks pieces")
    if config.init is not None and (config.init_discriminator or config.init_generator):
        raise ValueError(
            f"init ({config.init}) and init_discriminator or init_generator are both given: init has both networks"
        )
    require(config.init is not None or not config.keep_step, "keep_step", True, "only with init, whose step it keeps")
    if config.objective == "mlm":
        for name in ("generator_fraction", "init_discriminator"):
            value = getattr(config, name)
            require(value is None, name, value, "nothing for mlm, which trains one network; init_generator starts it")
        require(not config.untied, "untied", True, "False for mlm, which trains one network")
    if config.init_generator == SHRINK:
        require(
            bool(config.init_discriminator),
            "init_generator",
            SHRINK,
            "a folder or name, if init_discriminator is not given",
        )
        require(not config.untied, "init_generator", SHRINK, "a folder or name for an untied generator")
