"""How fast is pretraining on this GPU, and what holds it up?

Prints one JSON line, and writes a result file. ELECTRA-small with 128 x 128 tokens and ELECTRA-base at length 512, in
bfloat16, three ways: as it is (eager), with its layers compiled (layers), and compiled as a whole and played back as
CUDA graphs (whole: `--compile` on one GPU). Each runs in a process of its own, through the code of `electra pretrain`,
from examples on the disk to changed weights; one that fails is in the report with its error.

    python benchmarks/pretraining_gpu.py [--size small base] [--way eager layers whole] [--steps 50]
    python benchmarks/pretraining_gpu.py --device cpu --size tiny --way eager --steps 2   # to see that it runs

Of each way: tokens a second (of text: filler is not counted) and the share of the device's peak that matrix products
and attention reach; peak memory; how often the host waited for the device in a step; how busy the device was, and the
kernels that took most of its time. Beside them, how fast batches are made, which another thread does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

WAYS = ("eager", "layers", "whole")
# rows and columns of a step; the share of the columns that Google's segments fill on average (docs/pretraining.md)
SHAPES = {"tiny": (8, 128, 0.96), "small": (128, 128, 0.96), "base": (64, 512, 0.84), "large": (32, 512, 0.84)}
EXAMPLES = 20_000
WARM, PROFILED, KERNELS = 10, 3, 15


def write_text(folder: Path, size: str) -> tuple[Any, Any]:
    """Examples of random words, some full and some of any length, and the tokenizer that they are said to be of."""
    import numpy as np

    from electra.data.dataset.shards import Shards, ShardWriter
    from electra.text.tokenizer import ElectraTokenizer

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = ElectraTokenizer([*special, *(f"w{number}" for number in range(30522 - len(special)))])
    _, columns, share = SHAPES[size]
    draw = np.random.default_rng(0)
    for name, count in (("train", EXAMPLES), ("held_out", 64)):
        with ShardWriter(folder, name, dtype=np.uint16) as writer:
            for full in draw.random(count) < 2 * share - 1:
                words = draw.integers(5, 30522, (columns if full else draw.integers(8, columns)) - 3)
                half = len(words) // 2
                writer.add(np.concatenate([[2], words[:half], [3], words[half:], [3]]).astype(np.uint16))
                writer.end_document()
    return tokenizer, (Shards(folder, "train"), Shards(folder, "held_out"))


@contextmanager
def session_of(size: str, way: str, device: str, steps: int) -> Iterator[Any]:
    """A run of `electra pretrain` before its first step."""
    from electra.commands.pretrain import PretrainConfig
    from electra.pretraining import session
    from electra.training.progress import Reporter
    from electra.training.run.run_folder import Run

    session.compiles_whole_step = lambda device, **options: way == "whole"
    rows, columns, _ = SHAPES[size]
    with tempfile.TemporaryDirectory(prefix="electra-benchmark-") as folder:
        tokenizer, texts = write_text(Path(folder), size)
        config = PretrainConfig(
            ("random",),
            output=Path(folder) / "run",
            size=size,
            batch_size=rows,
            max_length=columns,
            steps=steps,
            device=device,
            precision="bfloat16" if device != "cpu" else "float32",
            compile=way != "eager",
        )
        with Run(config.output, config.settings()) as run:
            yield session.Pretraining(config, run, tokenizer, texts, Reporter(quiet=True))


def measure(size: str, way: str, device: str, steps: int) -> dict[str, Any]:
    """Everything about one way; its first steps, in which kernels are made, apart."""
    import torch

    from electra.hardware import machine

    began, warm = time.perf_counter(), min(WARM, steps)
    marks: dict[int, float] = {}
    waits: list[str] = []
    profile = profiler_of(device)

    def between(step: int, values: Any) -> None:
        if step == warm:
            synchronize(device)
            marks[step] = time.perf_counter()
        elif step == warm + steps:
            synchronize(device)
            marks[step] = time.perf_counter()
            watch(waits, device)
        elif step == warm + steps + PROFILED:
            unwatch(device)
            synchronize(device)
            profile.start()
            marks[step] = time.perf_counter()
        elif step == warm + steps + 2 * PROFILED:
            synchronize(device)
            marks[step] = time.perf_counter()
            profile.stop()

    with session_of(size, way, device, warm + steps + 2 * PROFILED) as training:
        made = batches_a_second(training)
        training.take_steps(training.window.add, between)
        totals = training.window.read()
        times = [marks[step] for step in sorted(marks)]
        tokens = totals["tokens"] / totals["steps"]
        speed = steps * tokens / (times[1] - times[0])
        flops, peak = training.monitor._flops, training.monitor._peak_flops
        return {
            "tokens_per_second": round(speed),
            "milliseconds_a_step": round(1000 * (times[1] - times[0]) / steps, 3),
            "model_flops_utilization": None if peak is None else round(speed * flops / peak, 3),
            "peak_memory_gigabytes": round((machine.peak_memory(training.device) or 0) / 1e9, 2),
            "host_waits_in_a_step": None if device == "cpu" else len(waits) / PROFILED,
            "first_waits": sorted(set(waits))[:5],
            "seconds_to_the_first_measured_step": round(times[0] - began, 1),
            "batches_made_tokens_per_second": round(made * tokens),
            "loss_of_all_steps": totals["loss"] / totals["steps"],
            "torch": torch.__version__,
            "name": machine.device_name(training.device),
            **kernels_of(profile, times[3] - times[2], device),
        }


def batches_a_second(training: Any) -> float:
    """Batches that one thread makes, filled up where they have to be."""
    batches = training.batches(training.text, training.recipe.batch_size)
    batches.batch(0)
    began = time.perf_counter()
    for step in range(10):
        batch = batches.batch(step)
        if training._sizes is not None:
            training._padded(batch)
    return 10 / (time.perf_counter() - began)


def synchronize(device: str) -> None:
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def watch(waits: list[str], device: str) -> None:
    """From now on, note what makes the host wait for the device."""
    import torch

    if device == "cpu":
        return
    warnings.showwarning = lambda message, kind, file, line, *rest: waits.append(f"{file}:{line}: {message}"[-200:])
    warnings.simplefilter("always")
    torch.cuda.set_sync_debug_mode("warn")


def unwatch(device: str) -> None:
    import torch

    if device != "cpu":
        torch.cuda.set_sync_debug_mode("default")
        warnings.simplefilter("ignore")


def profiler_of(device: str) -> Any:
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU] if device == "cpu" else [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    return profile(activities=activities)


def kernels_of(profile: Any, seconds: float, device: str) -> dict[str, Any]:
    """The share of the profiled steps in which kernels ran, and those that took most of it."""

    def own(event: Any) -> float:
        names = ("self_cpu_time_total",) if device == "cpu" else ("self_device_time_total", "self_cuda_time_total")
        return float(next((getattr(event, name) for name in names if hasattr(event, name)), 0.0))

    # an operation's time on the device is told again by the kernels that it starts
    events = [event for event in profile.key_averages() if device == "cpu" or "CUDA" in str(event.device_type)]
    whole = sum(map(own, events)) or 1.0
    top = sorted(events, key=own, reverse=True)[:KERNELS]
    return {
        "busy": round(whole / 1e6 / seconds, 2),
        "kernels_a_step": round(sum(event.count for event in events) / PROFILED),
        "top": [[event.key[:90], round(own(event) / whole, 3), round(event.count / PROFILED)] for event in top],
    }


def attempt(size: str, way: str, options: argparse.Namespace) -> dict[str, Any]:
    """`measure` in a process of its own; {"error": its last line} where it fails."""
    words = [sys.executable, __file__, "--device", options.device, "--steps", str(options.steps), "--work", size, way]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=options.minutes * 60, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"no result after {options.minutes} minutes"}
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:500]}


COLUMNS = {
    "tokens_per_second": "tokens/s",
    "milliseconds_a_step": "ms a step",
    "model_flops_utilization": "of the peak",
    "peak_memory_gigabytes": "GB at most",
    "host_waits_in_a_step": "host waits a step",
    "busy": "device busy",
    "kernels_a_step": "kernels a step",
    "batches_made_tokens_per_second": "tokens/s of the thread that makes batches",
    "seconds_to_the_first_measured_step": "s before the first measured step",
}


def show(report: dict[str, Any]) -> str:
    """The result file."""
    lines = [f"# Pretraining on {report['device']}, {report['date']}", ""]
    lines += [f"    python benchmarks/pretraining_gpu.py {report['options']}", ""]
    lines += [table_row(["size", "rows x length", "way", *COLUMNS.values()]), table_row(["---"] * (len(COLUMNS) + 3))]
    for run in report["runs"]:
        rows, columns, _ = SHAPES[run["size"]]
        found = [run["error"]] if "error" in run else [run[name] for name in COLUMNS]
        lines.append(table_row([run["size"], f"{rows} x {columns}", run["way"], *found]))
    for run in (run for run in report["runs"] if "error" not in run):
        lines += ["", f"## {run['size']}, {run['way']}, torch {run['torch']}", ""]
        lines += [*(f"- the host waits: {wait}" for wait in run["first_waits"]), ""] if run["first_waits"] else []
        lines += [table_row(["kernel", "share of the time", "a step"]), table_row(["---"] * 3)]
        lines += [table_row([f"`{name}`", f"{share:.1%}", count]) for name, share, count in run["top"]]
    return "\n".join([*lines, ""])


def table_row(cells: list[Any]) -> str:
    shown = (f"{cell:,}" if isinstance(cell, (int, float)) else str(cell or "") for cell in cells)
    return f"| {' | '.join(text.replace('|', '/') for text in shown)} |"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--size", nargs="+", default=["small", "base"], choices=SHAPES)
    parser.add_argument("--way", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--steps", type=int, default=50, help="measured steps of each")
    parser.add_argument("--minutes", type=float, default=10, help="how long one way may take")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", help="folder of the result")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parsed()
    if options.work:
        size, way = options.work
        print(json.dumps(measure(size, way, options.device, options.steps)))
        return
    import torch

    if options.device != "cpu" and not torch.cuda.is_available():
        print(
            json.dumps({"benchmark": "pretraining_gpu", "skipped": f"torch {torch.__version__} finds no CUDA device"})
        )
        return
    runs = [{"size": size, "way": way, **attempt(size, way, options)} for size in options.size for way in options.way]
    device = next((run["name"] for run in runs if "name" in run), options.device)
    given = f"--size {' '.join(options.size)} --way {' '.join(options.way)} --steps {options.steps}"
    report = {
        "benchmark": "pretraining_gpu",
        "device": device,
        "date": f"{date.today()}",
        "options": given,
        "runs": runs,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    name = "-".join(device.lower().replace("(r)", "").split()[:4])
    (options.output / f"pretraining_{name}_{report['date']}.md").write_text(show(report), encoding="utf-8")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
