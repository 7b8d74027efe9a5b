"""Feature extraction: the encoder's vector for every token of a text."""

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
    """A text -> its tokens' vectors, `[1][tokens][hidden_size]`, [CLS] and [SEP] included.

    Attributes:
        truncation: what to do with a text longer than `max_length`: True cuts it, False is an error.
        return_tensors: answer with a float32 tensor `[1, tokens, hidden_size]` in place of nested lists.
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
        """[row's tokens, H] for each row, float32."""
        encoder = getattr(model, "electra", model)  # a model with a head has the encoder under this name
        hidden = encoder(batch).last_hidden_state.float().cpu()
        return [row.numpy() for row in batch.layout.split(hidden)]

    def decode(self, encoded: Encoded, outputs: Sequence[np.ndarray], tokenizer: Any) -> Any:
        (hidden,) = outputs
        return torch.from_numpy(hidden.copy())[None] if self.return_tensors else [hidden.tolist()]
