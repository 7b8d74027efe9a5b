"""When a text is finished: ids [R, n] and the scores so far -> bool [R]."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from electra.generation.generation_plan import Plan

Criterion = Callable[[Tensor, Any], Any]
"""ids [R, n] and a tuple of scores [R, V], one for each new token, or None -> bool [R], or a bool for all rows"""


class Stopping:
    """Whether a row is finished by any of the plan's criteria or the caller's.

    Args:
        plan: how to generate.
        tokenizer: for `stop_strings`.
        further: the caller's criteria.

    Attributes:
        pads: whether finished rows are padded. Without a token that ends a text they continue, as in transformers.
    """

    def __init__(self, plan: Plan, tokenizer: Any, further: Sequence[Criterion]) -> None:
        self.max_length = plan.max_length
        self.criteria = list(further)
        self.pads = bool(plan.ends) or any(hasattr(criterion, "eos_token_id") for criterion in further)
        if plan.ends:
            ends = torch.tensor(plan.ends)
            self.criteria.append(lambda ids, scores: torch.isin(ids[:, -1], ends.to(ids.device)))
        if plan.options.max_time is not None:
            deadline = time.monotonic() + plan.options.max_time
            self.criteria.append(lambda ids, scores: time.monotonic() > deadline)
        if plan.options.stop_strings is not None:
            if tokenizer is None:
                raise ValueError("stop_strings need the tokenizer: generate(…, tokenizer=tokenizer)")
            texts = plan.options.stop_strings
            self.criteria.append(StopStrings(tokenizer, [texts] if isinstance(texts, str) else texts))

    def __call__(self, ids: Tensor, scores: tuple[Tensor, ...] | None) -> Tensor:
        finished = torch.full((ids.shape[0],), ids.shape[1] >= self.max_length, device=ids.device)
        for criterion in self.criteria:
            finished = finished | criterion(ids, scores)
        return finished


class StopStrings:
    """Whether a row's last token completes one of these strings; the token may be longer than the string's end."""

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.texts = texts
        self.longest = max(map(len, texts))
        self._pieces: dict[int, str] = {}

    def __call__(self, ids: Tensor, scores: Any) -> Tensor:
        # a token has at least one character, so earlier ones cannot be part of a string
        finished = [self._is_finished(row) for row in ids[:, -self.longest :].tolist()]
        return torch.tensor(finished, device=ids.device)

    def _is_finished(self, row: list[int]) -> bool:
        pieces = list(map(self._piece, row))
        text = "".join(pieces)
        return any(text.find(stop, max(0, len(text) - len(pieces[-1]) - len(stop) + 1)) >= 0 for stop in self.texts)

    def _piece(self, token: int) -> str:
        """What a token adds to a text, including the space before it."""
        if token not in self._pieces:
            word = self.tokenizer.unk_token
            (written,) = self.tokenizer.convert_ids_to_tokens([token])
            text = "" if written is None else self.tokenizer.convert_tokens_to_string([word, written])
            self._pieces[token] = text.removeprefix(word)
        return self._pieces[token]
