"""Heads that are fine-tuned: a label for the row, for every token, for a span, for a choice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.electra_model import Call, ElectraModel, HiddenStates
from electra.nn.arguments import check_finite, check_range, check_shape, check_tensor
from electra.nn.heads import ElectraClassificationHead, ElectraSequenceSummary, classifier_dropout, span_scores
from electra.nn.losses import problem_type_of, row_loss, span_loss, token_loss
from electra.nn.outputs import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)


class ElectraForSequenceClassification(ElectraPreTrainedModel):
    """One label for a text or a pair; several, or a number, by `config.problem_type`."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.electra = ElectraModel(config)
        self.classifier = ElectraClassificationHead(config)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """labels: [B] class or number, or [B, K] of 0 and 1. Where the config gives no problem_type they decide."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        kind = None if labels is None else self._problem_type(call, labels)
        scores = self.classifier(call.encode_first())
        loss = None if labels is None or kind is None else row_loss(scores, labels, kind)
        return call.output(SequenceClassifierOutput, loss=loss, logits=scores)

    def _problem_type(self, call: Call, labels: Tensor) -> str:
        """What the labels are, where the configuration does not say; they are checked for it."""
        check_tensor("labels", labels, call.batch.device)
        rows, count = call.layout.rows, self.config.num_labels
        kind = self.config.problem_type or problem_type_of(labels, count)
        if kind == "single_label_classification":
            call.per_row("labels", labels, rows, count)
            return kind
        # one number for each output; [B] where there is one output
        check_shape("labels", labels, (rows, count), *([(rows,)] if count == 1 else []))
        if kind == "multi_label_classification":
            check_range("labels", labels, 2)
        else:
            check_finite("labels", labels)
        return kind


class ElectraForTokenClassification(ElectraPreTrainedModel):
    """A label for every token."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.electra = ElectraModel(config)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """labels: [B, L] or [T], -100 not counted."""
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        flat = call.per_token("labels", labels, self.config.num_labels)
        scores = self.classifier(self.dropout(call.encode()))
        loss = None if flat is None else token_loss(scores, flat)
        return call.output(TokenClassifierOutput, loss=loss, logits=call.layout.unflatten(scores))


class ElectraForQuestionAnswering(ElectraPreTrainedModel):
    """Where the answer begins and ends."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        if config.num_labels != 2:
            raise ValueError(
                f"num_labels is {config.num_labels}: question answering has 2, the span's start and its end"
            )
        self.num_labels = config.num_labels
        self.electra = ElectraModel(config)
        self.qa_outputs = nn.Linear(config.hidden_size, config.num_labels)
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
        *,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringModelOutput | tuple[Any, ...]:
        """start_positions, end_positions: [B], columns of the row; one outside the row does not count."""
        if (start_positions is None) != (end_positions is None):
            raise ValueError("start_positions and end_positions belong together: give both, or neither")
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        layout = call.layout
        starts = call.per_row("start_positions", start_positions, layout.rows)
        ends = call.per_row("end_positions", end_positions, layout.rows)
        start, end = span_scores(self.qa_outputs(call.encode()))
        loss = None if starts is None or ends is None else span_loss(start, end, starts, ends, layout)
        return call.output(
            QuestionAnsweringModelOutput,
            loss=loss,
            start_logits=layout.unflatten(start),
            end_logits=layout.unflatten(end),
        )


class ElectraForMultipleChoice(ElectraPreTrainedModel):
    """Which of C choices fits: each is a row of its own."""

    def __init__(self, config: ElectraConfig) -> None:
        super().__init__(config)
        self.electra = ElectraModel(config)
        self.sequence_summary = ElectraSequenceSummary(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | Batch | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        num_choices: int | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: HiddenStates = None,
        return_dict: bool | None = None,
    ) -> MultipleChoiceModelOutput | tuple[Any, ...]:
        """Ids, mask, types and positions: [B, C, L], vectors [B, C, L, E]; or a Batch of B * C rows and `num_choices`.

        labels: [B], the right choice.
        """
        if isinstance(input_ids, Batch):
            if num_choices is None:
                raise ValueError("a Batch does not say how many of its rows are one question's: give num_choices")
            choices = num_choices
        else:
            questions, choices = _questions_and_choices(input_ids, inputs_embeds)
            input_ids, inputs_embeds = (None if t is None else t.flatten(0, 1) for t in (input_ids, inputs_embeds))
            attention_mask = _rows("attention_mask", attention_mask, questions, choices)
            token_type_ids = _rows("token_type_ids", token_type_ids, questions, choices)
            position_ids = _rows("position_ids", position_ids, questions, choices)
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        wanted = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(given, wanted)
        rows = call.layout.rows
        if choices < 1 or rows % choices:
            raise ValueError(
                f"num_choices={choices}: {rows} rows are no whole number of questions with so many choices"
            )
        right = call.per_row("labels", labels, rows // choices, choices)
        scores = self.classifier(self.sequence_summary(call.encode(), call.layout)).view(-1, choices)
        loss = None if right is None else token_loss(scores, right)
        return call.output(MultipleChoiceModelOutput, loss=loss, logits=scores)


def _questions_and_choices(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> tuple[int, int]:
    """How many questions a grid has, and how many choices each."""
    for name, given, dims in (("input_ids", input_ids, 3), ("inputs_embeds", inputs_embeds, 4)):
        if given is not None:
            check_tensor(name, given)
            if given.dim() != dims or not given.numel():
                what = "[rows, choices, columns]" if dims == 3 else "[rows, choices, columns, embedding_size]"
                raise ValueError(f"{name} has the shape {list(given.shape)}: it must be {what}, at least one of each")
            return given.shape[0], given.shape[1]
    raise ValueError("give either input_ids or inputs_embeds")


def _rows(name: str, values: Tensor | None, questions: int, choices: int) -> Tensor | None:
    """[B, C, L] -> [B * C, L]"""
    if values is None:
        return None
    check_tensor(name, values)
    if values.dim() < 3 or values.shape[:2] != (questions, choices):
        raise ValueError(f"{name} has the shape {list(values.shape)}: it must be [{questions}, {choices}, columns]")
    return values.flatten(0, 1)
