"""`electra finetune`: a pretrained model and labelled examples -> a model folder with its scores."""

from __future__ import annotations

from typing import Any, TypedDict, cast

from electra.commands.verb import verb
from electra.finetuning.finetune_config import FinetuneConfig as FinetuneConfig


class FinetuneResult(TypedDict, total=False):
    """What `finetune` returns: the content of scores.json. Keys are left out where they do not apply."""

    scores: dict[str, float | None]
    main: str
    examples: int
    baselines: dict[str, Any]
    warnings: list[str]
    seconds: float
    seed: int
    step: int
    threshold: float
    mean: dict[str, float | None]
    deviation: dict[str, float | None]
    by_seed: dict[str, Any]
    failures: list[Any]
    intervals: dict[str, Any]
    confidence: float


@verb(FinetuneConfig)
def finetune(config: FinetuneConfig) -> FinetuneResult | None:
    """Fine-tune the model, score it and write `config.output`.

    The model is evaluated on `config.eval` after every epoch, and the best evaluation's weights are kept; of several
    seeds, those of the best. The scores are therefore a little optimistic: `electra evaluate` on a third file gives an
    unbiased estimate.

    The output folder also has the predictions (predictions.jsonl), the metrics of every seed, a model card and
    `report.html`, which `electra report OUTPUT` writes again.

    SIGTERM and SIGINT end it after the current step with a checkpoint and the exit code 75 or 130. The same call
    resumes from the last checkpoint, also after a kill, and gives the same bits.

    In each of several processes started by torchrun or srun, it computes a part of every batch; rank 0 evaluates,
    writes and logs, and the others return None.

    Returns:
        The content of scores.json: `scores` of the best model, `main` (the name of the score that selected it),
        `examples` (how many were scored), `baselines` (the scores that it must beat), `warnings` where there are any,
        `seconds`, `seed` and `step` of the best model, `threshold` where one was tuned, with several seeds `mean`,
        `deviation` (standard deviation of the sample) and `by_seed`, `failures` of the seeds that were restarted, and
        `intervals` (low and high of each score) with their `confidence`. A score that cannot be computed is None.

    Raises:
        ValueError: invalid input (file and line are named), every seed diverged, or a batch has fewer examples than
            there are processes.
        ConnectionError: another process has ended; its own message says why.
        ImportError: a package for the scores or the adapters is missing.
        OSError: a file cannot be read or written.
    """
    from electra.finetuning.finetuning_run import run_finetuning  # not for `--help`: it imports torch

    return cast("FinetuneResult | None", run_finetuning(config))
