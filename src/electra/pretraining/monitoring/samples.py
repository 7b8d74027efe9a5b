"""Held-out text as both networks see it, for the report: `samples.json` in the run folder"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from electra.data.dataset.batches import MaskedBatch
from electra.files.atomic import write_text
from electra.objective.masked_language_modeling import MaskedLanguageModelingOutput
from electra.pretraining.networks import Networks, Output
from electra.text.tokenizer import ElectraTokenizer

SAMPLES = 8  # sequences that are kept


@torch.no_grad()
def sample_rows(networks: Networks, example: MaskedBatch, tokenizer: ElectraTokenizer) -> list[list[dict[str, Any]]]:
    """A masked batch -> for each sequence its tokens, each with `original`, `masked`, `probability` of being replaced.

    A token that the generator replaced has `sampled` too. Without a discriminator, `sampled` is the likeliest token if
    it differs, and `probability` that of all tokens but the original. Special tokens are left out.
    """
    batch, masked = example
    output = networks(batch, masked=masked)
    seen_ids, probabilities = _replacements(output, batch.input_ids)
    masked_positions = set(masked.positions[masked.weights > 0].tolist())
    originals, seen = (tokenizer.convert_ids_to_tokens(ids.tolist()) for ids in (batch.input_ids, seen_ids))
    tokens: list[dict[str, Any]] = []
    for place, (original, token) in enumerate(zip(originals, seen, strict=True)):
        shown = {
            "original": original,
            "masked": place in masked_positions,
            "probability": round(float(probabilities[place]), 3),
        }
        tokens.append(shown if token == original else shown | {"sampled": token})
    rows = [tokens[first:last] for first, last in pairwise(batch.layout.offsets)]
    return [[token for token in row if token["original"] not in tokenizer.all_special_tokens] for row in rows]


def _replacements(output: Output, input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """The text after the generator, int64 [T], and the probability that each token was replaced, float32 [T]."""
    if not isinstance(output, MaskedLanguageModelingOutput):
        return output.corrupted_ids, output.discriminator_logits.float().sigmoid().cpu()
    masked, logits = output.masked, output.generator_logits.float()
    of_original = logits.softmax(-1).gather(1, masked.original_ids[:, None]).squeeze(1)
    seen_ids = input_ids.index_copy(0, masked.positions, logits.argmax(-1))
    nothing = torch.zeros(len(input_ids), device=logits.device)
    return seen_ids, nothing.index_copy(0, masked.positions, 1 - of_original).cpu()


def write_samples(path: Path, step: int, rows: list[list[dict[str, Any]]]) -> None:
    """Write samples.json."""
    write_text(path, json.dumps({"step": step, "rows": rows}, ensure_ascii=False) + "\n")
