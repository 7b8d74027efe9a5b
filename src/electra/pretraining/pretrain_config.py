"""PretrainConfig: the settings of a pretraining run, which are its flags and keywords"""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from electra.data.preparation.segments import SEGMENTS
from electra.data.preparation.words import check_symbol
from electra.files.encodings import INVALID
from electra.files.text_files import STDIN
from electra.pretraining.recipe import RECIPES, Recipe
from electra.training.run.settings import Setting, read_settings
from electra.training.run.trackers import MODULES as TRACKERS
from electra.validation import did_you_mean, require, require_count, require_one_of

if TYPE_CHECKING:  # they import torch, which `electra pretrain --help` need not wait for
    from electra.config import ElectraConfig
    from electra.objective.masking import Masking

MODES = ("fast", "replica")
OBJECTIVES = ("rtd", "mlm")
SHRINK = "shrink"
PRECISIONS = ("auto", "float32", "tf32", "bfloat16")

RENAMED = {"length": "max_length"}
"""Settings that earlier versions called otherwise, in config.toml: that name -> the present one."""

# These change nothing about the result but rounding and which values dropout drops. (Whether files and vocab are those
# of the run is checked on the prepared examples themselves, so they may be moved.)
CHANGEABLE = frozenset(
    {"files", "vocab", "cased", "device", "accumulate", "compile", "save_every", "keep_checkpoints", "tracker", "quiet"}
)


@dataclass(frozen=True)
class PretrainConfig:
    """What to pretrain, on which text, for how many steps. Defaults follow from `size`, as in the paper.

    Raises:
        ValueError: an invalid value; the message names it and says what is allowed.
    """

    files: tuple[str, ...] = ()
    """.txt, .jsonl, .csv, .tsv (also .gz, .xz, .zst), .parquet; folders, patterns, `-` (stdin), prepared examples."""
    _: KW_ONLY
    output: Path
    """The run folder: a new one, or that of a run to resume, for which no other flag is needed."""
    config: Path | None = None
    """A config.toml, as every run writes one, whose settings are used where no flag is given."""
    size: str = "small"
    """tiny, small, small++ (as Google published it), base or large: the networks, and the defaults below."""
    mode: str = "fast"
    """fast, or replica: reproduces Google's algorithm exactly. fast masks without replacement, no attention dropout."""
    objective: str = "rtd"
    """rtd: replaced-token detection, or mlm: masked language modelling with one network of the discriminator's size."""
    steps: int | None = None
    """Updates of the weights (by size: 10,000, 1,000,000, 4,000,000, 766,000, 400,000)."""
    batch_size: int | None = None
    """Examples in a step (by size: 32, 128, 128, 256, 2048)."""
    max_length: int | None = None
    """Tokens in an example, at most (by size: 128, 128, 512, 512, 512)."""
    learning_rate: float | None = None
    """The highest learning rate, at the end of the warm-up (by size: 3e-4, 5e-4, 5e-4, 2e-4, 2e-4)."""
    warmup_steps: int | None = None
    """Steps in which the learning rate rises from 0 (a tenth of the steps, at most 10,000)."""
    mask_fraction: float | None = None
    """The fraction of tokens that are masked (0.15; large: 0.25)."""
    generator_fraction: float | None = None
    """The generator's width as a fraction of the discriminator's (by size: 1/4, 1/4, 1, 1/3, 1/4)."""
    untied: bool = False
    """Do not share embeddings: the generator gets its own, as wide as its hidden layers."""
    whole_words: bool = False
    """Mask whole words: those that word_boundaries separates, else a piece with ## belongs to the piece before it."""
    word_boundaries: str | None = None
    """A character that separates words in the text and is used for nothing else; it is removed from the examples."""
    init_discriminator: str | None = None
    """A discriminator to start from, a folder or a name on the Hub; its tokenizer is used unless vocab is given."""
    init_generator: str | None = None
    """A generator to start from, or shrink: made of units of init_discriminator. For mlm: the model to start from."""
    init: Path | None = None
    """A run's folder, or one that `electra convert` wrote, to start from: its networks, Adam's moments, tokenizer."""
    keep_step: bool = False
    """Continue counting at the step of init, with its learning rate; by default a warm-up starts at step 0."""
    dropout: float = 0.1
    """The probability of dropping a value in hidden layers; in mode replica in attention too, which is slower."""
    seed: int = 0
    """Decides all random choices: the same seed gives the same weights, on a CPU bit for bit."""
    vocab: Path | None = None
    """A vocab.txt, a tokenizer.json or a tokenizer's folder; by default a vocabulary is trained on the files."""
    vocab_size: int | None = None
    """Size of the vocabulary that is trained (tiny: 8192, else 30,522); little text gives a smaller one."""
    cased: bool | None = None
    """Train a vocabulary that keeps upper case and accents; by default chosen by what the text would lose."""
    text_field: str = "text"
    """The field or column that has the text, in .jsonl, .csv, .tsv and .parquet files."""
    invalid_utf8: str = "refuse"
    """Bytes that are not UTF-8: refuse them, or replace and count them."""
    segments: str = "faithful"
    """faithful to Google's examples, which drop what does not fit, or packed, which keep every token."""
    held_out_fraction: float = 0.01
    """The fraction of documents that is held out for evaluation."""
    report_every: int | None = None
    """Steps between lines of metrics (a hundredth of the steps, at most 100)."""
    evaluate_every: int | None = None
    """Steps between evaluations on held-out text (a tenth of the steps, at most 1000)."""
    evaluate_examples: int = 1024
    """Held-out examples in an evaluation, at most."""
    save_every: int | None = None
    """Steps between checkpoints (a tenth of the steps, at most 1000)."""
    keep_checkpoints: int = 5
    """How many checkpoints are kept."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; for several processes without a number."""
    precision: str = "auto"
    """float32, tf32 (float32 with TF32 matrix products on GPUs), bfloat16, or auto: bfloat16 on GPUs that have it."""
    accumulate: int = 1
    """Gradient accumulation: parts that a device computes its batch in, one by one; less memory, the same step."""
    compile: bool = False
    """Compile the networks: takes minutes at the start and makes GPUs faster."""
    tracker: Literal["tensorboard", "wandb"] | None = None
    """Where the metrics go besides metrics.jsonl: tensorboard (into the run folder) or wandb (Weights & Biases)."""
    dry_run: bool = False
    """Print what the run would need (tokens, epochs, memory, time, disk), and write nothing."""
    json: bool = False
    """Print the dry run as one JSON object."""
    quiet: bool = False
    """Print no progress."""

    def __post_init__(self) -> None:
        files = (self.files,) if isinstance(self.files, (str, os.PathLike)) else self.files
        names = map(os.fspath, files)
        object.__setattr__(self, "files", tuple("-" if name in STDIN else name for name in names))
        object.__setattr__(self, "output", Path(self.output))
        for name in ("vocab", "init", "config"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value))
        _check(self)

    @property
    def recipe(self) -> Recipe:
        """The hyperparameters of the size, with those given here in their place."""
        return RECIPES[self.size].with_values({field.name: getattr(self, field.name) for field in fields(Recipe)})

    @property
    def reading(self) -> dict[str, Any]:
        """How the files are read: options of `read_documents` and `prepare`."""
        return {"text_field": self.text_field, "invalid_utf8": self.invalid_utf8}

    @property
    def discriminator(self) -> ElectraConfig:
        """The discriminator's configuration without its vocabulary, with the dropout that fine-tuning uses."""
        from electra.config import ElectraConfig

        return ElectraConfig.preset(self.size)

    def generator_of(self, discriminator: ElectraConfig) -> ElectraConfig:
        """The generator's configuration for this one of the discriminator; for mlm, that of the one network."""
        if self.objective == "mlm":
            return discriminator
        generator = discriminator.generator(self.generator_fraction)
        if self.untied:  # run_pretraining.py, untied_generator_embeddings
            generator.update({"embedding_size": generator.hidden_size})
        return generator

    @property
    def attention_dropout(self) -> float:
        """The probability of dropping an attention weight; torch's fast kernels for ragged batches cannot do that."""
        return self.dropout if self.mode == "replica" else 0.0

    @property
    def init_tokenizer(self) -> str | None:
        """The model whose tokenizer is used if `vocab` is not given: the network or run to start from."""
        if self.init is None:
            return self.init_discriminator or self.init_generator
        folders = (self.init / name for name in ("discriminator", "model", "tokenizer"))
        return next((str(folder) for folder in folders if folder.is_dir()), f"{self.init}/tokenizer")

    @property
    def masking(self) -> Masking:
        """The masking strategy; the maximum of predictions follows from fraction and length by Google's formula."""
        from electra.objective.masking import Masking

        fraction, length = self.recipe.mask_fraction, self.recipe.max_length
        return Masking(
            fraction=fraction,
            max_predictions=max(1, int((fraction + 0.005) * length)),
            with_replacement=self.mode == "replica",
        )

    def settings(self) -> dict[str, Setting]:
        """All settings of the run, with every hyperparameter, as simple values."""
        values: dict[str, Any] = {**asdict(self), **asdict(self.recipe)}
        if self.vocab is not None or self.init_tokenizer is not None:
            values["vocab_size"] = None
        for name in ("output", "config", "dry_run", "json"):  # they are of a call, not of the run
            del values[name]
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def with_saved_settings(config: PretrainConfig) -> PretrainConfig:
    """The config with the settings of its `config` file, or without files those of the run in `output`.

    Every setting that differs from its default is kept.

    Raises:
        ValueError: the file is not TOML, or has an unknown or invalid setting.
        OSError: it cannot be read.
    """
    if config.files and config.config is None:
        return config
    path = config.config or config.output / "config.toml"
    saved = read_settings(path, renamed=RENAMED)
    known = {each.name: each.default for each in fields(config)}
    for name in saved:
        if name not in known or name in ("output", "config", "dry_run", "json"):
            raise ValueError(f"{path} has a setting {name!r}: it is not one of a run{did_you_mean(name, known)}")
    changed = {name: getattr(config, name) for name, default in known.items() if getattr(config, name) != default}
    return PretrainConfig(**{**saved, **changed, "config": None})  # type: ignore[arg-type]


def extends(config: PretrainConfig) -> bool:
    """Whether the config only lets the run in `output` take more steps than it was started with."""
    path = config.output / "config.toml"
    before = read_settings(path, renamed=RENAMED).get("steps") if path.is_file() else None
    return isinstance(before, int) and config.recipe.steps > before


def _check(config: PretrainConfig) -> None:
    """Refuse invalid settings, before anything is read or written."""
    require(0 <= config.dropout < 1, "dropout", config.dropout, "0 or more and below 1")
    require_one_of("precision", config.precision, PRECISIONS)
    positions = config.discriminator.max_position_embeddings  # refuses an unknown size
    length = config.recipe.max_length
    require(5 <= length <= positions, "max_length", length, f"5 to {positions}, the positions that the networks have")
    _check_combinations(config)
    _check_names(config)
    if not config.files and config.config is None:
        allowed = "at least one text file, folder or pattern; without files, output must be a run to resume"
        require((config.output / "config.toml").is_file(), "files", "empty", allowed)
    require_one_of("segments", config.segments, SEGMENTS)
    require_one_of("invalid_utf8", config.invalid_utf8, INVALID)
    check_symbol(config.word_boundaries)
    require(bool(config.text_field), "text_field", config.text_field, "the name of a field")
    if config.tracker is not None:
        require_one_of("tracker", config.tracker, TRACKERS)
    require(
        config.dry_run or not config.json, "json", config.json, "False without dry_run, because a run prints no result"
    )
    for name in ("keep_checkpoints", "accumulate", "evaluate_examples"):
        require_count(name, getattr(config, name))
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
    """Refuse names that the run's own files cannot hold."""
    for name in ("files", "output", "vocab", "init", "init_discriminator", "init_generator"):
        value = getattr(config, name)
        for one in value if isinstance(value, tuple) else (value,):
            try:
                str(one).encode("utf-8")
            except UnicodeEncodeError:
                raise ValueError(
                    f"{name}: {str(one)!a} is not a name in UTF-8: rename it, or give its folder"
                ) from None


def _check_combinations(config: PretrainConfig) -> None:
    """Refuse unknown choices, and settings that exclude each other."""
    require_one_of("mode", config.mode, MODES)
    require_one_of("objective", config.objective, OBJECTIVES)
    config.discriminator.generator(config.generator_fraction)
    if config.mode == "replica":
        require(config.segments == "faithful", "segments", config.segments, "faithful in mode replica")
        require(
            not config.whole_words, "whole_words", True, "False in mode replica, because Google's code masks pieces"
        )
    if config.init is not None and (config.init_discriminator or config.init_generator):
        raise ValueError(
            f"init ({config.init}) and init_discriminator or init_generator are both given: leave out one of them; "
            "init has both networks"
        )
    require(
        config.init is not None or not config.keep_step, "keep_step", True, "False without init, whose step it keeps"
    )
    if config.objective == "mlm":
        for name in ("generator_fraction", "init_discriminator"):
            value = getattr(config, name)
            require(
                value is None,
                name,
                value,
                "left out for mlm, which trains one network; init_generator is the network to start from",
            )
        require(not config.untied, "untied", True, "False for mlm, which trains one network")
    if config.init_generator == SHRINK:
        require(
            bool(config.init_discriminator),
            "init_generator",
            SHRINK,
            "a folder or name, if init_discriminator is not given",
        )
        require(not config.untied, "init_generator", SHRINK, "a folder or name for an untied generator")
