"""The settings of a run."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from electra.config import ElectraConfig
from electra.nn.masking import Masking
from electra.training.recipe import RECIPES, Recipe, require
from electra.training.settings import Setting

PRECISIONS = ("auto", "float32", "bfloat16")

# These decide nothing about the result. (Whether the files hold the text they held is asked of the text itself.)
CHANGEABLE = frozenset({"files", "device", "save_every", "keep_checkpoints", "quiet"})


@dataclass(frozen=True)
class PretrainConfig:
    """What to pretrain, on what, for how long. What is left out follows from `size`, as in the paper.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    files: tuple[str, ...]
    """Text files (plain, .gz, .xz, .zst), folders or patterns; blank lines separate documents."""
    _: KW_ONLY
    output: Path
    """The run folder: a new one, or that of a run to go on with."""
    size: str = "small"
    """tiny, small, base or large: the networks, and all that is not given here."""
    steps: int | None = None
    """Updates of the weights (by size: 10,000, 1,000,000, 766,000, 400,000)."""
    batch_size: int | None = None
    """Examples in a step (by size: 32, 128, 256, 2048)."""
    length: int | None = None
    """Tokens in an example, at most (by size: 128, 128, 512, 512)."""
    learning_rate: float | None = None
    """The rate that the warm-up leads to (by size: 3e-4, 5e-4, 2e-4, 2e-4)."""
    warmup_steps: int | None = None
    """Steps in which the rate grows from 0 (a tenth of the steps, at most 10,000)."""
    mask_fraction: float | None = None
    """The share of tokens that the generator replaces (0.15; large: 0.25)."""
    generator_fraction: float | None = None
    """The generator's width as a share of the discriminator's (by size: 1/4, 1/4, 1/3, 1/4)."""
    dropout: float = 0.1
    """The probability of dropping a value, in hidden layers and in attention."""
    seed: int = 0
    """All that is random follows from it: the same seed gives the same weights, on a CPU bit for bit."""
    vocab: Path | None = None
    """A vocab.txt or a tokenizer's folder. Left out, a vocabulary is trained on the files."""
    vocab_size: int | None = None
    """Entries of the vocabulary that is trained (tiny: 8192, else 30,522); little text gives fewer."""
    cased: bool = False
    """Train a vocabulary that keeps upper case and accents."""
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
    """auto, cpu, cuda, cuda:1, mps."""
    precision: str = "auto"
    """float32, bfloat16, or auto: bfloat16 on GPUs that have it."""
    quiet: bool = False
    """Say nothing while at work."""

    def __post_init__(self) -> None:
        files = (self.files,) if isinstance(self.files, (str, os.PathLike)) else self.files
        object.__setattr__(self, "files", tuple(os.fspath(file) for file in files))
        object.__setattr__(self, "output", Path(self.output))
        object.__setattr__(self, "vocab", None if self.vocab is None else Path(self.vocab))
        _check(self)

    @property
    def recipe(self) -> Recipe:
        """The hyperparameters of the size with those given here in their place, and what follows from them."""
        given = {name: getattr(self, name) for name in (field.name for field in fields(Recipe))}
        return RECIPES[self.size].with_given(given)

    @property
    def discriminator(self) -> ElectraConfig:
        """The discriminator's configuration but for its vocabulary."""
        return ElectraConfig.preset(
            self.size, hidden_dropout_prob=self.dropout, attention_probs_dropout_prob=self.dropout
        )

    @property
    def masking(self) -> Masking:
        """The law of masking, its maximum of predictions derived from fraction and length (Google's formula)."""
        fraction, length = self.recipe.mask_fraction, self.recipe.length
        return Masking(fraction=fraction, max_predictions=max(1, int((fraction + 0.005) * length)))

    def settings(self) -> dict[str, Setting]:
        """All there is to say about the run, with every hyperparameter, as simple values."""
        values: dict[str, Any] = {**asdict(self), **asdict(self.recipe)}
        if self.vocab is not None:
            values["vocab_size"] = None
        del values["output"]
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _check(config: PretrainConfig) -> None:
    """Refuse what cannot be run, before anything is read or written."""
    require(0 <= config.dropout < 1, "dropout", config.dropout, "0 or more and below 1")
    require(config.precision in PRECISIONS, "precision", config.precision, f"one of {', '.join(PRECISIONS)}")
    positions = config.discriminator.max_position_embeddings  # names the sizes where `size` is none
    length = config.recipe.length
    require(5 <= length <= positions, "length", length, f"5 to {positions}, the positions that the networks have")
    config.discriminator.generator(config.generator_fraction)
    require(bool(config.files), "files", "empty", "at least one text file, folder or pattern")
    require(config.keep_checkpoints >= 1, "keep_checkpoints", config.keep_checkpoints, "1 or more")
    require(config.evaluate_examples >= 1, "evaluate_examples", config.evaluate_examples, "1 or more")
    require(0 <= config.seed < 2**63, "seed", config.seed, "0 to 2**63 - 1")
    if config.vocab is not None and config.vocab_size is not None:
        raise ValueError(
            f"vocab ({config.vocab}) and vocab_size ({config.vocab_size}) are both given: "
            "give vocab to use a vocabulary, or vocab_size to train one"
        )
    if config.vocab is not None and config.cased:
        raise ValueError(f"vocab ({config.vocab}) and cased are both given: cased is for a vocabulary that is trained")
