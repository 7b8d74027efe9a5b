"""What does preparing text cost beside tokenizing it, and does its memory grow with the text?

Prints one JSON line:

- `pairs`: CPU and wall seconds for the same text, in turn, by `prepare` (files to shards) and by the `tokenizers`
  library alone (its quickest call on lines that are in memory already, and the ids it made), each in a process of its
  own; of both the median ratio.
- `memory`: the peak of a process that prepares 50 MB, 500 MB and one line of 300 MB, in megabytes, and that of one
  that imports and builds the same but prepares 2 MB.
- `vocabulary_memory`: the same for training a vocabulary on 50 MB, 500 MB and that line.

    python benchmarks/preparation.py [--megabytes 40] [--pairs 3] [--threads 2] [--text F] [--vocab F] [--skip-memory]

Without --text, the text is generated: English-like words of a Zipf distribution, in lines and documents. Without
--vocab, a vocabulary of 30,522 is trained on it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from electra.data.corpus.documents import Lines, read_documents
from electra.data.preparation.prepare import prepare
from electra.data.preparation.tokenize import GROUP_CHARACTERS, for_plain_text
from electra.text.tokenizer import ElectraTokenizer
from electra.text.training.vocabulary import read_vocabulary, train_vocabulary

LETTERS = "etaoinshrdlcumwfgypbvk"


def write_text(path: Path, megabytes: float, *, seed: int = 0) -> None:
    """Made-up words of one to four syllables, frequent ones more often; lines of 5 to 120 words, 1 to 30 a document."""
    draw = random.Random(seed)
    words = ["".join(draw.choice(LETTERS) for _ in range(draw.randint(1, 11))) for _ in range(60_000)]
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    block = [" ".join(_line(draw, words, weights)) for _ in range(4000)]  # lines are used again: writing is not timed
    left = megabytes * 1e6
    with path.open("w") as file:
        while left > 0:
            document = "".join(draw.choice(block) + "\n" for _ in range(draw.randint(1, 30)))
            file.write(document + "\n")
            left -= len(document) + 1


def _line(draw: random.Random, words: list[str], weights: list[float]) -> Iterator[str]:
    for word in draw.choices(words, cum_weights=weights, k=draw.randint(5, 120)):
        yield word.capitalize() if draw.random() < 0.1 else word + draw.choice(("", "", "", "", ",", "."))


def work(what: str, text: Path, vocabulary: Path, folder: Path) -> dict[str, float]:
    """One measurement, in this process: CPU and wall seconds without start and imports, peak memory with them."""
    tokenizer = read_vocabulary(vocabulary) if vocabulary.is_file() else ElectraTokenizer.from_pretrained(vocabulary)
    backend = for_plain_text(tokenizer.backend_tokenizer)
    lines = [line for document in read_documents(text) for line in document.lines] if what == "library" else []
    before, started = os.times(), time.perf_counter()
    if what == "prepare":
        prepare(text, tokenizer, folder)
    elif what == "vocabulary":
        train_vocabulary(Lines((str(text),)), size=30_522)
    else:
        for group in _groups(lines):
            for encoding in backend.encode_batch_fast(group, add_special_tokens=False):
                _ = encoding.ids
    after, seconds = os.times(), time.perf_counter() - started
    cpu = after.user - before.user + after.system - before.system
    return {"cpu_seconds": round(cpu, 2), "seconds": round(seconds, 2), "peak_megabytes": round(_peak_megabytes())}


def _peak_megabytes() -> float:
    """Of this process alone: what getrusage tells on Linux begins with the peak of the process that started it."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def _groups(lines: list[str]) -> Iterator[list[str]]:
    group, characters = [], 0
    for line in lines:
        group.append(line)
        characters += len(line)
        if characters >= GROUP_CHARACTERS:
            yield group
            group, characters = [], 0
    yield group


def measured(what: str, text: Path, vocabulary: Path, threads: int) -> dict[str, float]:
    """`work` in a process of its own, on so many threads of the library."""
    folder = text.with_name("prepared")
    command = [sys.executable, __file__, "--work", what, str(text), str(vocabulary), str(folder)]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    shutil.rmtree(folder, ignore_errors=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(text: Path, vocabulary: Path, pairs: int, threads: int) -> dict[str, object]:
    """`prepare` and the library in turn, and the other way round every second time."""
    rows: dict[str, list[dict[str, float]]] = {"library": [], "prepare": []}
    for number in range(pairs):
        for what in list(rows)[:: -1 if number % 2 else 1]:
            rows[what].append(measured(what, text, vocabulary, threads))
    ratios = {
        unit: round(
            statistics.median(
                ours[unit] / theirs[unit] for ours, theirs in zip(rows["prepare"], rows["library"], strict=True)
            ),
            3,
        )
        for unit in ("cpu_seconds", "seconds")
    }
    size = text.stat().st_size / 1e6
    least = min(row["cpu_seconds"] for row in rows["prepare"])
    return {"megabytes": round(size, 1), **rows, "ratio": ratios, "megabytes_per_cpu_second": round(size / least, 2)}


def memory(folder: Path, vocabulary: Path, threads: int) -> dict[str, dict[str, float]]:
    """Peaks of processes, in megabytes."""
    found: dict[str, dict[str, float]] = {"memory": {}, "vocabulary_memory": {}}
    for name, megabytes in (("2 MB", 2), ("50 MB", 50), ("500 MB", 500)):
        text = folder / "text.txt"
        write_text(text, megabytes)
        found["memory"][name] = measured("prepare", text, vocabulary, threads)["peak_megabytes"]
        if megabytes > 2:
            found["vocabulary_memory"][name] = measured("vocabulary", text, vocabulary, threads)["peak_megabytes"]
    line = text.read_bytes()[:300_000_000].replace(b"\n", b" ")
    text.write_bytes(line + b"\n\nA second document.\n\nA third one.\n")
    for measure, what in (("memory", "prepare"), ("vocabulary_memory", "vocabulary")):
        found[measure]["one line of 300 MB"] = measured(what, text, vocabulary, threads)["peak_megabytes"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--vocab", type=Path)
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--work", nargs=4, metavar=("WHAT", "TEXT", "VOCAB", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(options.work[0], *map(Path, options.work[1:]))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        text, vocabulary = folder / "text.txt", options.vocab
        if options.text:
            shutil.copyfile(options.text, text)
        else:
            write_text(text, options.megabytes)
        if vocabulary is None:
            vocabulary = folder / "tokenizer"
            train_vocabulary(Lines((str(text),)), size=30_522).save_pretrained(vocabulary)
        found = {
            "benchmark": "preparation",
            "processor": platform.processor() or platform.machine(),
            "threads": options.threads,
            "pairs": compare(text, vocabulary, options.pairs, options.threads),
            **({} if options.skip_memory else memory(folder, vocabulary, options.threads)),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
