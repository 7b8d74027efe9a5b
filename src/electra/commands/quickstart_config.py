"""QuickstartConfig: the flags and keywords of the quickstart"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path


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
