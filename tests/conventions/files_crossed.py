"""How many files of the package run in a forward pass, a pipeline call, a pretraining step and a fine-tuning step.

    python tests/conventions/files_crossed.py [--functions] [--json FILE]

A profile hook sees every call of a Python function in every thread; those of the package's files count, but for the
bodies of modules and classes, which run once on import. Everything has run before it is counted. Nothing is hooked but
torch: a step is what runs from one call of `torch.autograd.backward` to the next, so it has the update, what is done
after it, the next batch, and forward and backward passes; it is counted over some steps in which nothing is logged,
evaluated or saved, with the threads that prepare batches ahead.
`ElectraModel` gets padded inputs, as transformers' callers give them; the pipeline gets "good film".
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conventions import bit_equality as bits  # first: it sets the number of threads

import electra  # isort: skip
import torch  # isort: skip

PACKAGE = str(Path(electra.__file__).parent) + "/"
AIMS = {"forward": 7, "pipeline call": 18, "pretraining step": 16, "fine-tuning step": 16}
FIRST, LAST = 9, 14
"""The calls of backward between which steps are counted: some after the first, so that all has run."""

Crossed = dict[str, list[str]]
"""A file, from the package's folder on -> its functions that ran."""


class Counter:
    """Notes which code of the package runs, in all threads, while it is open."""

    def __init__(self) -> None:
        self.open = False
        self._seen: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if self.open and event == "call":
            self._seen.add(frame.f_code)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        threading.setprofile(self)  # for threads to come
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def crossed(self) -> Crossed:
        """The files and functions, lambdas and comprehensions under the function that they stand in."""
        found: dict[str, set[str]] = {}
        for code in self._seen:
            if code.co_filename.startswith(PACKAGE) and not _is_body(code):
                name = code.co_qualname.partition(".<locals>")[0]
                found.setdefault(code.co_filename.removeprefix(PACKAGE), set()).add(name)
        return {file: sorted(found[file]) for file in sorted(found)}


def _is_body(code: CodeType) -> bool:
    """Whether it is a module's or a class's body: these have no fast locals (CO_OPTIMIZED)."""
    return not code.co_flags & 0x1


def of_second_call(work: Callable[[], object]) -> Crossed:
    work()
    counter = Counter()
    with counter.installed():
        counter.open = True
        work()
        counter.open = False
    return counter.crossed()


def of_steps(work: Callable[[], object]) -> Crossed:
    """What runs from call FIRST of backward to call LAST."""
    counter, calls, inner = Counter(), 0, torch.autograd.backward

    def backward(*given: Any, **named: Any) -> None:
        nonlocal calls
        inner(*given, **named)
        calls += 1
        counter.open = FIRST <= calls < LAST

    torch.autograd.backward = backward
    try:
        with counter.installed():
            work()
    finally:
        torch.autograd.backward = inner
    if calls < LAST:
        raise RuntimeError(f"backward was called {calls} times, and {LAST} are needed")
    return counter.crossed()


def forward(folder: Path) -> Crossed:
    model = electra.ElectraModel(electra.ElectraConfig(**bits.SIZES)).eval()
    mask = (torch.arange(12) < torch.tensor([12, 5])[:, None]).long()
    inputs = {"input_ids": 7 * mask, "attention_mask": mask, "token_type_ids": 0 * mask}

    def run() -> None:
        with torch.no_grad():
            model(**inputs)

    return of_second_call(run)


def pipeline_call(folder: Path) -> Crossed:
    path = bits.model_folder(folder / "classifier", "ElectraForSequenceClassification", **bits.labels("bad", "good"))
    classify = electra.pipeline("text-classification", str(path), device="cpu")
    return of_second_call(lambda: classify("good film"))


def pretraining_step(folder: Path) -> Crossed:
    text = bits.write_text(folder / "text.txt")
    (folder / "vocab.txt").write_text("\n".join(bits.VOCABULARY) + "\n", encoding="utf-8")
    size = ("--size", "tiny", "--steps", 20, "--batch-size", 8, "--vocab", folder / "vocab.txt")
    every = ("--report-every", 20, "--evaluate-every", 20, "--save-every", 20, "--held-out-fraction", 0.1)
    run = (text, "--output", folder / "run", *size, *every, "--device", "cpu", "--quiet")
    return of_steps(lambda: bits.command("pretrain", *run))


def finetuning_step(folder: Path) -> Crossed:
    base = bits.model_folder(folder / "base", "ElectraForPreTraining", fresh=True)
    train, held_out = (
        bits.write_examples(folder / f"{name}.jsonl", bits.single, count, seed)
        for name, count, seed in (("train", 600, 1), ("eval", 20, 2))
    )
    # 75 steps: a line of metrics comes with every 7th, so that steps 8 to 13 are clear of those at 7 and 14
    given = ("--train", train, "--eval", held_out, "--output", folder / "fitted", "--batch-size", 8, "--epochs", 1)
    return of_steps(
        lambda: bits.command("finetune", base, "--task", "text-classification", *given, "--device", "cpu", "--quiet")
    )


WAYS: dict[str, Callable[[Path], Crossed]] = {
    "forward": forward,
    "pipeline call": pipeline_call,
    "pretraining step": pretraining_step,
    "fine-tuning step": finetuning_step,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--functions", action="store_true", help="name the functions of each file too")
    parser.add_argument("--json", type=Path, help="a file to write it into as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found: dict[str, Crossed] = {}
    for way, work in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            found[way] = crossed = work(Path(folder))
        functions = sum(map(len, crossed.values()))
        print(f"{way}: {len(crossed)} files, {functions} functions (aim: {AIMS[way]} files)")
        for file, names in crossed.items():
            print(f"    {file}  {len(names)}" + (f"  {', '.join(names)}" if options.functions else ""))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
