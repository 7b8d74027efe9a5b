"""`electra quickstart`: the whole life of a model in a few minutes, on text that comes with Python"""

from __future__ import annotations

from electra.commands.quickstart_config import QuickstartConfig as QuickstartConfig
from electra.commands.verb import verb


@verb(QuickstartConfig)
def quickstart(config: QuickstartConfig) -> None:
    """Gather text, pretrain on it, show what was learnt, fine-tune, compare with random weights; prints on stdout.

    Writes `text.txt`, `pretrained/` and `finder/` into `config.output`. All figures that it prints are measured.
    """
    from electra.commands.quickstart_run import run_quickstart  # not for `--help`: it imports torch

    run_quickstart(config)
