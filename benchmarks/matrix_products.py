"""How fast does a CPU multiply the matrices of a layer, by torch's choice of library and by ours?

Prints one JSON line for each size of encoder: GFLOP/s of torch and of `electra.nn.kernels.cpu_kernels`, forward and
backward together, for the three shapes of a layer's matrices; and how far both are from float64.

    python benchmarks/matrix_products.py [--tokens 2048] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from electra import ElectraConfig
from electra.hardware.devices import onednn_is_faster
from electra.nn.kernels.cpu_kernels import project

ROUNDS = 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for size in ("tiny", "small", "base"):
        print(json.dumps(of_size(size, options.tokens, options.threads)), flush=True)


def of_size(size: str, tokens: int, threads: int) -> dict[str, object]:
    config = ElectraConfig.preset(size)
    wide, width = config.intermediate_size, config.hidden_size
    layers = [nn.Linear(width, width), nn.Linear(width, wide), nn.Linear(wide, width)]
    operations = sum(6 * tokens * layer.in_features * layer.out_features for layer in layers)
    rates: dict[str, list[float]] = {"torch": [], "ours": []}
    calls: dict[str, Callable[[nn.Linear, Tensor], Tensor]] = {"torch": nn.Linear.__call__, "ours": project}
    for _ in range(ROUNDS):  # in turn
        for side, call in calls.items():
            rates[side].append(operations / seconds(layers, call, tokens) / 1e9)
    middle = {side: statistics.median(each) for side, each in rates.items()}
    return {
        "benchmark": "matrix_products",
        "machine": f"{platform.machine()}, {threads} threads, torch {torch.__version__}",
        "size": size,
        "tokens": tokens,
        "by_onednn": onednn_is_faster(),
        "gflops_per_second": {side: round(each) for side, each in middle.items()},
        "times_faster": round(middle["ours"] / middle["torch"], 2),
        "error": {side: error(layers[1], call, tokens) for side, call in calls.items()},
    }


def seconds(layers: list[nn.Linear], call: Callable[[nn.Linear, Tensor], Tensor], tokens: int, times: int = 5) -> float:
    """CPU seconds of the three layers' products, forward and backward."""
    inputs = [torch.randn(tokens, layer.in_features, requires_grad=True) for layer in layers]
    gradients = [torch.randn(tokens, layer.out_features) for layer in layers]

    def once() -> None:
        for layer, hidden, gradient in zip(layers, inputs, gradients, strict=True):
            call(layer, hidden).backward(gradient)

    once()
    begin = time.process_time()
    for _ in range(times):
        once()
    return (time.process_time() - begin) / times


def error(layer: nn.Linear, call: Callable[[nn.Linear, Tensor], Tensor], tokens: int) -> float:
    """The largest difference from float64, as a share of the largest value."""
    hidden = torch.randn(tokens, layer.in_features)
    exact = hidden.double() @ layer.weight.double().t() + layer.bias.double()
    return float(f"{((call(layer, hidden) - exact).abs().max() / exact.abs().max()).item():.1e}")


if __name__ == "__main__":
    main()
