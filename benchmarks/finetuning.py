"""What does `electra finetune` give, and what does it cost, against HF's Trainer, each with its own defaults?

For every task and seed both fit the same checkpoint to the same examples, for the same epochs, and answer the same
others; one process at a time, ours and theirs in turn. `electra finetune` chooses its best epoch on a slice of the
training file that neither learns from, and the scores are of a file that nothing was chosen by. Prints one JSON line
for each task, and writes all as a table:

    python benchmarks/finetuning.py [CHECKPOINT] [--tasks sst2,mrpc,conll2003,squad] [--seeds 3] [--epochs 3]
        [--train 4000] [--test 1000] [--threads 1] [--work FOLDER]

`seconds` are from when everything is imported: reading, encoding, loading, training and answering; ours has the
evaluation after every epoch too. With one thread they are the processor's, with several those on the clock, for which
the machine has to be idle. Each fit's result is kept in the work folder, so that the same command goes on after a stop;
it says where on stderr. It reads $ELECTRA_SHARED/data (default: ../shared/data) and needs transformers and accelerate.
Without a checkpoint it pretrains a tiny one for a minute: it knows little.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("ELECTRA_SHARED", Path(__file__).parents[2] / "shared"))
FILES = {
    "sst2": "glue/sst2/{}.jsonl.gz",
    "mrpc": "glue/mrpc/{}.jsonl.gz",
    "conll2003": "conll2003/{}.jsonl.gz",
    "squad": "squad/v1.1/{}.json.gz",
}
SCORES = {"sst2": "accuracy", "mrpc": "accuracy", "conll2003": "f1", "squad": "f1"}
SIDES = ("electra", "trainer")
IMPORTED_LATER = (
    *("electra.models", "electra.commands.evaluate", "sklearn.metrics", "seqeval.metrics", "scipy.stats"),
    *("matplotlib.figure", "matplotlib.backends.backend_svg", "torch.distributed.tensor"),
)
"""What `electra finetune` imports when it first needs it."""
LARGEST_CHOICE = 400
"""Examples that the best epoch is chosen by: a tenth of those to learn from, and at most so many."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="?", type=Path, help="a discriminator's folder; by default one is made")
    parser.add_argument("--tasks", default=",".join(FILES))
    parser.add_argument("--seeds", type=int, help="default: 3; without a checkpoint 1")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--train", type=int, help="examples to learn from, at most (4000; without a checkpoint 600)")
    parser.add_argument("--test", type=int, help="examples to score, at most (1000; without a checkpoint 400)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where the results of single fits are kept")
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fit:
        print(json.dumps(fit(**json.loads(options.fit))))
        return
    usual = {"seeds": 3, "train": 4000, "test": 1000} if options.checkpoint else {"seeds": 1, "train": 600, "test": 400}
    for name, number in usual.items():
        setattr(options, name, getattr(options, name) or number)
    work = options.work or Path(tempfile.gettempdir()) / f"electra-finetuning-{name_of(options)}"
    work.mkdir(parents=True, exist_ok=True)
    print(f"results of single fits: {work}", file=sys.stderr)
    model = options.checkpoint or checkpoint(work / "run")
    results = []
    for task in options.tasks.split(","):
        folder = work / f"{task}-{options.train}-{options.test}"
        write_examples(task, folder, options.train, options.test)
        results.append(of_task(task, folder, str(model), options.epochs, options.seeds, options.threads))
        print(json.dumps(results[-1]), flush=True)
    (work / "table.md").write_text(table(results))
    print(f"the table: {work / 'table.md'}", file=sys.stderr)


def name_of(options: argparse.Namespace) -> str:
    """The same for the same question, whatever tasks and however many seeds it is asked for."""
    checkpoint = str(options.checkpoint and options.checkpoint.resolve())
    asked = [checkpoint, options.epochs, options.train, options.test, options.threads]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]


def checkpoint(folder: Path) -> Path:
    """A tiny discriminator, pretrained for a minute."""
    from electra.commands.pretrain import PretrainConfig, pretrain

    corpus = str(SHARED / "data/corpus/small.txt.xz")
    settings: dict[str, Any] = {"steps": 150, "vocab_size": 4096, "device": "cpu", "quiet": True}
    run = pretrain(PretrainConfig((corpus,), output=folder, size="tiny", **settings))
    assert run is not None
    return run / "discriminator"


# -- examples ------------------------------------------------------------------------


def write_examples(task: str, folder: Path, train: int, test: int) -> None:
    """`train.jsonl`, `choose.jsonl` and `test.jsonl`, once."""
    folder.mkdir(exist_ok=True)
    if (folder / "test.jsonl").exists():
        return
    rows = examples(task, "train", train)
    held_out = min(LARGEST_CHOICE, len(rows) // 10)
    parts = {"train": rows[held_out:], "choose": rows[:held_out], "test": examples(task, "dev", test)}
    for name, part in parts.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")


def examples(task: str, split: str, count: int) -> list[dict[str, Any]]:
    """So many of a set, drawn with one seed, under the names that our tasks use."""
    with gzip.open(SHARED / "data" / FILES[task].format(split), "rt", encoding="utf-8") as file:
        rows = list(questions(json.load(file))) if task == "squad" else [json.loads(line) for line in file]
    chosen = random.Random(0).sample(rows, min(count, len(rows)))
    if task == "conll2003":
        return [{"tokens": row["tokens"], "tags": row["ner"]} for row in chosen]
    if "text_a" in chosen[0]:
        return [{"text": row["text_a"], "text_pair": row["text_b"], "label": row["label"]} for row in chosen]
    return [{key: value for key, value in row.items() if key != "id"} for row in chosen]


def questions(squad: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            for each in paragraph["qas"]:
                yield {"question": each["question"], "context": paragraph["context"], "answers": each["answers"]}


# -- one fit, in a process of its own ------------------------------------------------


def of_task(task: str, folder: Path, model: str, epochs: float, seeds: int, threads: int) -> dict[str, Any]:
    """The fits of both sides in turn, those that were done before read; and what they come to."""
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for seed in range(seeds):
        for side in SIDES:
            asked = {"side": side, "model": model, "folder": str(folder), "epochs": epochs, "seed": seed}
            asked["threads"] = threads
            kept = folder / f"{side}-{seed}.json"
            if not kept.exists():
                print(f"{task}: {side}, seed {seed}", file=sys.stderr)
                kept.write_text(json.dumps({"asked": asked, **in_a_process(asked)}))
            found[side].append(json.loads(kept.read_text()))
            if found[side][-1]["asked"] != asked:
                raise SystemExit(f"{kept} is of another checkpoint or other epochs: give another --work")
    scores = {side: [one["scores"][SCORES[task]] for one in found[side]] for side in SIDES}
    seconds = {side: sum(one["seconds"] for one in found[side]) for side in SIDES}
    return {
        "benchmark": "finetuning",
        "machine": platform.machine(),
        "threads": threads,
        "clock": "CPU" if threads == 1 else "wall",
        "task": task,
        "checkpoint": model,
        "epochs": epochs,
        "examples": {name: sum(1 for _ in (folder / f"{name}.jsonl").open()) for name in ("train", "choose", "test")},
        "score": SCORES[task],
        "scores": {side: [round(value, 4) for value in scores[side]] for side in SIDES},
        "mean": {side: round(statistics.mean(scores[side]), 4) for side in SIDES},
        "deviation": {side: round(statistics.stdev(scores[side]), 4) if seeds > 1 else None for side in SIDES},
        "seconds": {side: round(seconds[side] / seeds, 2) for side in SIDES},
        "times_the_trainer": round(seconds["electra"] / seconds["trainer"], 3),
    }


def in_a_process(asked: dict[str, Any]) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": str(asked["threads"]), "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, "--fit", json.dumps(asked)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def fit(side: str, model: str, folder: str, epochs: float, seed: int, threads: int) -> dict[str, Any]:
    """The scores on the test file, and the seconds from when everything is imported."""
    import torch

    torch.set_num_threads(threads)
    now = time.process_time if threads == 1 else time.perf_counter  # several wait for one another
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        sides = {"electra": by_electra, "trainer": by_trainer}
        scores, seconds = sides[side](model, Path(folder), epochs, seed, Path(scratch), now)
    return {"scores": scores, "seconds": seconds}


def by_electra(
    model: str, folder: Path, epochs: float, seed: int, scratch: Path, now: Callable[[], float]
) -> tuple[dict[str, float], float]:
    """`electra finetune` and `electra evaluate`, with what they infer and their defaults."""
    for later in IMPORTED_LATER:
        import_module(later)
    from electra.commands.evaluate import EvaluateConfig, evaluate
    from electra.commands.finetune import FinetuneConfig, finetune

    begin = now()
    output = scratch / "fitted"
    finetune(
        FinetuneConfig(
            model,
            train=folder / "train.jsonl",
            eval=folder / "choose.jsonl",
            output=output,
            epochs=epochs,
            seed=seed,
            restarts=0,  # Trainer has none, and both go through the examples equally often
            device="cpu",
            quiet=True,
        )
    )
    found = evaluate(EvaluateConfig(str(output), data=folder / "test.jsonl", resamples=0, device="cpu"))
    return found["scores"], now() - begin


def by_trainer(
    model: str, folder: Path, epochs: float, seed: int, scratch: Path, now: Callable[[], float]
) -> tuple[dict[str, float], float]:
    """Trainer with its defaults, in a script as one writes it; its answers are scored as ours are."""
    import torch
    import transformers
    from scripts.with_trainer import answers

    transformers.utils.logging.set_verbosity_error()
    assert transformers.Trainer
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # its making imports torch's compiler
    begin = now()
    train, test = (
        [json.loads(line) for line in (folder / f"{part}.jsonl").open(encoding="utf-8")] for part in ("train", "test")
    )
    said = answers(model, train, test, epochs=epochs, seed=seed, folder=str(scratch))
    seconds = now() - begin
    return score(said, test), seconds


def score(said: list[Any], test: list[dict[str, Any]]) -> dict[str, float]:
    """Trainer's answers, scored as ours are."""
    import numpy as np

    from electra.metrics.entity_metrics import EntityOutcomes
    from electra.metrics.squad_metrics import AnswerOutcomes
    from electra.metrics.task_metrics import LabelOutcomes

    if "tokens" in test[0]:
        return EntityOutcomes(said, [row["tags"] for row in test]).scores()
    if "question" in test[0]:
        expected = [[answer["text"] for answer in row["answers"]] for row in test]
        return AnswerOutcomes.of(said, [0.0] * len(said), expected, float("inf")).scores()
    labels = sorted({row["label"] for row in test})
    numbers = (np.array([labels.index(label) for label in side]) for side in (said, [row["label"] for row in test]))
    return LabelOutcomes(*numbers, tuple(labels)).scores()


# -- all of it -----------------------------------------------------------------------


def table(results: list[dict[str, Any]]) -> str:
    """A row for each task."""
    lines = [
        "| task | examples, scored on | score | `electra finetune` | Trainer | seconds | Trainer's | times |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for found in results:
        ours, theirs = (f"{found['mean'][side]:.4f}{spread(found['deviation'][side])}" for side in SIDES)
        seconds = [f"{found['seconds'][side]:,.1f}" for side in SIDES]
        sizes = f"{found['examples']['train']:,}, {found['examples']['test']:,}"
        cells = [found["task"], sizes, found["score"], ours, theirs, *seconds, f"**{found['times_the_trainer']:.2f}**"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {deviation:.4f}"


if __name__ == "__main__":
    main()
