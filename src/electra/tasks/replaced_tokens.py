"""Replaced-token detection: which tokens of a text does the discriminator take for a generator's?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import nn

from electra.batch import Batch
from electra.tasks.inputs.texts import read_single_text
from electra.tasks.inputs.token_offsets import EncodedTokens, in_windows, tokenize
from electra.tasks.task import Task, of_each


@dataclass(frozen=True, kw_only=True)
class ReplacedTokens(Task[EncodedTokens]):
    """A text -> for each of its tokens `{"token", "start", "end", "score", "replaced"}`.

    `start` and `end` are characters of the text, `score` is the probability that the token was replaced. A text longer
    than the model is read in overlapping windows, so no token is left out.

    Attributes:
        threshold: the score from which on a token counts as replaced, 0 to 1.
        stride: how many tokens neighbouring windows of a long text share; None: a quarter of a window.
    """

    name: ClassVar[str] = "replaced-token-detection"
    architecture: ClassVar[str] = "ElectraForPreTraining"

    threshold: float = 0.5
    stride: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold={self.threshold}: a probability, from 0 to 1")

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedTokens]:
        found = tokenize(of_each(read_single_text, examples), tokenizer)
        return [in_windows(tokens, tokenizer, self.max_length, self.stride) for tokens in found]

    def infer(self, model: nn.Module, batch: Batch) -> list[np.ndarray]:
        """[row's tokens] for each row: the probabilities, float32."""
        scores = model(batch).logits.float().sigmoid().cpu()
        return [row.numpy() for row in batch.layout.split(scores)]

    def decode(self, encoded: EncodedTokens, outputs: Sequence[np.ndarray], tokenizer: Any) -> list[dict[str, Any]]:
        scores = encoded.merge(outputs).tolist()
        names = tokenizer.convert_ids_to_tokens(list(encoded.tokens.ids))
        return [
            {"token": name, "start": start, "end": end, "score": score, "replaced": score >= self.threshold}
            for name, (start, end), score in zip(names, encoded.tokens.spans, scores, strict=True)
        ]
