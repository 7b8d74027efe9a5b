"""Multiple choice: which of three texts goes on from a text?

Input     JSON lines such as {"text": "the cook", "choices": ["sails home", "bakes bread", ...], "label": 1}
Command   electra finetune MODEL --train multiple_choice/train.jsonl
          --eval multiple_choice/eval.jsonl --output multiple_choice/fitted --learning-rate 1e-3 --epochs 6
Expected  accuracy 1.00 in 13 seconds of a core (AMD, AVX-512), MODEL from `electra pretrain TEXT --size tiny
          --steps 150 --max-length 64 --vocab-size 2048 --dropout 0`

The examples are made up here, so that the whole can be run; MODEL is a pretrained discriminator, such as `electra
pretrain` or `make demo` leaves:

    python examples/multiple_choice.py MODEL
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from electra import pipeline
from electra.commands.finetune import FinetuneConfig, finetune

WORK = {
    "cook": ["bakes bread", "stirs soup", "salts rice"],
    "sailor": ["sails home", "ties ropes", "lifts anchors"],
    "farmer": ["sows corn", "feeds hens", "mows hay"],
    "teacher": ["marks tests", "reads stories", "cleans chalk"],
}


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Somebody, and what three people do, one of whom it is."""
    draw, made = random.Random(seed), []
    for _ in range(count):
        people = draw.sample(sorted(WORK), 3)
        label = draw.randrange(3)
        choices = [draw.choice(WORK[each]) for each in people]
        made.append({"text": f"the {people[label]}", "choices": choices, "label": label})
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a pretrained discriminator")
    parser.add_argument("--folder", type=Path, default=Path("multiple_choice"), help="where to write")
    parser.add_argument("--examples", type=int, default=400, help="how many to learn from")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, count, seed in (("train", options.examples, 0), ("eval", max(10, options.examples // 5), 1)):
        lines = [json.dumps(row) for row in rows(count, seed)]
        (options.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    train, held_out, fitted = (options.folder / name for name in ("train.jsonl", "eval.jsonl", "fitted"))
    config = FinetuneConfig(options.model, train=train, eval=held_out, output=fitted, learning_rate=1e-3, epochs=6)
    result = finetune(config)
    print(json.dumps(result["scores"]))
    print(pipeline("multiple-choice", str(fitted))({"text": "the cook", "choices": ["sails home", "bakes bread"]}))
    return result


if __name__ == "__main__":
    main()
