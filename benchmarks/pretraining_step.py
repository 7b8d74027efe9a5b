"""What does a pretraining step cost, against the loop that one would write with transformers' two models?

Prints one JSON line: CPU seconds and tokens per CPU second of both, measured in turn in one process, and their ratio.
ELECTRA-small, 16 rows of 128 tokens, float32, on the CPU; equal weights' shapes, masking and optimizer settings.

    python benchmarks/pretraining_step.py [--steps 5] [--dropout 0.1]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import electra

ROWS, COLUMNS, VOCABULARY = 16, 128, 30522
SPECIAL, MASK = (101, 102, 103), 103


def ours(dropout: float) -> Callable[[], None]:
    """A step as `electra pretrain` takes it."""
    from electra.training.optimizer import Adam

    config = electra.ElectraConfig.preset("small", hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    networks = electra.ReplacedTokenDetection(
        electra.ElectraForMaskedLM(config.generator()), electra.ElectraForPreTraining(config)
    ).train()
    optimizer = Adam(networks.named_parameters())

    def step() -> None:
        ids = torch.randint(1000, VOCABULARY, (ROWS, COLUMNS - 2)).tolist()
        batch = electra.Batch.from_rows([electra.Row([101, *row, 102]) for row in ids])
        networks(batch).loss.backward()
        optimizer.clip(1.0)
        optimizer.step(1e-4)
        optimizer.zero_grad()

    return step


def theirs(dropout: float) -> Callable[[], None]:
    """The loop over transformers' models: the vocabulary at every position, gathered afterwards; torch's AdamW."""
    import transformers

    shape: dict[str, Any] = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    discriminator = transformers.ElectraForPreTraining(transformers.ElectraConfig(**shape)).train()
    small = {"hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 256}
    generator = transformers.ElectraForMaskedLM(transformers.ElectraConfig(**shape, **small)).train()
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each")
    parser.add_argument("--dropout", type=float, default=0.1)
    options = parser.parse_args()
    torch.manual_seed(0)
    steps = {"electra": ours(options.dropout), "transformers": theirs(options.dropout)}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.steps + 1):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            if number:  # the first warms up
                seconds[name].append(time.process_time() - begin)
    tokens = ROWS * COLUMNS
    ratios = [b / a for a, b in zip(seconds["electra"], seconds["transformers"], strict=True)]
    print(
        json.dumps(
            {
                "benchmark": "pretraining_step",
                "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
                "dropout": options.dropout,
                "steps": options.steps,
                "cpu_seconds": {name: round(statistics.median(values), 3) for name, values in seconds.items()},
                "tokens_per_cpu_second": {
                    name: round(tokens / statistics.median(values)) for name, values in seconds.items()
                },
                "times_faster": round(statistics.median(ratios), 2),
                "times_faster_range": [round(min(ratios), 2), round(max(ratios), 2)],
            }
        )
    )


if __name__ == "__main__":
    main()
