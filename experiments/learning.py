"""Does replaced-token detection teach more than masked language modelling, for the same compute?

The experiment that learning.md plans and reports: one vocabulary, one text, two objectives with as many operations each
(and a third arm without pretraining), each then fine-tuned on five tasks with three seeds. Prints a table.

    python experiments/learning.py WORK [--data ../shared/data] [--steps 6000] [--jobs 2]

Every part is a command of `electra` in a folder under WORK; parts that are done are not done again, so the same line
goes on after a stop. On a CPU every command has one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch

import electra
from electra.pretraining.cost import step_flops

SIZE, VOCABULARY, LENGTH, MASKED = "tiny", 8192, 128, 0.15
RATES = {"rtd": 3e-4, "mlm": 1e-3}  # the better one of two in pilots, see learning.md
ARMS = ("rtd", "mlm", "none")
PUBLISHED = {"rtd": "discriminator", "mlm": "model"}
SEEDS = 3
TASKS = {"cola": 3, "sst2": 1, "mrpc": 3, "stsb": 10, "rte": 10}
"""GLUE's tasks and the epochs of each; what else is not given is as `electra finetune` has it by the task's name."""


def same_compute(steps: int) -> int:
    """Steps of masked language modelling with as many operations as `steps` of replaced-token detection."""
    config = electra.ElectraConfig.preset(SIZE, vocab_size=VOCABULARY)
    both = step_flops(generator=config.generator(), discriminator=config, length=LENGTH, mask_fraction=MASKED)
    alone = step_flops(generator=config, discriminator=None, length=LENGTH, mask_fraction=MASKED)
    return round(steps * both / alone)


def run(log: Path, *command: str | Path) -> None:
    """One command of `electra`; what it says goes to a file."""
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("a", encoding="utf-8") as told:
        done = subprocess.run([sys.executable, "-m", "electra", *map(str, command)], stderr=told, env=one_thread)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed, see {log}")


def vocabulary(work: Path, data: Path) -> Path:
    if not (made := work / "vocabulary").exists():
        text = data / "corpus" / "small.txt.xz"
        run(work / "vocabulary.log", "tokenizer", "train", text, "--size", VOCABULARY, "--output", made)
    return made


def examples(work: Path, data: Path) -> Path:
    """The text as examples, made by a run of one step."""
    made = work / "prepared"
    if not (made / "discriminator").exists():
        text = sorted((data / "corpus").glob("large-*.txt.xz"))
        fixed = ("--size", SIZE, "--steps", 1, "--vocab", vocabulary(work, data))
        run(work / "prepared.log", "pretrain", *text, *fixed, "--output", made)
    (found,) = (made / "examples").iterdir()
    return found


def pretrain(work: Path, text: Path, steps: int, objective: str) -> None:
    """A run; one that is done already says so and ends."""
    what = ("--size", SIZE, "--objective", objective, "--vocab", work / "vocabulary", "--dropout", 0)
    how = ("--steps", steps if objective == "rtd" else same_compute(steps), "--learning-rate", RATES[objective])
    run(work / f"{objective}.log", "pretrain", text, *what, *how, "--output", work / objective)


def encoders(work: Path) -> None:
    """The encoder of each arm as a folder to fine-tune: same head to be drawn, no dropout, other weights."""
    tokenizer = electra.ElectraTokenizer.from_pretrained(work / "vocabulary")
    for arm in ARMS:
        if (out := work / "encoders" / arm).exists():
            continue
        torch.manual_seed(0)
        trained = work / arm / PUBLISHED[arm] if arm in PUBLISHED else None
        config = electra.ElectraConfig.preset(SIZE, vocab_size=VOCABULARY)
        model = electra.ElectraModel.from_pretrained(trained) if trained else electra.ElectraModel(config)
        model.config.hidden_dropout_prob = model.config.attention_probs_dropout_prob = 0.0
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


def finetune(work: Path, data: Path, arm: str, task: str) -> None:
    """Three fits; the scores are the mean over seeds of each one's best evaluation."""
    out = work / "tasks" / f"{arm}-{task}"
    if out.exists():
        return
    files = ("--train", data / f"glue/{task}/train.jsonl.gz", "--eval", data / f"glue/{task}/dev.jsonl.gz")
    how = ("--seeds", SEEDS, "--epochs", TASKS[task], "--rate", "3e-4", "--restarts", 0)
    run(work / f"{arm}-{task}.log", "finetune", work / "encoders" / arm, "--task", task, *files, *how, "--output", out)


def side_by_side(jobs: int, parts: Sequence[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda part: part(), parts):
            pass


def best_of_each_seed(metrics: Path) -> list[float]:
    """In hundredths; of seeds that "learnt nothing", which scores.json leaves out, too."""
    best: dict[int, float] = {}
    for line in map(json.loads, metrics.read_text().splitlines()):
        if line["split"] == "held_out":
            best[line["seed"]] = max(100 * line[line["main"]], best.get(line["seed"], -math.inf))
    return list(best.values())


def table(work: Path) -> str:
    """Each task's main score in hundredths, of all seeds' best evaluations: mean ± standard deviation."""
    lines = ["| | " + " | ".join(TASKS) + " | mean |", "|---|" + "---:|" * (len(TASKS) + 1)]
    for arm in ARMS:
        cells, means = [], []
        for task in TASKS:
            values = best_of_each_seed(work / "tasks" / f"{arm}-{task}" / "metrics.jsonl")
            means.append(statistics.mean(values))
            cells.append(f"{means[-1]:.1f} ± {statistics.stdev(values):.1f}")
        lines.append(f"| {arm} | " + " | ".join(cells) + f" | {statistics.mean(means):.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=6000, help="of replaced-token detection")
    parser.add_argument("--jobs", type=int, default=2, help="commands at the same time")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    text = examples(given.work, given.data)
    side_by_side(given.jobs, [partial(pretrain, given.work, text, given.steps, arm) for arm in RATES])
    encoders(given.work)
    fits = [partial(finetune, given.work, given.data, arm, task) for task in TASKS for arm in ARMS]
    side_by_side(given.jobs, fits)
    print(table(given.work))


if __name__ == "__main__":
    main()
