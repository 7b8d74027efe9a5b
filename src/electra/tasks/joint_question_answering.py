"""Question answering with Google's joint head: P(end | start), and a score for there being no answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from electra.batch import Batch
from electra.tasks.labelled_task import TrainingBatch, TrainingItem
from electra.tasks.outputs.spans import Span
from electra.tasks.question_answering import SMALLEST, QuestionAnswering

NO_ANSWER_THRESHOLD = -2.75
"""Google's qa_na_threshold, for the logit of there being no answer (configure_finetuning.py)."""


@dataclass(frozen=True)
class Beams:
    """The head's output for a sequence: spans `first`, `last`, `score` [n], and the probability of no answer."""

    first: np.ndarray
    last: np.ndarray
    score: np.ndarray
    impossible: float


@dataclass(frozen=True, kw_only=True)
class JointQuestionAnswering(QuestionAnswering):
    """Question answering with Google's joint head: the score is P(answerable) P(start) P(end | start).

    Only spans that start at one of the `beam_size` best starts, and end at one of its best ends, are considered
    (google-research/electra finetune/qa/qa_tasks.py). The score of no answer is the head's own, of the window that most
    probably has an answer; 0 for a head that does not compute it.

    Returns:
        dict | list[dict]: as `QuestionAnswering`.

    Attributes:
        no_answer_threshold: for the head's logit of there being no answer. Default: as fine-tuning chose it; for
            scores else Google's -2.75.
    """

    aliases: ClassVar[tuple[str, ...]] = ("joint-question-answering",)
    architecture: ClassVar[str] = "ElectraForJointQuestionAnswering"
    default_threshold: ClassVar[float] = NO_ANSWER_THRESHOLD

    def infer(self, model: nn.Module, batch: Batch) -> list[Any]:
        """The beams of each sequence."""
        output = model(batch)
        scores = (output.start_top_log_probs[:, :, None] + output.end_top_log_probs).float().exp().cpu().numpy()
        firsts = output.start_top_index[:, :, None].expand_as(output.end_top_index).cpu().numpy()
        lasts = output.end_top_index.cpu().numpy()
        logits = output.impossible_logits
        impossible = [0.0] * len(scores) if logits is None else logits.float().sigmoid().tolist()
        return [
            Beams(first.ravel(), last.ravel(), score.ravel() * (1 - nothing), nothing)
            for first, last, score, nothing in zip(firsts, lasts, scores, impossible, strict=True)
        ]

    def best(self, output: Any, context: slice, count: int) -> tuple[float, list[Span]]:
        first, last = output.first - context.start, output.last - context.start
        inside = (first >= 0) & (last < context.stop - context.start)
        allowed = np.flatnonzero(inside & (last >= first) & (last - first < self.max_answer_len))
        best = allowed[np.lexsort((last[allowed], first[allowed], -output.score[allowed]))][:count]
        spans = [Span(int(first[i]), int(last[i]), float(output.score[i])) for i in best]
        return output.impossible, spans

    def no_answer_odds(self, impossible: float, best: float) -> float:
        """The head's own logit."""
        return math.log(max(impossible, SMALLEST)) - math.log(max(1 - impossible, SMALLEST))

    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """Labels: `start_positions`, `end_positions`, and `is_impossible` of the question, int64 [B]."""
        labels = torch.tensor([item.labels for item in items]).unbind(-1)
        names = ("start_positions", "end_positions", "is_impossible")
        return TrainingBatch.of(items, dict(zip(names, labels, strict=True)))
