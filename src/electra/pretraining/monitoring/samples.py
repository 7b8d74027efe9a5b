"""Held-out text as the two networks see it, for people to look at: `samples.json` in the run folder."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from electra.data.dataset.masked_batches import MaskedBatch
from electra.files.atomic import write_text
from electra.objective.masked_language_modeling import MaskedLanguageModelingOutput
from electra.pretraining.objectives import Networks, Output
from electra.text.tokenizer import ElectraTokenizer

SAMPLES = 8  # rows that are kept


@torch.no_grad()
def sample_rows(networks: Networks, example: MaskedBatch, tokenizer: ElectraTokenizer) -> list[list[dict[str, Any]]]:
    """A masked batch -> for each row its tokens, each with `original`, `masked`, and `probability` of being replaced.

    A token that the generator replaced has `sampled` too. Where there is no discriminator, `sampled` is the likeliest
    token where that is another, and `probability` that of all others than the original. Special tokens are left out.
    """
    batch, masked = example
    found = networks(batch, masked=masked)
    seen_ids, probabilities = _answers(found, batch.input_ids)
    chosen = set(masked.positions[masked.weights > 0].tolist())
    originals, seen = (tokenizer.convert_ids_to_tokens(ids.tolist()) for ids in (batch.input_ids, seen_ids))
    tokens: list[dict[str, Any]] = []
    for place, (original, token) in enumerate(zip(originals, seen, strict=True)):
        told = {"original": original, "masked": place in chosen, "probability": round(float(probabilities[place]), 3)}
        tokens.append(told if token == original else told | {"sampled": token})
    rows = [tokens[first:last] for first, last in pairwise(batch.layout.offsets)]
    return [[token for token in row if token["original"] not in tokenizer.all_special_tokens] for row in rows]


def _answers(found: Output, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """What stands in the text after the generator, int64 [T], and how likely each token was replaced, float32 [T]."""
    if not isinstance(found, MaskedLanguageModelingOutput):
        return found.corrupted_ids, found.discriminator_logits.float().sigmoid().cpu()
    masked, logits = found.masked, found.generator_logits.float()
    of_original = logits.softmax(-1).gather(1, masked.original_ids[:, None]).squeeze(1)
    seen_ids = input_ids.index_copy(0, masked.positions, logits.argmax(-1))
    nothing = torch.zeros(len(input_ids), device=logits.device)
    return seen_ids, nothing.index_copy(0, masked.positions, 1 - of_original).cpu()


def write_samples(path: Path, step: int, rows: list[list[dict[str, Any]]]) -> None:
    """Write the file, whole or not at all."""
    write_text(path, json.dumps({"step": step, "rows": rows}, ensure_ascii=False) + "\n")
