"""Feature extraction: the encoder's hidden state of every token of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from electra.batch import Batch
from electra.tasks.inputs.texts import check_truncation, encode_texts, read_text
from electra.tasks.task import Encoded, Task, of_each


@dataclass(frozen=True, kw_only=True)
class FeatureExtraction(Task[Encoded]):
    """Compute the encoder's hidden states of a text.

    An example is a string, or a dict with `text` and, for a pair, `text_pair`.

    Returns:
        list | torch.Tensor: nested lists `[1][tokens][hidden_size]`, [CLS] and [SEP] included; with `return_tensors` a
            float32 tensor `[1, tokens, hidden_size]`.

    Attributes:
        max_length: the longest sequence in tokens. Default: as the model was fine-tuned, else what it reads.
        truncation: for a text longer than `max_length`: True, "longest_first", "only_first" and "only_second" truncate
            it, False raises an error.
        return_tensors: return a tensor in place of nested lists.
    """

    name: ClassVar[str] = "feature-extraction"
    architecture: ClassVar[str] = "ElectraModel"

    truncation: bool | str = True
    return_tensors: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_truncation(self.truncation)

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[Encoded]:
        return encode_texts(of_each(read_text, examples), tokenizer, self.max_length, self.truncation)

    def infer(self, model: nn.Module, batch: Batch) -> list[np.ndarray]:
        """[sequence's tokens, H] for each sequence, float32."""
        encoder = getattr(model, "electra", model)  # a model with a head has the encoder under this name
        hidden = encoder(batch).last_hidden_state.float().cpu()
        return [row.numpy() for row in batch.layout.split(hidden)]

    def decode(self, encoded: Encoded, outputs: Sequence[np.ndarray], tokenizer: Any) -> Any:
        (hidden,) = outputs
        return torch.from_numpy(hidden.copy())[None] if self.return_tensors else [hidden.tolist()]
