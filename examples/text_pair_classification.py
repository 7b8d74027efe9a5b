"""Pairs of texts: does the second text follow from the first, or speak against it?

Input     JSON lines such as {"premise": "the cup is new", "hypothesis": "it is not new", "label": "contradiction"}
Command   electra finetune MODEL --train text_pair_classification/train.jsonl
          --eval text_pair_classification/eval.jsonl --output text_pair_classification/fitted
          --learning-rate 1e-3 --epochs 4
Expected  accuracy 1.00 in 6 seconds of a core (AMD, AVX-512), MODEL from `electra pretrain TEXT --size tiny
          --steps 150 --max-length 64 --vocab-size 2048 --dropout 0`

The examples are made up here, so that the whole can be run; MODEL is a pretrained discriminator, such as `electra
pretrain` or `make demo` leaves:

    python examples/text_pair_classification.py MODEL
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

THINGS = ["cup", "door", "car", "coat", "boat", "chair"]
KINDS = ["open", "new", "hot", "wet", "full", "long"]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """What a thing is, and then that it is so, or is not."""
    draw, made = random.Random(seed), []
    for number in range(count):
        kind = draw.choice(KINDS)
        label, said = ("entailment", kind) if number % 2 else ("contradiction", f"not {kind}")
        made.append({"premise": f"the {draw.choice(THINGS)} is {kind}", "hypothesis": f"it is {said}", "label": label})
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a pretrained discriminator")
    parser.add_argument("--folder", type=Path, default=Path("text_pair_classification"), help="where to write")
    parser.add_argument("--examples", type=int, default=400, help="how many to learn from")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, count, seed in (("train", options.examples, 0), ("eval", max(10, options.examples // 5), 1)):
        lines = [json.dumps(row) for row in rows(count, seed)]
        (options.folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    train, held_out, fitted = (options.folder / name for name in ("train.jsonl", "eval.jsonl", "fitted"))
    config = FinetuneConfig(options.model, train=train, eval=held_out, output=fitted, learning_rate=1e-3, epochs=4)
    result = finetune(config)
    print(json.dumps(result["scores"]))
    print(pipeline("text-classification", str(fitted))({"text": "the cup is new", "text_pair": "it is not new"}))
    return result


if __name__ == "__main__":
    main()
