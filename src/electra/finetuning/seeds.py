"""Several fits that differ in their seed: the best one is kept, and what failed is begun again with another seed."""

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
    """An outcome for each seed that was tried, in their order; the model folder of the best one alone is left.

    One that fails is begun again with the first seed that no other has, `config.restarts` times in all. Which seeds
    are tried follows from the outcomes alone, so that a command that goes on tries the same ones, and so does every
    process; the first of them alone removes anything, and raises the error.

    Raises:
        ValueError: no fit came to an end.
    """
    first = processes is None or processes.first
    waiting = deque(range(config.seed, config.seed + config.seeds))
    following, last = waiting[-1] + 1, waiting[-1] + config.restarts
    tried: list[Outcome] = []
    while waiting:
        outcome = trial(waiting.popleft())
        tried.append(outcome)
        if outcome.usable:
            report.say(f"seed {outcome.seed}: {shown(outcome.scores)}")
        if outcome.failure is not None and following <= last:
            report.alarm(f"seed {outcome.seed} failed, {outcome.failure}: begun again with seed {following}")
            waiting.append(following)
            following += 1
        elif outcome.failure is not None:
            report.alarm(f"seed {outcome.seed} failed, {outcome.failure}, and restarts are used up ({config.restarts})")
        if first:
            _keep_only_best(config, tried)
    if first and not any(outcome.usable for outcome in tried):
        raise ValueError(
            f"no fit came to an end: {'; '.join(f'seed {one.seed}: {one.failure}' for one in tried)}. "
            "Give a lower --rate, or look at the examples"
        )
    return _with_model(config, tried, trial, report, processes)


def best(tried: Sequence[Outcome]) -> Outcome:
    """That with the best main score; of several, the first. One that learnt something goes before one that did not."""
    return max(tried, key=lambda outcome: outcome.rank)


def result(tried: Sequence[Outcome], examples: int) -> dict[str, Any]:
    """What scores.json holds: the scores of the kept model, and over the seeds their mean and deviation.

    Both are over the fits that did not fail, or over all that have scores where every one did.
    """
    kept, counted = best(tried), [outcome for outcome in tried if outcome.failure is None]
    counted = counted or [outcome for outcome in tried if outcome.usable]
    found: dict[str, Any] = {
        "scores": kept.scores,
        "main": kept.main,
        "examples": examples,
        "seconds": round(sum(outcome.seconds for outcome in tried), 1),
        "seed": kept.seed,
        "step": kept.step,
    }
    if kept.threshold is not None:
        found["threshold"] = kept.threshold
    if len(counted) > 1:
        columns = {name: [outcome.scores[name] for outcome in counted] for name in kept.scores}
        found["seeds"] = len(counted)
        found["mean"] = {name: statistics.mean(values) for name, values in columns.items()}
        found["deviation"] = {name: _deviation(values) for name, values in columns.items()}
        found["by_seed"] = {str(outcome.seed): outcome.scores for outcome in counted}
    failures = {str(outcome.seed): outcome.failure for outcome in tried if outcome.failure is not None}
    return found | ({"failures": failures} if failures else {})


def _deviation(values: Sequence[float]) -> float:
    """Of a sample; NaN where one is no number."""
    return statistics.stdev(values) if all(map(math.isfinite, values)) else math.nan


def _with_model(
    config: FinetuneConfig,
    tried: list[Outcome],
    trial: Callable[[int], Outcome],
    report: Reporter,
    processes: Processes | None,
) -> list[Outcome]:
    """The outcomes, of which the best has its model: it is fitted anew if that is gone.

    It is where more seeds were asked for before, and one that is not asked for any more was better.
    """
    for _ in tried:
        seed = best(tried).seed
        outcome = config.unfinished / f"seed-{seed}" / "outcome.json"
        gone = best(tried).usable and outcome.is_file() and not outcome.with_name("fitted").is_dir()
        if not (gone if processes is None else processes.tell(gone)):
            break
        report.say(f"seed {seed} is the best of these seeds, and its model is gone: it is fitted again")
        if processes is None or processes.first:
            outcome.unlink()
        again = trial(seed)
        tried = [again if one.seed == seed else one for one in tried]
    return tried


def _keep_only_best(config: FinetuneConfig, tried: Sequence[Outcome]) -> None:
    """Remove the checkpoints of the seeds that were tried, and the models of all but the best.

    Seeds that come later are left alone: to a command that goes on, the best may be one that was done before.
    """
    kept = best(tried)
    for outcome in tried:
        folder = config.unfinished / f"seed-{outcome.seed}"
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if outcome.seed != kept.seed:
            shutil.rmtree(folder / "fitted", ignore_errors=True)
