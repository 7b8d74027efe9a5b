"""Networks that are fine-tuned: labels for a text, for every token, for a span, for a choice."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.models.base import ElectraPreTrainedModel
from electra.models.electra_model import Call, ElectraModel, HiddenStates
from electra.nn.encoder import (
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from electra.nn.heads import (
    ElectraClassificationHead,
    ElectraSequenceSummary,
    classifier_dropout,
    problem_type_of,
    row_loss,
    span_loss,
    span_scores,
    token_loss,
)
from electra.nn.input_checks import check_finite, check_range, check_shape, check_tensor


class ElectraForSequenceClassification(ElectraPreTrainedModel):
    """Text classification: ELECTRA with a head on each sequence's first token.

    `config.num_labels` (K) outputs. `config.problem_type` says what they mean: "single_label_classification" (one
    label), "multi_label_classification" (any number of labels) or "regression" (numbers); None: the labels' dtype
    decides.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForSequenceClassification
        >>> model = ElectraForSequenceClassification(ElectraConfig.preset("tiny", num_labels=3)).eval()
        >>> input_ids = torch.tensor([[101, 2023, 2003, 102], [101, 2748, 102, 0]])
        >>> output = model(input_ids, (input_ids != 0).long(), labels=torch.tensor([0, 2]))
        >>> output.logits.shape, output.loss.shape
        (torch.Size([2, 3]), torch.Size([]))
    """

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
        """Score the labels of each sequence.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            labels: classes, int64 [B], from 0 to K - 1 or -100 where none counts; several labels, floating-point
                [B, K] of 0 and 1; or numbers, [B] or [B, K]. If `config.problem_type` is None, they are numbers for
                K = 1, several labels if they are floating-point, else classes.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are labels; `logits` [B, K];
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
        kind = None if labels is None else self._problem_type(call, labels)
        scores = self.classifier(call.encode_first())
        loss = None if labels is None or kind is None else row_loss(scores, labels, kind)
        return call.output(SequenceClassifierOutput, loss=loss, logits=scores)

    def _problem_type(self, call: Call, labels: Tensor) -> str:
        """The configuration's problem type, or that of the labels; the labels are checked for it."""
        check_tensor("labels", labels, call.batch.device)
        rows, count = call.layout.rows, self.config.num_labels
        kind = self.config.problem_type or problem_type_of(labels, count)
        if kind == "single_label_classification":
            call.per_row("labels", labels, rows, count)
            return kind
        # several labels, or numbers: one for each output; [B] where there is one output
        check_shape("labels", labels, (rows, count), *([(rows,)] if count == 1 else []))
        if kind == "multi_label_classification":
            check_range("labels", labels, 2)
        else:
            check_finite("labels", labels)
        return kind


class ElectraForTokenClassification(ElectraPreTrainedModel):
    """Token classification: a label for every token, such as the names in a text.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForTokenClassification
        >>> model = ElectraForTokenClassification(ElectraConfig.preset("tiny", num_labels=5)).eval()
        >>> model(torch.tensor([[101, 2023, 2003, 102]])).logits.shape
        torch.Size([1, 4, 5])
    """

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
        """Score the labels of each token.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            labels: int64 [B, L], or [T] for a ragged batch: from 0 to K - 1, or -100 where none counts.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are labels; `logits` [B, L, K], or [T, K] for a ragged batch;
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
        """
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
        flat = call.per_token("labels", labels, self.config.num_labels)
        scores = self.classifier(self.dropout(call.encode()))
        loss = None if flat is None else token_loss(scores, flat)
        return call.output(TokenClassifierOutput, loss=loss, logits=call.layout.unflatten(scores))


class ElectraForQuestionAnswering(ElectraPreTrainedModel):
    """Extractive question answering: which tokens start and end the answer.

    A sequence is `[CLS] question [SEP] context [SEP]`.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForQuestionAnswering
        >>> model = ElectraForQuestionAnswering(ElectraConfig.preset("tiny")).eval()
        >>> input_ids = torch.tensor([[101, 2040, 102, 2198, 3478, 102]])
        >>> output = model(input_ids, token_type_ids=torch.tensor([[0, 0, 0, 1, 1, 1]]))
        >>> output.start_logits.shape, output.end_logits.shape
        (torch.Size([1, 6]), torch.Size([1, 6]))
    """

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
        """Score each token as the answer's start and as its end.

        Args:
            input_ids: int64 or int32 [B, L], or a ragged `Batch` of T tokens, which holds the next three itself.
            attention_mask: [B, L], 1 for tokens and 0 for padding, or [B, L, L] or [B, heads, L, L] for each query.
                Default: every token counts.
            token_type_ids: int64 [B, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, L, embedding_size] in the weights' dtype.
            start_positions: int64 [B], the true columns. One outside its sequence does not count. Give both or neither.
            end_positions: as `start_positions`.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are positions; `start_logits` and `end_logits`, [B, L], or [T] for a ragged batch;
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
        """
        if (start_positions is None) != (end_positions is None):
            raise ValueError("start_positions and end_positions belong together: give both, or neither")
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
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
    """Multiple choice: which of C sequences is right.

    Example:
        >>> import torch
        >>> from electra import ElectraConfig, ElectraForMultipleChoice
        >>> model = ElectraForMultipleChoice(ElectraConfig.preset("tiny")).eval()
        >>> input_ids = torch.tensor([[[101, 2023, 102], [101, 2748, 102]]])  # one question, two choices
        >>> model(input_ids).logits.shape
        torch.Size([1, 2])
    """

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
        """Score the choices of each question.

        Args:
            input_ids: int64 or int32 [B, C, L] for B questions of C choices, or a ragged `Batch` of B * C sequences,
                which holds the next three itself.
            attention_mask: [B, C, L], 1 for tokens and 0 for padding. Default: every token counts.
            token_type_ids: int64 [B, C, L], 0 for the first text and 1 for the second. Default: 0.
            position_ids: int64 [B, C, L]. Default: 0, 1, 2, …
            inputs_embeds: word vectors in place of `input_ids`, [B, C, L, embedding_size] in the weights' dtype.
            labels: int64 [B], the right choice, from 0 to C - 1, or -100 where none counts.
            num_choices: C; needed for a ragged batch, and only there.
            output_attentions: return the attention weights too. Default: `config.output_attentions`.
            output_hidden_states: True, False, or the numbers of those to return (0: the first layer's input). Default:
                `config.output_hidden_states`.
            return_dict: False returns a tuple. Default: `config.return_dict`.

        Returns:
            `loss` [] if there are labels; `logits` [B, C];
            `hidden_states` and `attentions` if asked for, as in `ElectraModel.forward`. With return_dict=False: the
            tuple of those that are not None, in this order.

        Raises:
            ValueError: an argument has a type, device, dtype, shape or value that the network cannot read; the message
                names it. Values are checked on CPUs only.
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
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        options = (output_attentions, output_hidden_states, return_dict)
        call = self.electra.call(inputs, options)
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
    """B and C of padded inputs."""
    for name, values, dims in (("input_ids", input_ids, 3), ("inputs_embeds", inputs_embeds, 4)):
        if values is not None:
            check_tensor(name, values)
            if values.dim() != dims or not values.numel():
                shape = "[rows, choices, columns]" if dims == 3 else "[rows, choices, columns, embedding_size]"
                raise ValueError(f"{name} has the shape {list(values.shape)}: it must be {shape}, at least one of each")
            return values.shape[0], values.shape[1]
    raise ValueError("give either input_ids or inputs_embeds")


def _rows(name: str, values: Tensor | None, questions: int, choices: int) -> Tensor | None:
    """[B, C, L] -> [B * C, L]"""
    if values is None:
        return None
    check_tensor(name, values)
    if values.dim() < 3 or values.shape[:2] != (questions, choices):
        raise ValueError(f"{name} has the shape {list(values.shape)}: it must be [{questions}, {choices}, columns]")
    return values.flatten(0, 1)
