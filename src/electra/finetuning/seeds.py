"""Fits with several seeds: the best one is kept, a failed one is restarted with another seed."""

from __future__ import annotations

import math
import shutil
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from electra.finetuning.finetune_config import FinetuneConfig
from electra.finetuning.output.outcome import Outcome, shown
from electra.training.distributed.processes import Processes
from electra.training.progress import Reporter


def run_seeds(
    config: FinetuneConfig, trial: Callable[[int], Outcome], report: Reporter, processes: Processes | None = None
) -> list[Outcome]:
    """Fit with every seed; only the model folder of the best one is kept.

    A failed fit is restarted with the next unused seed, `config.restarts` times in all. Which seeds are tried depends
    on the outcomes alone, so a resumed command tries the same ones, and so does every process. Only rank 0 removes
    folders and raises the error.

    Args:
        config: which seeds, and how many restarts.
        trial: fits with one seed.
        report: gets a line for each seed.
        processes: those that train together; None: this one alone.

    Returns:
        An outcome for each seed that was tried, in order.

    Raises:
        ValueError: no fit succeeded.
    """
    rank_zero = processes is None or processes.is_rank_zero
    waiting = deque(range(config.seed, config.seed + config.seeds))
    following, last = waiting[-1] + 1, waiting[-1] + config.restarts
    tried: list[Outcome] = []
    while waiting:
        outcome = trial(waiting.popleft())
        tried.append(outcome)
        if outcome.usable:
            report.say(f"seed {outcome.seed}: {shown(outcome.scores)}")
        if outcome.failure is not None and following <= last:
            report.alarm(f"seed {outcome.seed} failed, {outcome.failure}: restarted with seed {following}")
            waiting.append(following)
            following += 1
        elif outcome.failure is not None:
            report.alarm(f"seed {outcome.seed} failed, {outcome.failure}, and all {config.restarts} restarts are used")
        if rank_zero:
            _keep_only_best(config, tried)
    if rank_zero and not any(outcome.usable for outcome in tried):
        raise ValueError(
            f"no fit succeeded: {'; '.join(f'seed {one.seed}: {one.failure}' for one in tried)}. "
            "Give a lower --learning-rate, or check the examples"
        )
    return _with_model(config, tried, trial, report, processes)


def best(tried: Sequence[Outcome]) -> Outcome:
    """The outcome with the best main score, the first of equal ones; one that failed comes after all that did not."""
    return max(tried, key=lambda outcome: outcome.rank)


def result(tried: Sequence[Outcome], examples: int) -> dict[str, Any]:
    """The content of scores.json: the scores of the best model, and their mean and deviation over the seeds.

    Args:
        tried: the outcome of each seed. Mean and deviation are over the fits that did not fail, or over all with scores
            where every one failed.
        examples: how many were scored.
    """
    chosen, counted = best(tried), [outcome for outcome in tried if outcome.failure is None]
    counted = counted or [outcome for outcome in tried if outcome.usable]
    scores: dict[str, Any] = {
        "scores": chosen.scores,
        "main": chosen.main,
        "examples": examples,
        "seconds": round(sum(outcome.seconds for outcome in tried), 1),
        "seed": chosen.seed,
        "step": chosen.step,
    }
    if chosen.threshold is not None:
        scores["threshold"] = chosen.threshold
    if len(counted) > 1:
        columns = {name: [outcome.scores[name] for outcome in counted] for name in chosen.scores}
        scores["seeds"] = len(counted)
        scores["mean"] = {name: statistics.mean(values) for name, values in columns.items()}
        scores["deviation"] = {name: _deviation(values) for name, values in columns.items()}
        scores["by_seed"] = {str(outcome.seed): outcome.scores for outcome in counted}
    failures = {str(outcome.seed): outcome.failure for outcome in tried if outcome.failure is not None}
    return scores | ({"failures": failures} if failures else {})


def _deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample; NaN where one value is NaN."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _with_model(
    config: FinetuneConfig,
    tried: list[Outcome],
    trial: Callable[[int], Outcome],
    report: Reporter,
    processes: Processes | None,
) -> list[Outcome]:
    """The outcomes; the best one is fitted again if its model was removed.

    That happens where an earlier command asked for more seeds, and one that is no longer asked for was better.
    """
    for _ in tried:
        seed = best(tried).seed
        outcome = config.unfinished / f"seed-{seed}" / "outcome.json"
        removed = best(tried).usable and outcome.is_file() and not outcome.with_name("fitted").is_dir()
        if not (removed if processes is None else processes.broadcast(removed)):
            break
        report.say(f"seed {seed} is the best of these seeds, but its model was removed: fitting it again")
        if processes is None or processes.is_rank_zero:
            outcome.unlink()
        again = trial(seed)
        tried = [again if one.seed == seed else one for one in tried]
    return tried


def _keep_only_best(config: FinetuneConfig, tried: Sequence[Outcome]) -> None:
    """Remove the checkpoints of the seeds that were tried, and the models of all but the best.

    Folders of later seeds stay: a resumed command may find its best one among them.
    """
    chosen = best(tried)
    for outcome in tried:
        folder = config.unfinished / f"seed-{outcome.seed}"
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if outcome.seed != chosen.seed:
            shutil.rmtree(folder / "fitted", ignore_errors=True)
