"""Held-out text as the two networks see it, for people to look at: `samples.json` in the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from electra.data.batches import MaskedBatch
from electra.hub.files import write_text
from electra.nn.pretraining import ReplacedTokenDetection
from electra.text.tokenizer import ElectraTokenizer

SAMPLES = 8  # rows that are kept


@torch.no_grad()
def sample_rows(
    networks: ReplacedTokenDetection, example: MaskedBatch, tokenizer: ElectraTokenizer
) -> list[list[dict[str, Any]]]:
    """A masked batch -> for each row its tokens, each with `original`, `masked` and `probability` of being replaced.

    A token that the generator replaced has `sampled` too. The special tokens at the ends are left out.
    """
    batch, masked = example
    found = networks(batch, masked=masked)
    chosen = set(masked.positions[masked.weights > 0].tolist())
    originals, seen = (tokenizer.convert_ids_to_tokens(ids.tolist()) for ids in (batch.input_ids, found.corrupted_ids))
    probabilities = found.discriminator_logits.float().sigmoid().tolist()
    tokens: list[dict[str, Any]] = []
    for place, (original, token) in enumerate(zip(originals, seen, strict=True)):
        told = {"original": original, "masked": place in chosen, "probability": round(probabilities[place], 3)}
        tokens.append(told if token == original else told | {"sampled": token})
    offsets = batch.layout.offsets
    rows = [tokens[first:last] for first, last in zip(offsets, offsets[1:], strict=False)]
    return [[token for token in row if token["original"] not in tokenizer.all_special_tokens] for row in rows]


def write_samples(path: Path, step: int, rows: list[list[dict[str, Any]]]) -> None:
    """Write the file, whole or not at all."""
    write_text(path, json.dumps({"step": step, "rows": rows}, ensure_ascii=False) + "\n")
