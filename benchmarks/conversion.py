"""What does it cost to convert a base-sized checkpoint of Google's, checksums included, and to convert it back?

Prints one JSON line: for each direction seconds, CPU seconds, and the peak of memory beside the size of the source.
The checkpoint is made here, with random values and Google's names: ELECTRA-base and its generator, as published.

    python benchmarks/conversion.py [--size base] [--optimizer]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import electra
from electra.google.tensorflow.bundle import write_bundle
from electra.google.variable_names import STEP, Scopes, slot, variable_name


def write_checkpoint(folder: Path, size: str, slots: bool) -> None:
    """Both networks of this size as a TensorFlow checkpoint."""
    config = electra.ElectraConfig.preset(size)
    shapes: dict[str, tuple[int, ...]] = {STEP: ()}
    pair = (
        (electra.ElectraForPreTraining, config, "electra"),
        (electra.ElectraForMaskedLM, config.generator(), "generator"),
    )
    for network, fields, scope in pair:
        with torch.device("meta"):
            state = network(fields).state_dict()
        for name in state.keys() - {"generator_lm_head.weight"}:
            variable = variable_name(name, Scopes(scope, "electra"))
            for full in (variable, *((slot(variable, "m"), slot(variable, "v")) if slots else ())):
                shapes[full] = tuple(reversed(state[name].shape) if variable.endswith("/kernel") else state[name].shape)
    numbers = np.random.default_rng(0)

    def values(name: str) -> np.ndarray:
        return np.array(1, np.int64) if name == STEP else numbers.standard_normal(shapes[name], np.float32)

    folder.mkdir()
    write_bundle(folder / "model.ckpt-1", ((name, values(name)) for name in sorted(shapes)))


def measure(*words: str) -> dict[str, float]:
    """`electra convert WORDS` in a process of its own."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-m", "electra", "convert", *words], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 1), "cpu_seconds": round(cpu, 1), "peak_megabytes": round(after.ru_maxrss / 1e3)}


def megabytes(folder: Path) -> int:
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="base")
    parser.add_argument("--optimizer", action="store_true")
    options = parser.parse_args()
    flags = ["--optimizer"] if options.optimizer else []
    with tempfile.TemporaryDirectory() as place:
        source, models, back = (Path(place) / name for name in ("from", "models", "back"))
        write_checkpoint(source, options.size, options.optimizer)
        there = measure(str(source), str(models), *flags)
        # the peak of a process's children is that of the largest yet: the second is the larger one, or not seen
        again = measure(str(models), str(back), "--to", "tensorflow", *flags)
        same = (source / "model.ckpt-1.data-00000-of-00001").read_bytes() == (
            back / "model.ckpt-1.data-00000-of-00001"
        ).read_bytes()
        found = {
            "benchmark": "conversion",
            "size": options.size,
            "optimizer": options.optimizer,
            "processor": platform.processor() or platform.machine(),
            "from_tensorflow": {"source_megabytes": megabytes(source), **there},
            "to_tensorflow": {"source_megabytes": megabytes(models), **again},
            "comes_back_to_the_same_bytes": same,
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
