"""`electra quickstart`: the whole life of a model in a few minutes, on text that comes with Python"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from electra.commands.verb import verb


@dataclass(frozen=True)
class QuickstartConfig:
    """Where the models are written, and how long they are trained."""

    _: KW_ONLY
    output: Path = Path("quickstart")
    """A folder for the text, the pretrained models and the fine-tuned one."""
    steps: int = 2300
    """Pretraining steps."""
    seeds: int = 3
    """How many times the task is fine-tuned, to show how much the scores vary by chance."""
    seed: int = 0
    """Decides all random choices."""


@verb(QuickstartConfig)
def quickstart(config: QuickstartConfig) -> None:
    """Gather text, pretrain on it, show what was learnt, fine-tune, compare with random weights; prints on stdout.

    Writes `text.txt`, `pretrained/` and `finder/` into `config.output`. All figures that it prints are measured.
    """
    from electra.commands.quickstart_run import run_quickstart  # not for `--help`: it imports torch

    run_quickstart(config)
