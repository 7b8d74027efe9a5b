"""Question answering: the words of a context that answer a question."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import nn

from electra.batch import Batch
from electra.config import ElectraConfig
from electra.metrics.squad_metrics import AnswerOutcomes
from electra.tasks.inputs.pairs import SPECIAL_TOKENS, join, token_ids
from electra.tasks.inputs.sliding_windows import strided
from electra.tasks.inputs.texts import Answer, Question, read_answers, read_question, spread
from electra.tasks.inputs.token_offsets import Tokens, tokenize
from electra.tasks.labelled_task import Column, LabelledTask, TrainingBatch, TrainingItem
from electra.tasks.outputs.spans import Span, best_spans
from electra.tasks.task import Encoded, of_each
from electra.validation import require, require_count

log = logging.getLogger("electra")

MAX_LENGTH = 384
"""Google's and transformers' row for a question and a window of its context."""
DOC_STRIDE = 128
SCORED_ANSWER_TOKENS = 30
"""The longest answer for SQuAD's metrics: Google's configure_finetuning.py, and transformers' run_qa.py."""
SMALLEST = 1e-12
"""The least probability whose logarithm is taken."""
IMPOSSIBLE = {"true": True, "1": True, "false": False, "0": False}
"""The values of `is_impossible`; in CSV files it is a string."""


@dataclass(frozen=True)
class EncodedQuestion(Encoded):
    """A sequence for each window of the context: `[CLS] question [SEP] window [SEP]`."""

    context: Tokens
    windows: tuple[tuple[int, int], ...]
    """The first token of the context in each sequence, and the one after the last."""
    begins: int
    """The position of the window's first token in every sequence."""


@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(LabelledTask[EncodedQuestion]):
    """Find the words of a context that answer a question.

    An example is a dict with `question` and `context`. Within a window of the context, the score of a span is the
    probability of its start times that of its end. Answers with the same text, upper and lower case aside, are summed,
    also those of a span that two windows share, so a score may exceed 1: transformers 4.57's contract.

    To learn from, an example has `answers` too: a list of `{"text", "answer_start"}`, where `answer_start` is the
    character at which the answer starts, or SQuAD's `{"text": [...], "answer_start": [...]}`; an empty list if the
    context has no answer. The first answer is learnt. Windows without all of it, and those of contexts without an
    answer, have [CLS] as start and end, as in Google's qa_tasks.py.

    Returns:
        dict | list[dict]: `{"score", "start", "end", "answer"}`, with `top_k` above 1 a list of these, best first.
            `start` and `end` are characters of the context.

    Attributes:
        max_length: the longest sequence in tokens; a longer context is read in windows. Default: as the model was
            fine-tuned, else 384, or less if the model reads less.
        max_seq_len: transformers' name for `max_length`.
        top_k: how many answers: 1 returns a dict, more a list, which is shorter if the context has fewer spans.
        doc_stride: how many tokens neighbouring windows share. Default: 128, or half a sequence if that is less.
            Beside a question that leaves no more than that for the context, half of what it leaves.
        max_answer_len: the longest answer in tokens.
        max_question_len: a longer question is truncated to this many tokens.
        handle_impossible_answer: an empty answer competes with the others. Default: False, but True for a model that
            was fine-tuned on questions without answers.
        align_to_words: extend answers to whole words.
        no_answer_threshold: the answer is empty if the log odds of there being none, against the best answer, are above
            this. Default: as fine-tuning chose it. Otherwise the best score decides.
    """

    name: ClassVar[str] = "question-answering"
    architecture: ClassVar[str] = "ElectraForQuestionAnswering"
    parts: ClassVar[tuple[str, ...]] = ("question", "context")
    one_is_bare: ClassVar[bool] = True
    usual_length: ClassVar[int] = 512
    default_threshold: ClassVar[float] = 0.0
    """For scores, where `no_answer_threshold` is None."""
    columns: ClassVar[tuple[Column, ...]] = (
        Column("question", ("question",), "the question"),
        Column("context", ("context", "paragraph"), "the text with the answer"),
        Column("answers", ("answers", "answer"), "the answers"),
        Column("is_impossible", ("is_impossible",), "whether there is no answer", required=False),
    )

    max_length: int = MAX_LENGTH
    max_seq_len: int | None = None
    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    no_answer_threshold: float | None = None
    # whether answers have the log odds of there being none, for scores
    judging: bool = field(default=False, metadata={"derived": True})

    def __post_init__(self) -> None:
        if self.max_seq_len is not None:
            object.__setattr__(self, "max_length", self.max_seq_len)
            object.__setattr__(self, "max_seq_len", None)
        super().__post_init__()
        for name in ("top_k", "max_answer_len", "max_question_len"):
            require_count(name, getattr(self, name))
        shareable = f"from 0 to {self.max_length - 1}, as a sequence has {self.max_length} tokens"
        require(
            self.doc_stride is None or 0 <= self.doc_stride < self.max_length, "doc_stride", self.doc_stride, shareable
        )

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        task = cls(max_length=min(MAX_LENGTH, config.max_position_embeddings))
        return task.with_options(**{**cls.thresholds(config), **cls.fitted_options(config), **options})

    @classmethod
    def fitted_options(cls, config: ElectraConfig) -> dict[str, Any]:
        """As in the base class. Pipelines answer as evaluation does: with long answers, or none, if that was learnt."""
        fitted = super().fitted_options(config)
        if not cls.is_fitted(config):
            return fitted
        answerable = {"handle_impossible_answer": True} if hasattr(config, "no_answer_threshold") else {}
        return {"max_answer_len": SCORED_ANSWER_TOKENS, **answerable, **fitted}

    @classmethod
    def from_examples(cls, examples: Iterable[Any], **options: Any) -> Self:
        of_each(read_answers, examples)
        return cls().with_options(**options)

    @classmethod
    def read_example(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        example = dict(values)
        given = example.pop("is_impossible", False)
        impossible = IMPOSSIBLE.get(str(given).strip().lower())
        if impossible is None:
            raise ValueError(f"is_impossible is {given!r}: it must be true, false, 1 or 0")
        if impossible:
            example["answers"] = []
        read_question(example)
        return {
            **example,
            "answers": [{"text": answer.text, "answer_start": answer.start} for answer in read_answers(example)],
        }

    def arrange(self, inputs: Any) -> Any:
        """Accept lists of questions and contexts under their names; a single one is used for all of the other."""
        return spread(inputs) if isinstance(inputs, Mapping) else inputs

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedQuestion]:
        found = of_each(read_question, examples)
        questions = token_ids([each.question for each in found], tokenizer)
        texts = list(dict.fromkeys(each.context for each in found))  # many questions may have one context
        contexts = dict(zip(texts, tokenize(texts, tokenizer, with_words=True), strict=True))
        cut = sum(len(ids) > self.max_question_len for ids in questions)
        if cut:
            most = self.max_question_len
            log.warning("%d of %d questions were longer than %d tokens and were truncated", cut, len(found), most)

        def encode(pair: tuple[Question, Sequence[int]]) -> EncodedQuestion:
            example, question = pair
            return self._rows(question[: self.max_question_len], contexts[example.context], tokenizer)

        return of_each(encode, zip(found, questions, strict=True))

    def _rows(self, question: Sequence[int], context: Tokens, tokenizer: Any) -> EncodedQuestion:
        room = self.max_length - SPECIAL_TOKENS - len(question)
        if room < 1:
            raise ValueError(
                f"a question of {len(question)} tokens leaves no room for the context in {self.max_length} tokens: "
                "give a smaller max_question_len or a larger max_seq_len"
            )
        for name, tokens in (("question", question), ("context", context.ids)):
            if not tokens:
                raise ValueError(f"the {name} has no word in it")
        overlap = min(self.max_length // 2, DOC_STRIDE) if self.doc_stride is None else self.doc_stride
        windows = strided(len(context), room, overlap if overlap < room else room // 2)
        rows = tuple(join(question, context.ids[start:stop], tokenizer) for start, stop in windows)
        return EncodedQuestion(rows, 0, context, windows, len(question) + 2)

    def infer(self, model: nn.Module, batch: Batch) -> list[Any]:
        """[sequence's tokens, 2] for each sequence: start and end logits, float32."""
        output = model(batch)
        logits = torch.stack([output.start_logits, output.end_logits], -1).float().cpu()
        return [row.numpy() for row in batch.layout.split(logits)]

    def best(self, output: Any, context: slice, count: int) -> tuple[float, list[Span]]:
        """The score of no answer, and a window's `count` best spans, from the output for its sequence."""
        return best_spans(output, context, self.max_answer_len, count)

    def decode(self, encoded: EncodedQuestion, outputs: Sequence[Any], tokenizer: Any) -> Any:
        # spans often extend to the same words, so more than asked for are considered: transformers' count
        count = 2 * self.top_k + 10 if self.align_to_words else self.top_k
        bounds = _whole_words(encoded.context) if self.align_to_words else encoded.context.spans
        impossible: list[float] = []
        answers: dict[str, dict[str, Any]] = {}
        for (start, stop), output in zip(encoded.windows, outputs, strict=True):
            context = slice(encoded.begins, encoded.begins + stop - start)
            nothing, spans = self.best(output, context, count)
            impossible.append(nothing)
            for span in spans:
                _add(answers, encoded.context.text, bounds[start + span.first][0], bounds[start + span.last][1], span)
        found = sorted(answers.values(), key=lambda answer: -answer["score"])
        if self.judging:
            return self._judged(found, min(impossible))
        if self.handle_impossible_answer:
            self._add_no_answer(found, min(impossible))
        return found[0] if self.top_k == 1 else found[: self.top_k]

    def _add_no_answer(self, answers: list[dict[str, Any]], impossible: float) -> None:
        """Insert the empty answer into a sorted list: by its score, or by the threshold if there is one."""
        best = answers[0]["score"] if answers else 0.0
        place = sum(answer["score"] >= impossible for answer in answers)
        if self.no_answer_threshold is not None:
            withheld = self.no_answer_odds(impossible, best) > self.no_answer_threshold
            place = 0 if withheld else max(place, min(1, len(answers)))
        answers.insert(place, {"score": impossible, "start": 0, "end": 0, "answer": ""})

    def _judged(self, answers: Sequence[dict[str, Any]], impossible: float) -> dict[str, Any]:
        """The best answer, with the log odds of there being none as `no_answer`."""
        nothing: dict[str, Any] = {"score": 0.0, "start": 0, "end": 0, "answer": ""}
        best = max([*answers, nothing], key=lambda answer: answer["score"])
        return {**best, "no_answer": self.no_answer_odds(impossible, float(best["score"]))}

    def no_answer_odds(self, impossible: float, best: float) -> float:
        """The log odds of no answer against the best answer."""
        return math.log(max(impossible, SMALLEST)) - math.log(max(best, SMALLEST))

    def training_items(self, examples: Sequence[Any], tokenizer: Any) -> list[TrainingItem]:
        """An item for every window; its labels are `(first, last, impossible)`, columns of the row."""
        answers = [found[0] if found else None for found in of_each(read_answers, examples)]
        encoded = self.encode_all(examples, tokenizer)
        made = of_each(lambda pair: _labelled(*pair), zip(encoded, answers, strict=True))
        return [item for items in made for item in items]

    def training_batch(self, items: Sequence[TrainingItem]) -> TrainingBatch:
        """Labels: `start_positions` and `end_positions`, int64 [B]."""
        first, last, _ = torch.tensor([item.labels for item in items]).unbind(-1)
        return TrainingBatch.of(items, {"start_positions": first, "end_positions": last})

    def for_scoring(self) -> Self:
        longest = max(self.max_answer_len, SCORED_ANSWER_TOKENS)
        return replace(self, judging=True, max_answer_len=longest, no_answer_threshold=self._scoring_threshold())

    def _scoring_threshold(self) -> float:
        return self.default_threshold if self.no_answer_threshold is None else self.no_answer_threshold

    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> AnswerOutcomes:
        expected = [[answer.text for answer in found] for found in of_each(read_answers, examples)]
        texts = [answer["answer"] for answer in predictions]
        odds = [answer["no_answer"] for answer in predictions]
        # SQuAD 1.1: no threshold applies to questions that all have an answer, unless the model learnt to withhold one
        threshold = self._scoring_threshold() if self.handle_impossible_answer or not all(expected) else math.inf
        return AnswerOutcomes.of(texts, odds, expected, threshold)


def _labelled(encoded: EncodedQuestion, answer: Answer | None) -> list[TrainingItem]:
    """Label each window with the answer's first and last position; without all of it, [CLS] twice."""
    tokens = None if answer is None else _tokens_of(answer, encoded.context)
    made = []
    for row, (start, stop) in zip(encoded.rows, encoded.windows, strict=True):
        first = last = 0
        if tokens and start <= tokens[0] and tokens[1] < stop:
            first, last = (encoded.begins + token - start for token in tokens)
        made.append(TrainingItem((row,), (first, last, int(answer is None))))
    return made


def _tokens_of(answer: Answer, context: Tokens) -> tuple[int, int]:
    """The first and the last token that overlap the answer."""
    end = answer.start + len(answer.text)
    touched = [i for i, (start, stop) in enumerate(context.spans) if start < end and stop > answer.start]
    if not touched:
        raise ValueError(f"the answer {answer.text!r} has no token of its context in it")
    return touched[0], touched[-1]


def _add(answers: dict[str, dict[str, Any]], context: str, start: int, end: int, span: Span) -> None:
    """Add a span's score to the answer with the same text, or add a new answer."""
    text = context[start:end]
    if text.lower() in answers:
        answers[text.lower()]["score"] += span.score
    else:
        answers[text.lower()] = {"score": span.score, "start": start, "end": end, "answer": text}


def _whole_words(tokens: Tokens) -> list[tuple[int, int]]:
    """The characters of each token's word."""
    assert tokens.words is not None
    bounds: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(tokens.words, tokens.spans, strict=True):
        bounds[word] = (bounds.get(word, (start, end))[0], end)
    return [bounds[word] for word in tokens.words]
