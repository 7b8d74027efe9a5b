"""The head with which Google's code answers questions: the end depends on the start, and there may be no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.electra_model import Call, ElectraModel, HiddenStates
from electra.nn.losses import IGNORED
from electra.nn.outputs import ModelOutput, Tensors

# Google's defaults, configure_finetuning.py; a configuration may say otherwise under these names
_DEFAULTS: dict[str, Any] = {
    "joint_hidden_size": 512,
    "answerability": True,
    "answerability_weight": 0.5,
    "beam_size": 20,
}


@dataclass
class JointQuestionAnsweringOutput(ModelOutput):
    """Scores of one pass; C are the `beam_size` best starts, and for each of them the best ends.

    `start_logits` [B, L].  `end_logits` [B, L]: given the true start; only where that is known.
    `start_top_log_probs`, `start_top_index` [B, C], the best first; `end_top_log_probs`, `end_top_index` [B, C, C].
    `impossible_logits` [B]: above 0, the text has no answer.
    """

    loss: Tensor | None = None
    start_logits: Tensor | None = None
    end_logits: Tensor | None = None
    start_top_log_probs: Tensor | None = None
    start_top_index: Tensor | None = None
    end_top_log_probs: Tensor | None = None
    end_top_index: Tensor | None = None
    impossible_logits: Tensor | None = None
    hidden_states: Tensors | None = None
    attentions: Tensors | None = None


class ElectraForJointQuestionAnswering(ElectraPreTrainedModel):
    """Where the answer begins, where it ends if it begins there, and whether there is one (qa_tasks.py).

    A row is `[CLS] question [SEP] context [SEP]`, and an answer lies in the tokens of type 1, or at [CLS]. transformers
    has no such class. The configuration may hold `joint_hidden_size` (512), `answerability` (True: judge whether there
    is an answer), `answerability_weight` (0.5, of that in the loss) and `beam_size` (20).
    """

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.options = {name: getattr(config, name, value) for name, value in _DEFAULTS.items()}
        _check(self.options)
        width, inner = config.hidden_size, self.options["joint_hidden_size"]
        self.electra = ElectraModel(config)
        self.start = nn.Linear(width, 1)
        self.end_hidden = nn.Linear(2 * width, inner)
        self.end = nn.Linear(inner, 1)
        if self.options["answerability"]:
            self.answerable_hidden = nn.Linear(2 * width, inner)
            self.answerable = nn.Linear(inner, 1)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        is_impossible: Tensor | None = None,
        *,
        beam_size: int | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> JointQuestionAnsweringOutput | tuple[Any, ...]:
        """start_positions, end_positions: [B], columns of the row, -100 not counted; 0 where there is no answer.

        is_impossible: [B], 1 where there is no answer, -100 not counted. beam_size: how many starts and ends to return
        (default: the configuration's; at most L). With positions the end is that of the true start, without them that
        of each of the best starts. The loss is the rows' mean; Google's code minimises their sum.
        """
        if (start_positions is None) != (end_positions is None):
            raise ValueError("start_positions and end_positions belong together: give both, or neither")
        if is_impossible is not None and start_positions is None:
            raise ValueError("is_impossible goes with start_positions and end_positions: give all three")
        if is_impossible is not None and not self.options["answerability"]:
            raise ValueError(
                "is_impossible was given, and this network does not judge it: its configuration has answerability=False"
            )
        beam = self.options["beam_size"] if beam_size is None else beam_size
        _check({"beam_size": beam})
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        rows, longest = call.layout.rows, call.layout.longest
        starts = call.per_row("start_positions", start_positions, rows, longest)
        ends = call.per_row("end_positions", end_positions, rows, longest)
        impossible = call.per_row("is_impossible", is_impossible, rows, 2)
        hidden = call.layout.pad(call.encode())
        closed = _closed(call, hidden.dtype)
        start = self.start(hidden).squeeze(-1) + closed
        values: dict[str, Any] = {"start_logits": start}
        if starts is None or ends is None:
            values |= self._search(hidden, start, closed, min(beam, longest))
        else:
            values["end_logits"] = self._ends(hidden, starts.clamp(min=0)[:, None])[:, 0] + closed
        if self.options["answerability"]:
            values["impossible_logits"] = self._impossible(hidden, start)
        if starts is not None and ends is not None:
            values["loss"] = self._loss(values, starts, ends, impossible)
        return call.output(JointQuestionAnsweringOutput, **values)

    def _ends(self, hidden: Tensor, starts: Tensor) -> Tensor:
        """How well each token ends an answer that begins at each of C starts: [B, L, H], [B, C] -> [B, C, L]

        The first layer reads both vectors; it is applied to each alone, L + C times and not L * C.
        """
        width = hidden.shape[-1]
        of_start, of_end = self.end_hidden.weight[:, :width], self.end_hidden.weight[:, width:]
        chosen = hidden.gather(1, starts[:, :, None].expand(-1, -1, width))
        both = F.linear(chosen, of_start)[:, :, None] + F.linear(hidden, of_end, self.end_hidden.bias)[:, None]
        scores: Tensor = self.end(F.gelu(both))
        return scores.squeeze(-1)

    def _search(self, hidden: Tensor, start: Tensor, closed: Tensor, beam: int) -> dict[str, Tensor]:
        """The best starts and for each the best ends, by name."""
        start_scores, starts = _best(start.log_softmax(-1), beam)
        end_scores, ends = _best((self._ends(hidden, starts) + closed[:, None]).log_softmax(-1), beam)
        return {
            "start_top_log_probs": start_scores,
            "start_top_index": starts,
            "end_top_log_probs": end_scores,
            "end_top_index": ends,
        }

    def _impossible(self, hidden: Tensor, start: Tensor) -> Tensor:
        """From the first token and from where an answer would begin: [B, L, H], [B, L] -> [B]"""
        begun = (start.softmax(-1)[:, :, None] * hidden).sum(1)
        scores: Tensor = self.answerable(F.gelu(self.answerable_hidden(torch.cat([hidden[:, 0], begun], -1))))
        return scores.squeeze(-1)

    def _loss(self, values: dict[str, Any], starts: Tensor, ends: Tensor, impossible: Tensor | None) -> Tensor:
        """The rows' mean of what start, end and answerability cost: []"""
        parts = ((values["start_logits"], starts), (values["end_logits"], ends))
        costs = [F.cross_entropy(logits, gold, ignore_index=IGNORED, reduction="none") for logits, gold in parts]
        total = (costs[0] + costs[1]) / 2
        if impossible is not None:
            counts = impossible != IGNORED
            logits = values["impossible_logits"]
            cost = F.binary_cross_entropy_with_logits(logits, impossible.to(logits.dtype), reduction="none")
            total = total + self.options["answerability_weight"] * cost.where(counts, 0)
        return total.mean()


def _closed(call: Call, dtype: torch.dtype) -> Tensor:
    """What is added to a token's scores: 0 where an answer may begin and end, -1000 where not: [B, L]"""
    real = call.layout.real_tokens()
    inside = call.batch.token_type_ids == 1
    if real is not None:
        inside = inside & real
    allowed = call.layout.pad(inside).clone()
    allowed[:, 0] = True
    return 1000 * (allowed.to(dtype) - 1)


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest of the last dimension and their places; of equal ones the first comes first, as in TensorFlow."""
    ordered, places = scores.sort(stable=True, dim=-1, descending=True)
    return ordered[..., :count], places[..., :count]


def _check(options: dict[str, Any]) -> None:
    """Refuse options of the configuration, or of a call, that no head has."""
    for name in ("joint_hidden_size", "beam_size"):
        value = options.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ValueError(f"{name} is {value!r}: it must be a whole number above 0")
    weight = options.get("answerability_weight", 0.0)
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight < 0:
        raise ValueError(f"answerability_weight is {weight!r}: it must be a number, 0 or above")
    if not isinstance(options.get("answerability", True), bool):
        raise ValueError(f"answerability is {options['answerability']!r}: it must be True or False")
