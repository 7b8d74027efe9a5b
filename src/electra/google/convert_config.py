"""The settings of a conversion between Google's checkpoints and model folders"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from electra.validation import require, require_one_of

FORMATS = ("pytorch", "tensorflow")
ORIGIN = "google_checkpoint"
"""The key of config.json that says what a folder was converted from, as far as that decides how it is written back."""


@dataclass(frozen=True)
class ConvertConfig:
    """What to convert, and into what.

    Raises:
        ValueError: a value that is not allowed; the message names it and says what is.
    """

    source: Path
    """A TensorFlow checkpoint: model.ckpt-N, or its folder. With --to tensorflow, a model folder or a run's folder."""
    output: Path
    """A new folder: in it discriminator and generator, or one named like the task; or the TensorFlow checkpoint."""
    _: KW_ONLY
    to: str = "pytorch"
    """pytorch (a model folder, for this package and for transformers) or tensorflow."""
    vocab: Path | None = None
    """The checkpoint's vocab.txt (by default the one beside it, if there is one)."""
    attention_heads: int | None = None
    """Of the discriminator, where hparams.json beside the checkpoint does not say and it is not hidden size / 64."""
    task: str | None = None
    """For a fine-tuned network of a task that is not one of Google's: text-classification or token-classification."""
    optimizer: bool = False
    """Convert the optimizer's state too (adam_m, adam_v), so that pretraining can be resumed."""

    def __post_init__(self) -> None:
        for name in ("source", "output", "vocab"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else Path(value).expanduser())
        require_one_of("to", self.to, FORMATS)
        if self.task is not None:
            from electra.google.checkpoint_networks import KINDS  # not for `--help`: it imports torch

            require_one_of("task", self.task, KINDS)
        if self.attention_heads is not None:
            require(self.attention_heads >= 1, "attention_heads", self.attention_heads, "1 or more")
        unused = [name for name in ("vocab", "attention_heads", "task") if getattr(self, name) is not None]
        if self.to == "tensorflow" and unused:
            raise ValueError(f"{unused[0]} applies to a TensorFlow checkpoint as the source: leave it out, or --to")
