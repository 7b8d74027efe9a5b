"""How long do base and large take on 8 to 512 GPUs, and what do they cost? Computed, not measured; prints two tables.

For a step of `batch_size` examples on N GPUs, the largest share being the batch / N, rounded up:

    compute        = operations of the share / (peak x utilization), and no less than its kernels take to start
    communication  = ring all-reduce of the gradients, within machines and then between them
    not hidden     = what of it does not fit beside the backward pass of the share's last part, two thirds of its
                     compute, and the last 25 MB, which are ready when that pass has ended
    step           = compute + not hidden + optimizer

Operations come from the package's own count (electra.pretraining.cost), parameters from the networks' shapes.

    python benchmarks/cluster.py [--utilization 0.4] [--dollars 3] [--node-bandwidth 300] [--bandwidth 40] [--json]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import torch

from electra.config import ElectraConfig
from electra.hardware.machine import tabled_peak
from electra.pretraining.cost import step_flops
from electra.pretraining.recipe import RECIPES

GPUS = (8, 16, 32, 64, 128, 256, 512)
GPUS_OF_A_NODE = 8
VOCABULARY = 30522
BUCKET_BYTES = 25 * 2**20  # torch's DistributedDataParallel sends gradients in pieces of this size
MEMORY_BANDWIDTH = 4.8e12  # bytes a second of an H200, its maker's figure
OPTIMIZER_BYTES = 28  # of a parameter: weight, gradient, m and v are read (16), the first and the last two written (12)


@dataclass(frozen=True)
class Assumptions:
    """What the tables rest on; every one is an option of the command line."""

    gpu: str = "H200"
    utilization: float = 0.40
    """Of the maker's peak in bfloat16: 35 to 45 % is what base is expected to reach, 40 to 50 % large."""
    node_bandwidth: float = 300.0
    """GB/s that an all-reduce reaches within a machine (NVLink 4: 450 in each direction at most)."""
    bandwidth: float = 40.0
    """GB/s for each GPU between machines (a 400 Gb/s adapter for each GPU: 50 at most)."""
    part_tokens: int = 32768
    """Tokens that a GPU computes at once, as its memory allows: a larger share is computed in parts (`accumulate`)."""
    kernels: int = 40
    """Launched for a layer's forward and backward pass, compiled."""
    launch: float = 4.0
    """Microseconds from one kernel's start to the next one's at least, where the GPU waits for the host."""
    latency: float = 10.0
    """Microseconds of a hop between machines."""
    dollars: float = 3.0
    """For a GPU and hour."""


@dataclass(frozen=True)
class Row:
    """One line of a table; times in milliseconds, `efficiency` against one GPU at the same utilization."""

    gpus: int
    examples: int
    accumulate: int
    compute: float
    communication: float
    exposed: float
    step: float
    efficiency: float
    tokens_per_second: float
    hours: float
    dollars: float


def row(size: str, gpus: int, assumed: Assumptions) -> Row:
    """What `gpus` GPUs take for the recipe of a size."""
    recipe, peak = RECIPES[size], tabled_peak(assumed.gpu, torch.bfloat16)
    assert peak is not None, f"no peak is known of {assumed.gpu}"
    of_example = recipe.max_length * _flops_per_token(size) / (peak * assumed.utilization)  # seconds
    examples = -(-recipe.batch_size // gpus)
    parts = -(-examples * recipe.max_length // assumed.part_tokens)
    compute = max(of_example * examples, parts * _layers(size) * assumed.kernels * assumed.launch * 1e-6)
    update = parameters(size) * OPTIMIZER_BYTES / MEMORY_BANDWIDTH
    gradients = 4 * parameters(size)
    communication = all_reduce(gradients, gpus, assumed)
    last = all_reduce(min(BUCKET_BYTES, gradients), gpus, assumed)
    exposed = max(last, communication - 2 / 3 * compute / parts)
    step = compute + update + exposed
    hours = step * recipe.steps / 3600
    return Row(
        gpus,
        examples,
        parts,
        1e3 * compute,
        1e3 * communication,
        1e3 * exposed,
        1e3 * step,
        (of_example * recipe.batch_size + update) / (gpus * step),
        recipe.batch_size * recipe.max_length / step,
        hours,
        hours * gpus * assumed.dollars,
    )


def all_reduce(size: float, gpus: int, assumed: Assumptions) -> float:
    """Seconds in which all GPUs have the sum of `size` bytes of each: in rings within machines, then between them."""
    nodes = -(-gpus // GPUS_OF_A_NODE)
    here = min(gpus, GPUS_OF_A_NODE)
    within = 2 * (here - 1) / here * size / (assumed.node_bandwidth * 1e9)
    if nodes == 1:
        return within
    # every GPU of a machine carries an eighth of the gradients to the others
    between = 2 * (nodes - 1) / nodes * size / here / (assumed.bandwidth * 1e9)
    return within + between + 2 * (nodes - 1) * assumed.latency * 1e-6


def parameters(size: str) -> int:
    """Of both networks, what they share counted once, with their heads."""
    config = ElectraConfig.preset(size, vocab_size=VOCABULARY)
    generator = config.generator()
    return _body(config) + _body(generator) + _embeddings(config) + _heads(config, generator)


def _body(config: ElectraConfig) -> int:
    hidden, wide = config.hidden_size, config.intermediate_size
    layer = 4 * hidden * (hidden + 1) + hidden * (wide + 1) + wide * (hidden + 1) + 4 * hidden
    projection = (config.embedding_size + 1) * hidden if config.embedding_size != hidden else 0
    return config.num_hidden_layers * layer + projection


def _embeddings(config: ElectraConfig) -> int:
    rows = config.vocab_size + config.max_position_embeddings + config.type_vocab_size + 2
    return rows * config.embedding_size


def _heads(config: ElectraConfig, generator: ElectraConfig) -> int:
    words = (generator.hidden_size + 3) * config.embedding_size + config.vocab_size
    return words + (config.hidden_size + 1) * config.hidden_size + config.hidden_size + 1


def _flops_per_token(size: str) -> float:
    config = ElectraConfig.preset(size, vocab_size=VOCABULARY)
    recipe = RECIPES[size]
    return step_flops(
        generator=config.generator(),
        discriminator=config,
        length=recipe.max_length,
        mask_fraction=recipe.mask_fraction,
    )


def _layers(size: str) -> int:
    """Of both networks."""
    config = ElectraConfig.preset(size)
    return config.num_hidden_layers + config.generator().num_hidden_layers


HEADS = (
    *("GPUs", "examples each", "accumulate", "compute", "all-reduce", "not hidden", "step"),
    *("efficiency", "M tokens/s", "hours", "dollars"),
)


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---:|" * len(HEADS)]
    for one in rows:
        times = (f"{value:.1f} ms" for value in (one.compute, one.communication, one.exposed, one.step))
        share, speed = f"{one.efficiency:.0%}", f"{one.tokens_per_second / 1e6:.2f}"
        whole = (f"{one.gpus}", f"{one.examples}", f"{one.accumulate}", *times, share, speed)
        lines.append(f"| {' | '.join((*whole, f'{one.hours:,.1f}', f'{one.dollars:,.0f}'))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in asdict(Assumptions()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of tables")
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    assumed = Assumptions(**options)
    found = {size: [row(size, gpus, assumed) for gpus in GPUS] for size in ("base", "large")}
    # more GPUs than examples are refused
    found = {size: [one for one in rows if one.gpus <= RECIPES[size].batch_size] for size, rows in found.items()}
    if as_json:
        plain = {size: [asdict(one) for one in rows] for size, rows in found.items()}
        print(json.dumps({"benchmark": "cluster", "assumed": asdict(assumed), **plain}))
        return
    for size, rows in found.items():
        recipe = RECIPES[size]
        print(
            f"\n{size}: {parameters(size) / 1e6:.1f} million parameters, {_flops_per_token(size) / 1e6:,.0f} million "
            f"operations for a token, {recipe.steps:,} steps of {recipe.batch_size} x {recipe.max_length} tokens\n"
        )
        print(table(rows))


if __name__ == "__main__":
    main()
