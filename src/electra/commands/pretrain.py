"""`electra pretrain`: text files -> a run folder with a generator and a discriminator, trained together"""

from __future__ import annotations

from pathlib import Path

from electra.commands.verb import verb
from electra.pretraining.pretrain_config import PretrainConfig as PretrainConfig


@verb(PretrainConfig)
def pretrain(config: PretrainConfig) -> Path | None:
    """Pretrain a generator and a discriminator, or resume the run in `config.output`.

    Afterwards the folder has `discriminator` and `generator` (model folders with tokenizer and card), `metrics.jsonl`,
    `config.toml`, `checkpoints` and `report.html`. A signal (SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP) ends the run
    after the current step with a checkpoint, or during preparation with what is prepared; the same call resumes it,
    also after a kill, from the last checkpoint. With `config.dry_run`, what the run would need is printed instead, and
    nothing is written.

    Each of several processes that torchrun or srun started computes a shard of every batch; rank 0 logs and saves.

    Returns:
        The run folder; None for a dry run and in the ranks other than 0.

    Raises:
        ValueError: the text, the vocabulary or the run folder cannot be used, or a batch has fewer examples than there
            are processes.
        Diverged: the loss or a weight is NaN or infinite (a ValueError).
        ConnectionError: another process has ended; its own message says why.
        ImportError: the tracker's package is not installed.
        OSError: a file cannot be read or written.
        SystemExit: a signal came; the code is 75, for SIGINT 130, for SIGHUP 129.
    """
    from electra.pretraining.pretraining_run import run_pretraining  # not for `--help`: it imports torch

    return run_pretraining(config)
