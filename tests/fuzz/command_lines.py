"""Random command lines over files that exist: a documented exit code, no traceback, and no input is changed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
from pathlib import Path

from electra import cli
from tests.fuzz.driver import Broken, Case
from tests.fuzz.hostile import encodable
from tests.tasks.tiny import make_folder

CODES = {0, 1, 2, 75, 130, 141, 143}
FLAGS = (
    "--task", "--output", "--max-length", "--top-k", "--device", "--columns", "--threshold", "--seed", "--predictions",
    "--html", "--compare", "--steps", "--size", "--json", "--overwrite", "--no-such-flag", "--batch-tokens", "--format",
)  # fmt: skip


def prepare(shared: Path) -> Case:
    """A small classifier that every case copies beside some files."""
    model = make_folder(shared / "model", "ElectraForSequenceClassification")

    def case(random: random.Random, folder: Path) -> str:
        (folder / "model").symlink_to(model)
        rows = [{"text": "the cat sat", "label": random.choice(["LABEL_0", "LABEL_1"])} for _ in range(4)]
        (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (folder / "texts.txt").write_text("the cat\nParis\n")
        (folder / "taken.txt").write_text("mine")
        (folder / "taken").mkdir()
        (folder / "taken" / "mine.txt").write_text("mine")
        before = _hashes(folder) | _hashes(model)
        words = _words(random)
        code, errors = _run(words)
        changed = [name for name, digest in before.items() if _hash(Path(name)) != digest]
        if changed and "--overwrite" not in words:
            raise Broken(f"electra {' '.join(words)} changed {changed}")
        if code not in CODES:
            raise Broken(f"electra {' '.join(words)} exited with {code}")
        if "Traceback" in errors:
            raise Broken(f"electra {' '.join(words)}: {errors[-300:]}")
        return f"exit {code}"

    return case


def _words(random: random.Random) -> list[str]:
    verb = random.choice(["predict", "evaluate", "inspect", "report", "convert", "tokenizer train", "tokenizer report"])
    values = [
        "model",
        "data.jsonl",
        "texts.txt",
        "taken.txt",
        "taken",
        "model/config.json",
        "new",
        "-1",
        "0",
        "3",
        "cpu",
    ]
    values += ["text-classification", "fill-mask", "text=text", "", "new/deep/er", encodable(random, 2)]
    words = verb.split()
    words += (
        random.sample(values, random.randint(0, 2))
        if random.random() < 0.4
        else ["model", "texts.txt"][: random.randint(1, 2)]
    )
    if verb == "evaluate" and random.random() < 0.6:
        words = ["evaluate", "model", "data.jsonl"]
    for _ in range(random.randint(0, 2)):
        flag = random.choice(FLAGS)
        words += [flag] if random.random() < 0.2 else [flag, random.choice(values)]
    return [word for word in words if word != "-"]


def _run(words: list[str]) -> tuple[int | str | None, str]:
    errors = io.StringIO()
    with (
        contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")),
        contextlib.redirect_stderr(errors),
    ):
        try:
            cli.main(words)
        except SystemExit as left:
            return left.code or 0, errors.getvalue()


def _hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): _hash(path) for path in files}


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "gone"
