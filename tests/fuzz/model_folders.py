"""Model folders with damaged files, opened by every door that opens one."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from electra import AutoModel, AutoTokenizer, pipeline
from electra.commands.inspect import describe
from tests.fuzz.driver import Broken, Case
from tests.fuzz.hostile import damaged, json_text, text, value
from tests.tasks.tiny import make_folder

JSON_FILES = ("config.json", "tokenizer_config.json", "tokenizer.json", "added_tokens.json", "special_tokens_map.json")


def prepare(shared: Path) -> Case:
    """One good folder, of which every case damages a copy."""
    good = make_folder(shared / "good", "ElectraForSequenceClassification")

    def case(random: random.Random, folder: Path) -> str:
        model = folder / "model"
        shutil.copytree(good, model)
        for _ in range(random.randint(1, 2)):
            _damage(random, model)
        return open_by(random.choice(DOORS), model)

    return case


def open_by(door: str, model: Path) -> str:
    """Open a folder; what is answered has no NaN in it."""
    if door == "inspect":
        describe(str(model))
    elif door == "model":
        AutoModel.from_pretrained(model)
    elif door == "tokenizer":
        AutoTokenizer.from_pretrained(model)("the cat sat")
    else:
        answer = pipeline("text-classification", str(model))("the cat sat")
        try:
            json.dumps(answer, allow_nan=False)
        except ValueError as error:
            raise Broken(f"a pipeline answered {answer}") from error
    return f"opened by {door}"


DOORS = ("inspect", "model", "tokenizer", "pipeline")


def _damage(random: random.Random, model: Path) -> None:
    files = sorted(path for path in model.iterdir() if path.is_file())
    if not files:
        return
    path = random.choice(files)
    kind = random.randrange(6)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(b"")
    elif path.suffix == ".json" or kind == 2:
        path = model / random.choice(JSON_FILES)
        content: Any = {}
        if path.is_file():
            try:
                content = json.loads(path.read_bytes())
            except (ValueError, RecursionError):
                content = {}
        path.write_bytes(json_text(random, _changed(random, content)))
    else:
        path.write_bytes(damaged(random, path.read_bytes()))


def _changed(random: random.Random, content: Any) -> Any:
    """The JSON with some fields of other types."""
    if not isinstance(content, dict) or random.random() < 0.05:
        return value(random)
    changed = dict(content)
    for _ in range(random.randint(1, 2)):
        name = random.choice([*changed, text(random, 1)]) if changed else text(random, 1)
        inner = changed.get(name)
        changed[name] = _changed(random, inner) if isinstance(inner, dict) and random.random() < 0.5 else value(random)
    return changed
