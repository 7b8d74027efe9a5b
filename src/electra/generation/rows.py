"""One text for each row: the likeliest token at each step, or one that is drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from electra.generation.generation_outputs import GenerateDecoderOnlyOutput, Kept
from electra.generation.generation_plan import Plan
from electra.generation.stopping import Stopping


class Rows:
    """Texts that grow by a token each, until all are finished.

    Attributes:
        ids: int64 [R, n].
        done: whether all are finished.
        parents: None: each text goes on from itself.
    """

    parents: Tensor | None = None

    def __init__(self, ids: Tensor, plan: Plan, stopping: Stopping) -> None:
        self.ids = ids
        self.plan = plan
        self.stopping = stopping
        self.done = False
        self._open = torch.ones(ids.shape[0], dtype=torch.bool, device=ids.device)

    def weigh(self, logits: Tensor) -> Tensor:
        """The scores that the rules work on: [R, V] -> [R, V]"""
        return logits

    def advance(self, scores: Tensor, kept: Kept) -> None:
        """Choose a token for each row by its scores [R, V]."""
        if self.plan.sampled:
            tokens = torch.multinomial(scores.softmax(-1), 1)[:, 0]
        else:
            tokens = scores.argmax(-1)
        if self.stopping.pads and self.plan.pad is not None:
            tokens = tokens.where(self._open, self.plan.pad)
        self.ids = torch.cat((self.ids, tokens[:, None]), 1)
        self._open = self._open & ~self.stopping(self.ids, kept.scores)
        self.done = not self._open.any()

    def output(self, kept: Kept) -> GenerateDecoderOnlyOutput:
        return GenerateDecoderOnlyOutput(
            self.ids, kept.scores, kept.logits, kept.attentions, kept.hidden_states, kept.past_key_values
        )
