"""Replaced-token detection: which tokens of a text were replaced, according to the discriminator?"""

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
from electra.validation import require_fraction


@dataclass(frozen=True, kw_only=True)
class ReplacedTokens(Task[EncodedTokens]):
    """Detect replaced tokens, with a discriminator.

    An example is a string. A text longer than the model reads is split into overlapping windows, so that every token
    gets a score.

    Returns:
        list[dict]: for each token `{"token", "start", "end", "score", "replaced"}`. `start` and `end` are characters of
            the text, `score` is the probability that the token was replaced.

    Attributes:
        max_length: the longest sequence in tokens. Default: what the model reads.
        threshold: tokens with at least this score count as replaced, 0 to 1.
        stride: how many tokens neighbouring windows of a long text share. Default: a quarter of a window.
    """

    name: ClassVar[str] = "replaced-token-detection"
    architecture: ClassVar[str] = "ElectraForPreTraining"

    threshold: float = 0.5
    stride: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction("threshold", self.threshold)

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedTokens]:
        texts = of_each(read_single_text, examples)
        return [in_windows(tokens, tokenizer, self.max_length, self.stride) for tokens in tokenize(texts, tokenizer)]

    def infer(self, model: nn.Module, batch: Batch) -> list[np.ndarray]:
        """[sequence's tokens] for each sequence: probabilities, float32."""
        scores = model(batch).logits.float().sigmoid().cpu()
        return [row.numpy() for row in batch.layout.split(scores)]

    def decode(self, encoded: EncodedTokens, outputs: Sequence[np.ndarray], tokenizer: Any) -> list[dict[str, Any]]:
        scores = encoded.merge(outputs).tolist()
        names = tokenizer.convert_ids_to_tokens(list(encoded.tokens.ids))
        return [
            {"token": name, "start": start, "end": end, "score": score, "replaced": score >= self.threshold}
            for name, (start, end), score in zip(names, encoded.tokens.spans, scores, strict=True)
        ]
