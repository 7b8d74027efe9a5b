"""What does a pretraining step cost, against the loop that one would write with transformers' two models?

Prints one JSON line: seconds and tokens per second of each, and how much faster ours is. Each runs in a process of its
own; they take their steps in turn, one at a time. ELECTRA-small, 16 rows of 128 tokens, float32. With one thread the
seconds are the processor's, with several those on the clock, for which the machine has to be idle.

    python benchmarks/pretraining_step.py [--steps 7] [--size small] [--dropout 0.1] [--threads 1]

- transformers: the loop, with the vocabulary's scores at every position and torch's AdamW;
- replica: ours at equal hyperparameters, with dropout in attention; fast: ours as `electra pretrain` is by default.
  Both compute the statistics that a run reports.
- bound: the share of a step that its matrix products would take at the rate of a large one on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROWS, COLUMNS, VOCABULARY = 16, 128, 30522
SPECIAL, MASK = (101, 102, 103), 103
SIDES = ("transformers", "replica", "fast")


def ours(size: str, mode: str, dropout: float) -> Callable[[], None]:
    """A step as `electra pretrain` takes it."""
    import torch

    import electra
    from electra.pretraining.monitoring.pretraining_metrics import statistics as statistics_of
    from electra.training.memory import keep_freed_memory
    from electra.training.optimizer import Adam

    keep_freed_memory()
    attention = dropout if mode == "replica" else 0.0
    config = electra.ElectraConfig.preset(size, hidden_dropout_prob=dropout, attention_probs_dropout_prob=attention)
    masking = electra.Masking(max_predictions=19, with_replacement=mode == "replica")
    networks = electra.ReplacedTokenDetection(
        electra.ElectraForMaskedLM(config.generator()), electra.ElectraForPreTraining(config), masking=masking
    ).train()
    optimizer = Adam(networks.named_parameters())

    def step() -> None:
        ids = torch.randint(1000, VOCABULARY, (ROWS, COLUMNS - 2)).tolist()
        batch = electra.Batch.from_rows([electra.Row([101, *row, 102]) for row in ids])
        found = networks(batch)
        statistics_of(found, batch.layout)
        found.loss.backward()
        optimizer.clip(1.0)
        optimizer.step(1e-4)
        optimizer.zero_grad()

    return step


def theirs(size: str, dropout: float) -> Callable[[], None]:
    """The loop over transformers' models: the vocabulary at every position, gathered afterwards; torch's AdamW."""
    import torch
    import transformers
    from torch import nn

    import electra

    def shape(config: Any) -> Any:
        names = ("embedding_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        drop: dict[str, Any] = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
        return transformers.ElectraConfig(**{name: getattr(config, name) for name in names}, **drop)

    preset = electra.ElectraConfig.preset(size)
    discriminator = transformers.ElectraForPreTraining(shape(preset)).train()
    generator = transformers.ElectraForMaskedLM(shape(preset.generator())).train()
    generator.electra.embeddings = discriminator.electra.embeddings
    generator.tie_weights()
    parameters = list(nn.ModuleList([generator, discriminator]).parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, eps=1e-6, weight_decay=0.01)

    def step() -> None:
        ids = torch.randint(1000, VOCABULARY, (ROWS, COLUMNS))
        ids[:, 0], ids[:, -1] = 101, 102
        chosen = (torch.rand(ROWS, COLUMNS) < 0.15) & ~torch.isin(ids, torch.tensor(SPECIAL))
        masked = torch.where(chosen, MASK, ids)
        output = generator(masked, attention_mask=torch.ones_like(ids), labels=ids.where(chosen, -100))
        sampled = torch.distributions.Categorical(logits=output.logits[chosen].detach()).sample()
        corrupted = ids.clone()
        corrupted[chosen] = sampled
        labels = (corrupted != ids).long()
        found = discriminator(corrupted, attention_mask=torch.ones_like(ids), labels=labels)
        (output.loss + 50 * found.loss).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def now(threads: int) -> float:
    """The clock: the processor's for one thread; for several, which wait for one another, the one on the wall."""
    return time.process_time() if threads == 1 else time.perf_counter()


def product_rate(threads: int) -> float:
    """Operations a second of a large matrix product, now, by the library that layers take."""
    import torch

    from electra.hardware.devices import onednn_is_faster
    from electra.hardware.torch_internals import onednn_product

    multiply = onednn_product if onednn_is_faster() else torch.matmul
    one, other = torch.randn(2048, 1024), torch.randn(1024, 1024)
    begin = now(threads)
    for _ in range(5):
        multiply(one, other)
    return 5 * 2 * 2048 * 1024 * 1024 / (now(threads) - begin)


def work(side: str, size: str, dropout: float, threads: int) -> None:
    """A step for every line of stdin; its seconds, and the rate of a matrix product after it, to stdout."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    step = theirs(size, dropout) if side == "transformers" else ours(size, side, dropout)
    for _ in sys.stdin:
        begin = now(threads)
        step()
        print(now(threads) - begin, product_rate(threads), flush=True)


def measure(size: str, dropout: float, steps: int, threads: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each side's steps, and the median rate of a matrix product beside them."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    asked = ["--size", size, "--dropout", str(dropout), "--threads", str(threads)]
    processes = {
        side: subprocess.Popen(
            [sys.executable, __file__, *asked, "--work", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for side in SIDES
    }
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    rates = []
    for number in range(steps + 1):
        for side, process in processes.items():
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            taken, rate = map(float, process.stdout.readline().split())
            if number:  # the first warms up
                seconds[side].append(taken)
                rates.append(rate)
    for process in processes.values():
        assert process.stdin
        process.stdin.close()
        process.wait()
    return seconds, statistics.median(rates)


def flops(size: str) -> float:
    """Operations of our step in matrix products and attention."""
    import electra
    from electra.pretraining.cost import step_flops

    config = electra.ElectraConfig.preset(size)
    return (
        ROWS
        * COLUMNS
        * step_flops(generator=config.generator(), discriminator=config, length=COLUMNS, mask_fraction=19 / COLUMNS)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=7, help="measured steps of each")
    parser.add_argument("--size", default="small", help="tiny, small, base")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.size, options.dropout, options.threads)
        return
    seconds, rate = measure(options.size, options.dropout, options.steps, options.threads)
    median = {side: statistics.median(values) for side, values in seconds.items()}
    import torch

    report: dict[str, Any] = {
        "benchmark": "pretraining_step",
        "machine": f"{platform.machine()}, torch {torch.__version__}",
        "size": options.size,
        "dropout": options.dropout,
        "steps": options.steps,
        "threads": options.threads,
        "clock": "CPU" if options.threads == 1 else "wall",
        "seconds": {side: round(value, 3) for side, value in median.items()},
        "tokens_per_second": {side: round(ROWS * COLUMNS / value) for side, value in median.items()},
        "product_gflops_per_second": round(rate / 1e9),
        "bound": {side: round(flops(options.size) / rate / median[side], 2) for side in SIDES[1:]},
    }
    for side in SIDES[1:]:
        ratios = [b / a for a, b in zip(seconds[side], seconds["transformers"], strict=True)]
        report[f"{side}_times_faster"] = round(statistics.median(ratios), 2)
        report[f"{side}_times_faster_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
