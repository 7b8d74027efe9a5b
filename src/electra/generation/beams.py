"""Beam search: for each prompt the likeliest few texts, all continued together.

The algorithm is that of transformers 5.23, to the order of ties and the ends that it takes: it looks at so many
candidates of every prompt that the beams can continue even if each possible end is among the best, and only the best of
them may finish a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from electra.generation.generation_outputs import GenerateBeamDecoderOnlyOutput, Record
from electra.generation.generation_plan import Plan
from electra.generation.stopping import Stopping

WORST = -1e9
"""A log probability that no text has."""


@dataclass(frozen=True)
class Texts:
    """K texts of each of B prompts, all of n columns.

    Attributes:
        ids: int64 [B, K, n].
        scores: log probabilities [B, K]; with the length penalty if the texts are finished.
        beams: the row of the network's batch in which each new token was chosen, int32 [B, K, new tokens]; -1: none.
    """

    ids: Tensor
    scores: Tensor
    beams: Tensor

    def take(self, order: Tensor) -> Texts:
        """The texts at the indices int64 [B, K']."""
        return Texts(_take(self.ids, order), _take(self.scores, order), _take(self.beams, order))

    def append(self, tokens: Tensor, beams: Tensor) -> Texts:
        """One more column: both [B, K]."""
        longer = torch.cat((self.beams, beams[..., None].int()), -1)
        return Texts(torch.cat((self.ids, tokens[..., None]), -1), self.scores, longer)

    def join(self, others: Texts) -> Texts:
        """These and others, along K."""
        pairs = ((self.ids, others.ids), (self.scores, others.scores), (self.beams, others.beams))
        return Texts(*(torch.cat(pair, 1) for pair in pairs))


def _take(values: Tensor, order: Tensor) -> Tensor:
    """[B, K, …] and int64 [B, K'] -> [B, K', …]"""
    return torch.take_along_dim(values, order[..., None] if values.dim() == 3 else order, 1)


class Beams:
    """The running and the finished texts of every prompt.

    Args:
        ids: int64 [B * K, n], every prompt K times.
        plan: how to generate.
        stopping: when a text is finished.

    Attributes:
        done: whether the search is over.
        parents: int64 [B * K], the row that each running text continues.
    """

    def __init__(self, ids: Tensor, plan: Plan, stopping: Stopping) -> None:
        self.plan = plan
        self.stopping = stopping
        self.done = False
        self.parents: Tensor | None = None
        ids = ids.view(len(ids) // plan.beams, plan.beams, ids.shape[1])
        scores = torch.zeros(ids.shape[:2], device=ids.device)
        none = torch.empty(*ids.shape[:2], 0, dtype=torch.int32, device=ids.device)
        # all beams of a prompt are equal at first: without this, the same text would be found K times
        self.running = Texts(ids, scores.index_fill(1, torch.arange(1, plan.beams, device=ids.device), WORST), none)
        self.finished = Texts(ids, torch.full_like(scores, WORST), none)
        self._is_finished = torch.zeros_like(scores, dtype=torch.bool)
        self._can_improve = torch.ones_like(scores[:, :1], dtype=torch.bool)

    @property
    def ids(self) -> Tensor:
        """The running texts: int64 [B * K, n]"""
        return self.running.ids.flatten(0, 1)

    def weigh(self, logits: Tensor) -> Tensor:
        """The scores that the rules are applied to: [B * K, V] -> [B * K, V]."""
        return logits.log_softmax(-1)

    def advance(self, scores: Tensor, record: Record) -> None:
        """Choose the best continuations by the scores [B * K, V] of every beam's next token."""
        candidates = self._candidates(scores.view(*self.running.scores.shape, -1))
        stopped = self.stopping(candidates.ids.flatten(0, 1), record.scores).view_as(candidates.scores)
        continued = candidates.scores + stopped * WORST
        best = continued.topk(self.plan.beams).indices
        self._finish(candidates, stopped)
        self.running = Texts(candidates.ids, continued, candidates.beams).take(best)
        self.parents = self.running.beams[..., -1].flatten().long()
        # once no running text can beat the finished ones, none ever will: scores only fall
        self._can_improve = self._can_improve & self._may_beat_the_finished()
        enough = self._is_finished.all() & (self.plan.options.early_stopping is True)
        self.done = bool(enough | stopped.all() | ~self._can_improve.any())

    def _candidates(self, scores: Tensor) -> Texts:
        """[B, K, V] -> the best texts of one more token, or sampled ones."""
        beams, vocabulary = scores.shape[1:]
        totals = (scores + self.running.scores[..., None]).flatten(1)
        # so many that the beams can continue even if every beam's candidates include each possible end
        count = max(2, 1 + len(self.plan.ends)) * beams
        if self.plan.sampled:
            indices = torch.multinomial(totals.softmax(-1), count)
        else:
            indices = totals.topk(count).indices
        parents = indices // vocabulary
        # the row of a prompt's first beam in the network's batch
        first = torch.arange(len(scores), device=scores.device)[:, None] * beams
        longer = self.running.take(parents).append(indices % vocabulary, parents + first)
        return Texts(longer.ids, totals.gather(1, indices), longer.beams)

    def _finish(self, candidates: Texts, stopped: Tensor) -> None:
        """Add the finished ones of the best candidates to the finished texts, of which the best K stay."""
        beams = self.plan.beams
        # only the best K may end a text; worse candidates are there so that the beams can continue
        ending = stopped & (torch.arange(stopped.shape[1], device=stopped.device) < beams)
        scores = candidates.scores / self._new_tokens(candidates) ** self._length_penalty
        full = self._is_finished.all(-1, keepdim=True) & (self.plan.options.early_stopping is True)
        scores = scores + (full | ~self._can_improve) * WORST + ~ending * WORST
        column = torch.zeros_like(self.finished.scores, dtype=torch.int64)
        # finished texts are a column shorter than the candidates
        padded = self.finished.append(column + self._padding(), column - 1)
        both = padded.join(Texts(candidates.ids, scores, candidates.beams))
        best = both.scores.topk(beams).indices
        self.finished = both.take(best)
        self._is_finished = _take(torch.cat((self._is_finished, ending), 1), best)

    def _may_beat_the_finished(self) -> Tensor:
        """Whether a prompt's best running text could still become better than its worst finished one: bool [B, 1]."""
        length: int = self._new_tokens(self.running)
        if self.plan.options.early_stopping == "never" and self._length_penalty > 0:
            length = self.plan.max_length - self.plan.prompt_columns
        best = self.running.scores[:, :1] / length**self._length_penalty
        worst = self.finished.scores.amin(-1, keepdim=True)
        better: Tensor = best > torch.where(self._is_finished, worst, WORST)
        return better.any(-1, keepdim=True)

    @property
    def _length_penalty(self) -> float:
        penalty = self.plan.options.length_penalty
        return 1.0 if penalty is None else penalty

    def _new_tokens(self, texts: Texts) -> int:
        return texts.ids.shape[2] - self.plan.prompt_columns

    def _padding(self) -> int:
        """What follows a finished text: as in transformers, the end token where the padding token is 0."""
        return self.plan.pad or (self.plan.ends[0] if self.plan.ends else 0)

    def output(self, record: Record) -> GenerateBeamDecoderOnlyOutput:
        """The best texts of every prompt, truncated to the longest of them."""
        best = [values[:, : self.plan.answers].flatten(0, 1) for values in vars(self.finished).values()]
        ids, scores, beams = best
        longest = int((beams >= 0).sum(1).max())
        extra: dict[str, Any] = {} if record.scores is None else {"sequences_scores": scores}
        return GenerateBeamDecoderOnlyOutput(
            sequences=ids[:, : self.plan.prompt_columns + longest],
            beam_indices=beams[:, :longest],
            scores=record.scores,
            logits=record.logits,
            attentions=record.attentions,
            hidden_states=record.hidden_states,
            past_key_values=record.past_key_values,
            **extra,
        )
