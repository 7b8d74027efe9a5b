"""Question answering by Google's head: the end depends on the start, and there may be no answer."""

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
from electra.nn.encoder import ModelOutput, Tensors
from electra.nn.heads import IGNORED
from electra.validation import is_number, require, require_count

# Google's defaults (configure_finetuning.py); a configuration may hold others under these names
_DEFAULTS: dict[str, Any] = {
    "joint_hidden_size": 512,
    "answerability": True,
    "answerability_weight": 0.5,
    "beam_size": 20,
}


@dataclass
class JointQuestionAnsweringOutput(ModelOutput):
    """Scores of one pass; C is `beam_size`, the number of best starts, and of best ends for each of them.

    `start_logits` [B, L].  `end_logits` [B, L]: given the true start; only if that is known.
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
    """Extractive question answering with Google's head: start, end given the start, and answerability (qa_tasks.py).

    A sequence is `[CLS] question [SEP] context [SEP]`; an answer lies in the tokens of type 1, or at [CLS] if there is
    none. transformers has no such class. The configuration may hold `joint_hidden_size` (512), `answerability` (True:
    score whether there is an answer), `answerability_weight` (0.5, of that in the loss) and `beam_size` (20).

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForJointQuestionAnswering
        >>> model = ElectraForJointQuestionAnswering(ElectraConfig.preset("tiny", beam_size=2)).eval()
        >>> input_ids = torch.tensor([[101, 2040, 102, 2198, 3478, 102]])
        >>> output = model(input_ids, token_type_ids=torch.tensor([[0, 0, 0, 1, 1, 1]]))
        >>> output.start_top_index.shape, output.end_top_index.shape, output.impossible_logits.shape
        (torch.Size([1, 2]), torch.Size([1, 2, 2]), torch.Size([1]))
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
        """Score starts, and ends given the true start or given each of the best starts.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            start_positions: int64 [B], the true columns: 0 where there is no answer, -100 where none counts. Give both
                or neither. With them `end_logits` are given the true start, without them there are the best starts and
                ends.
            end_positions: as `start_positions`.
            is_impossible: int64 [B], 1 where there is no answer, -100 where it does not count.
            beam_size: how many starts and ends to return, at most L. Default: the configuration's.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are positions: the mean over the sequences (Google's code minimises their sum);
            `start_logits` [B, L] and the others of `JointQuestionAnsweringOutput`, whose docstring has the shapes;
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
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
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
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
        """Scores of each token as the end of an answer, for each of C starts: [B, L, H], [B, C] -> [B, C, L].

        The first layer reads both vectors; it is applied to each alone, L + C times and not L * C.
        """
        width = hidden.shape[-1]
        for_start, for_end = self.end_hidden.weight[:, :width], self.end_hidden.weight[:, width:]
        start_states = hidden.gather(1, starts[:, :, None].expand(-1, -1, width))
        both = F.linear(start_states, for_start)[:, :, None] + F.linear(hidden, for_end, self.end_hidden.bias)[:, None]
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
        """Answerability, from the first token and the expected start: [B, L, H], [B, L] -> [B]."""
        expected = (start.softmax(-1)[:, :, None] * hidden).sum(1)
        scores: Tensor = self.answerable(F.gelu(self.answerable_hidden(torch.cat([hidden[:, 0], expected], -1))))
        return scores.squeeze(-1)

    def _loss(self, values: dict[str, Any], starts: Tensor, ends: Tensor, impossible: Tensor | None) -> Tensor:
        """The losses of start, end and answerability, averaged over the sequences: []."""
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
    """What is added to a token's scores: 0 where an answer may start and end, -1000 where not: [B, L]."""
    real = call.layout.real_tokens()
    inside = call.batch.token_type_ids == 1
    if real is not None:
        inside = inside & real
    allowed = call.layout.pad(inside).clone()
    allowed[:, 0] = True
    return 1000 * (allowed.to(dtype) - 1)


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest scores of the last dimension and their indices; of equal ones the first, as in TensorFlow."""
    ordered, indices = scores.sort(stable=True, dim=-1, descending=True)
    return ordered[..., :count], indices[..., :count]


def _check(options: dict[str, Any]) -> None:
    """Refuse invalid options of the configuration or of a call."""
    for name in ("joint_hidden_size", "beam_size"):
        require_count(name, options.get(name, 1))
    weight = options.get("answerability_weight", 0.0)
    require(is_number(weight) and weight >= 0, "answerability_weight", weight, "a number, 0 or above")
    answerability = options.get("answerability", True)
    require(isinstance(answerability, bool), "answerability", answerability, "True or False")
