"""Question answering: which words of a text answer a question? Some questions have no answer.

Input     JSON lines such as {"question": "where is the map?", "context": "the map is in the attic.", ...}
Command   electra finetune MODEL --train question_answering/train.jsonl
          --eval question_answering/eval.jsonl --output question_answering/fitted --learning-rate 1e-3 --epochs 6
Expected  F1 62 (of 100) in 9 seconds of a core (AMD, AVX-512), MODEL from `electra pretrain TEXT --size tiny
          --steps 150 --max-length 64 --vocab-size 2048 --dropout 0`: a model that knows more gets further

The examples are made up here, so that the whole can be run; MODEL is a pretrained discriminator, such as `electra
pretrain` or `make demo` leaves:

    python examples/question_answering.py MODEL
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

THINGS = ["map", "lamp", "key", "coin", "rope"]
ROOMS = ["attic", "cellar", "kitchen", "garden", "hall"]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Where two things are, and a question about one of them, or about a third; answers as in SQuAD."""
    draw, made = random.Random(seed), []
    for _ in range(count):
        things, rooms = draw.sample(THINGS, 3), draw.sample(ROOMS, 2)
        context = " ".join(f"the {thing} is in the {room}." for thing, room in zip(things, rooms, strict=False))
        asked = draw.choices(range(3), weights=(2, 2, 1))[0]
        answers = [] if asked == 2 else [{"text": rooms[asked], "answer_start": context.index(rooms[asked])}]
        made.append({"question": f"where is the {things[asked]}?", "context": context, "answers": answers})
    return made


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a pretrained discriminator")
    parser.add_argument("--folder", type=Path, default=Path("question_answering"), help="where to write")
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
    print(pipeline("question-answering", str(fitted))(question="where is the map?", context="the map is in the attic."))
    return result


if __name__ == "__main__":
    main()
