"""Text classification: is a review good or bad?

Input     JSON lines such as {"text": "we found the film dull", "label": "bad"}
Command   electra finetune MODEL --train text_classification/train.jsonl
          --eval text_classification/eval.jsonl --output text_classification/fitted --learning-rate 1e-3 --epochs 3
Expected  accuracy 1.00 in 6 seconds of a core (AMD, AVX-512), MODEL from `electra pretrain TEXT --size tiny
          --steps 150 --max-length 64 --vocab-size 2048 --dropout 0`

The examples are made up here, so that the whole can be run; MODEL is a pretrained discriminator, such as `electra
pretrain` or `make demo` leaves:

    python examples/text_classification.py MODEL
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

THINGS = ["film", "play", "book", "song", "meal", "hotel", "speech", "garden"]
GOOD = ["wonderful", "moving", "clever", "fresh", "warm", "charming"]
BAD = ["dull", "tired", "clumsy", "cold", "noisy", "empty"]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Sentences with one or two words of praise, or of blame."""
    draw, made = random.Random(seed), []
    for number in range(count):
        label, words = ("good", GOOD) if number % 2 else ("bad", BAD)
        judged = " and ".join(draw.sample(words, draw.randint(1, 2)))
        made.append({"text": f"we found the {draw.choice(THINGS)} {judged}", "label": label})
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a pretrained discriminator")
    parser.add_argument("--folder", type=Path, default=Path("text_classification"), help="where to write")
    parser.add_argument("--examples", type=int, default=400, help="how many to learn from")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, count, seed in (("train", options.examples, 0), ("eval", max(10, options.examples // 5), 1)):
        lines = [json.dumps(row) for row in rows(count, seed)]
        (options.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    train, held_out, fitted = (options.folder / name for name in ("train.jsonl", "eval.jsonl", "fitted"))
    config = FinetuneConfig(options.model, train=train, eval=held_out, output=fitted, learning_rate=1e-3, epochs=3)
    result = finetune(config)
    print(json.dumps(result["scores"]))
    print(pipeline("text-classification", str(fitted))("we found the play moving and clever"))
    return result


if __name__ == "__main__":
    main()
