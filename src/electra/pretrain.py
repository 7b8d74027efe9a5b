"""Text files -> a run folder with a generator and a discriminator, trained together by replaced-token detection."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import KW_ONLY, asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from electra import hardware
from electra.config import ElectraConfig
from electra.data.batches import MaskedBatch, PretrainingBatches
from electra.data.documents import read_documents
from electra.data.prepare import prepare
from electra.data.shards import Shards
from electra.data.sources import describe_sources
from electra.data.text_files import find_text_files
from electra.hub.files import write_text, writing_folder
from electra.models import ElectraForMaskedLM, ElectraForPreTraining
from electra.nn.initialize import initialize_like_google
from electra.nn.masking import Masking
from electra.nn.pretraining import ReplacedTokenDetection
from electra.text.tokenizer import ElectraTokenizer
from electra.text.vocabulary import read_vocabulary, train_vocabulary
from electra.training.checkpoints import Checkpoint
from electra.training.health import Diverged, discriminator_statistics, figures, generator_statistics
from electra.training.interruption import Interruption
from electra.training.loop import Every, Window, train
from electra.training.optimizer import Adam, linear_schedule
from electra.training.progress import Reporter, Stopwatch, clock, line
from electra.training.run import Run


@dataclass(frozen=True)
class Recipe:
    """The hyperparameters that go with a size, whole: table 6 of the paper; `tiny` is ours, for a laptop's two cores."""

    learning_rate: float
    batch_size: int
    length: int
    steps: int
    mask_fraction: float
    vocab_size: int = 30522


RECIPES = {
    "tiny": Recipe(1e-3, 32, 128, 10_000, 0.15, vocab_size=8192),
    "small": Recipe(5e-4, 128, 128, 1_000_000, 0.15),
    "base": Recipe(2e-4, 256, 512, 766_000, 0.15),
    "large": Recipe(2e-4, 2048, 512, 400_000, 0.25),
}

# these decide nothing about the result; the text itself is compared by its content
CHANGEABLE = frozenset({"files", "device", "save_every", "keep_checkpoints", "quiet"})


@dataclass(frozen=True)
class PretrainConfig:
    """What to pretrain, from what, for how long. What is left out follows from `size`, as in the paper.

    Raises:
        ValueError: a value that is not allowed; the message says which are.
    """

    files: tuple[str, ...]
    """Text files (plain, .gz, .xz, .zst), folders or patterns; blank lines separate documents."""
    _: KW_ONLY
    output: Path
    """The run folder: a new one, or that of a run to go on with."""
    size: str = "small"
    """tiny, small, base or large: the networks, and all that is not given here."""
    steps: int = 0
    """Updates of the weights (by size: 10,000, 1,000,000, 766,000, 400,000)."""
    batch_size: int = 0
    """Examples in a step (by size: 32, 128, 256, 2048)."""
    length: int = 0
    """Tokens in an example, at most (by size: 128, 128, 512, 512)."""
    learning_rate: float = 0.0
    """The rate that warm-up leads to (by size: 1e-3, 5e-4, 2e-4, 2e-4)."""
    warmup_steps: int | None = None
    """Steps over which the rate grows from 0 (10,000, at most a tenth of the steps)."""
    mask_fraction: float = 0.0
    """The share of tokens that the generator replaces (0.15; large: 0.25)."""
    generator_fraction: float | None = None
    """The generator's width as a share of the discriminator's (by size: 1/2, 1/4, 1/3, 1/4)."""
    dropout: float = 0.1
    """The probability of dropping, in the hidden layers and in attention."""
    seed: int = 0
    """Everything random follows from it: the same seed gives the same weights, bit for bit on a CPU."""
    vocab: Path | None = None
    """A vocab.txt or a tokenizer's folder; left out, a vocabulary is trained on the files."""
    vocab_size: int | None = None
    """Entries of the vocabulary that is trained (by size: 8192, else 30,522); fewer on little text."""
    cased: bool = False
    """Train a vocabulary that keeps upper case and accents."""
    held_out_fraction: float = 0.01
    """The share of documents that is kept apart for evaluation."""
    report_every: int = 0
    """Steps between two lines of metrics (a hundredth of the steps, at most 100)."""
    evaluate_every: int = 0
    """Steps between two evaluations on held-out text (a tenth of the steps, at most 1000)."""
    evaluate_examples: int = 1024
    """Held-out examples in an evaluation, at most."""
    save_every: int = 0
    """Steps between two checkpoints (a tenth of the steps, at most 1000)."""
    keep_checkpoints: int = 5
    """How many checkpoints are kept."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: str = "auto"
    """float32, bfloat16, or auto: what the device is fastest in without harm."""
    quiet: bool = False
    """Tell nothing while it works."""

    def __post_init__(self) -> None:
        self._set(files=_names(self.files), output=Path(self.output), vocab=None if self.vocab is None else Path(self.vocab))
        self._check()
        recipe = RECIPES[self.size]
        for name, value in asdict(recipe).items():
            if not getattr(self, name) and not (name == "vocab_size" and self.vocab is not None):
                self._set(**{name: value})
        if self.warmup_steps is None:
            self._set(warmup_steps=min(10_000, self.steps // 10))
        for name, part, most in (("report_every", 100, 100), ("evaluate_every", 10, 1000), ("save_every", 10, 1000)):
            if not getattr(self, name):
                self._set(**{name: max(1, min(most, self.steps // part))})
