"""Heads that are fine-tuned: a label for the row, for every token, for a span, for a choice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.encoder import ElectraModel
from electra.nn.grid import check_range, check_shape
from electra.nn.heads import ElectraClassificationHead, ElectraSequenceSummary, classifier_dropout, span_scores
from electra.nn.losses import IGNORED, problem_type_of, row_loss, span_loss, token_loss
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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple[Any, ...]:
        """labels: [B] class or number, or [B, K] of 0 and 1. Where the config gives no problem_type they decide."""
        encoded = self.electra.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        scores = self.classifier(encoded.first())
        loss = None if labels is None else self._loss(scores, labels)
        return encoded.output(SequenceClassifierOutput, loss=loss, logits=scores)

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """[B, K], labels -> []"""
        rows, count = scores.shape
        kind = self.config.problem_type or problem_type_of(labels, count)
        if kind == "single_label_classification":
            check_shape("labels", labels, (rows,), (rows, 1))
            if labels.is_floating_point():
                raise ValueError(f"labels are {labels.dtype}: classes are whole numbers (int64)")
            check_range("labels", labels, count, IGNORED)
        elif kind == "multi_label_classification":
            check_shape("labels", labels, (rows, count))
        else:
            check_shape("labels", labels, (rows,), (rows, count))
        return row_loss(scores, labels, kind)


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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> TokenClassifierOutput | tuple[Any, ...]:
        """labels: [B, L] or [T], -100 not counted."""
        encoded = self.electra.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        scores = self.classifier(self.dropout(encoded.hidden))
        loss = None
        if labels is not None:
            flat = encoded.per_token("labels", labels)
            check_range("labels", flat, self.config.num_labels, IGNORED)
            loss = token_loss(scores, flat)
        return encoded.output(TokenClassifierOutput, loss=loss, logits=encoded.layout.unflatten(scores))


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
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringModelOutput | tuple[Any, ...]:
        """start_positions, end_positions: [B], columns of the row; one outside the row does not count."""
        encoded = self.electra.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        start, end = span_scores(self.qa_outputs(encoded.hidden))
        layout = encoded.layout
        loss = None
        if start_positions is not None and end_positions is not None:
            for name, given in (("start_positions", start_positions), ("end_positions", end_positions)):
                check_shape(name, given, (layout.rows,), (layout.rows, 1))
            loss = span_loss(start, end, start_positions, end_positions, layout)
        return encoded.output(
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
        output_hidden_states: bool | None = None,
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
            choices = _choices(input_ids, inputs_embeds)
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds = (
                None if t is None else t.flatten(0, 1)
                for t in (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
            )
        encoded = self.electra.run(
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        if encoded.layout.rows % choices:
            raise ValueError(f"{encoded.layout.rows} rows are no whole number of questions with {choices} choices each")
        scores = self.classifier(self.sequence_summary(encoded.hidden, encoded.layout)).view(-1, choices)
        loss = None
        if labels is not None:
            check_shape("labels", labels, (len(scores),), (len(scores), 1))
            check_range("labels", labels, choices, IGNORED)
            loss = token_loss(scores, labels.view(-1))
        return encoded.output(MultipleChoiceModelOutput, loss=loss, logits=scores)


def _choices(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> int:
    """How many choices a grid's questions have."""
    for name, given, dims in (("input_ids", input_ids, 3), ("inputs_embeds", inputs_embeds, 4)):
        if given is not None:
            if given.dim() != dims:
                raise ValueError(f"{name} has the shape {list(given.shape)}: it must be [rows, choices, columns, …]")
            return given.shape[1]
    raise ValueError("give either input_ids or inputs_embeds")
