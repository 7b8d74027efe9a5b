"""Question answering: which words of a context answer a question?"""

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
from electra.tasks.inputs.texts import Answer, Question, read_answers, read_question
from electra.tasks.inputs.token_offsets import Tokens, tokenize
from electra.tasks.labelled_task import Column, LabelledTask, TrainingBatch, TrainingItem
from electra.tasks.outputs.spans import Span, best_spans
from electra.tasks.task import Encoded, of_each
from electra.validation import is_count

log = logging.getLogger("electra")

MAX_LENGTH = 384
"""Google's and transformers' row for a question and a window of its context."""
DOC_STRIDE = 128
SCORED_ANSWER_TOKENS = 30
"""The longest answer that counts in SQuAD's figures: Google's configure_finetuning.py, and transformers' run_qa.py."""
SMALLEST = 1e-12
"""A probability that is none, in logarithms."""
IMPOSSIBLE = {"true": True, "1": True, "false": False, "0": False}
"""What `is_impossible` may be; in CSV files it is a string."""


@dataclass(frozen=True)
class EncodedQuestion(Encoded):
    """A row for each window of the context: `[CLS] question [SEP] window [SEP]`."""

    context: Tokens
    windows: tuple[tuple[int, int], ...]
    """From which to which token of the context each row reads."""
    begins: int
    """The place in every row of its window's first token."""


@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(LabelledTask[EncodedQuestion]):
    """A question and a context -> `{"score", "start", "end", "answer"}`, or a list of these, best first.

    `start` and `end` are characters of the context. Within a window of the context, a start's probability times its
    end's is the score of a span; answers that read the same, upper and lower case aside, add up, also those of a span
    that two windows share, so that a score may exceed 1: transformers 4.57's contract.

    Attributes:
        max_length: the longest row in tokens; a longer context is read in windows. Default: 384, or what the model
            reads.
        max_seq_len: transformers' name for `max_length`.
        top_k: how many answers: 1 gives a dict, more a list, which is shorter where the context has fewer spans.
        doc_stride: how many tokens neighbouring windows share; None: 128, or half a row if that is less. Beside a
            question that leaves no more than so many tokens of a row, half of what it leaves.
        max_answer_len: the longest answer in tokens.
        max_question_len: a longer question is cut to so many tokens.
        handle_impossible_answer: that the context does not answer the question is an answer too: an empty one.
        align_to_words: extend answers to whole words.
        no_answer_threshold: in scores, no answer is given where its log odds against the best answer are above this.

    An example to learn from has `answers` too: a list of `{"text", "answer_start"}`, the character at which each
    begins, or SQuAD's `{"text": [...], "answer_start": [...]}`; an empty one where the context has no answer. The first
    is learnt. Windows without all of it, and those of contexts without an answer, have theirs at [CLS], as in Google's
    qa_tasks.py.
    """

    name: ClassVar[str] = "question-answering"
    architecture: ClassVar[str] = "ElectraForQuestionAnswering"
    parts: ClassVar[tuple[str, ...]] = ("question", "context")
    one_is_bare: ClassVar[bool] = True
    usual_length: ClassVar[int] = 512
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
    no_answer_threshold: float = 0.0
    # whether an answer says how likely it is that there is none: for scores
    judging: bool = field(default=False, metadata={"derived": True})

    def __post_init__(self) -> None:
        if self.max_seq_len is not None:
            object.__setattr__(self, "max_length", self.max_seq_len)
            object.__setattr__(self, "max_seq_len", None)
        super().__post_init__()
        for name in ("top_k", "max_answer_len", "max_question_len"):
            if not is_count(getattr(self, name)):
                raise ValueError(f"{name}={getattr(self, name)!r}: at least 1 is needed")
        if self.doc_stride is not None and not 0 <= self.doc_stride < self.max_length:
            raise ValueError(
                f"doc_stride={self.doc_stride}: neighbouring windows in rows of {self.max_length} tokens can share "
                f"0 to {self.max_length - 1}"
            )

    @classmethod
    def from_config(cls, config: ElectraConfig, **options: Any) -> Self:
        known: dict[str, Any] = {"max_length": min(MAX_LENGTH, config.max_position_embeddings)}
        if hasattr(config, "no_answer_threshold"):  # as fine-tuning found it
            known["no_answer_threshold"] = config.no_answer_threshold
        return cls(**known).with_options(**options)

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
            raise ValueError(f"'is_impossible' is true or false (or 1 or 0), not {given!r}")
        if impossible:
            example["answers"] = []
        read_question(example)
        return {
            **example,
            "answers": [{"text": answer.text, "answer_start": answer.start} for answer in read_answers(example)],
        }

    def arrange(self, inputs: Any) -> Any:
        """Questions of one context, or a context for each of them, may be given as lists under their names."""
        return spread(inputs) if isinstance(inputs, Mapping) else inputs

    def encode_all(self, examples: Sequence[Any], tokenizer: Any) -> list[EncodedQuestion]:
        found = of_each(read_question, examples)
        questions = token_ids([each.question for each in found], tokenizer)
        texts = list(dict.fromkeys(each.context for each in found))  # many questions may have one context
        contexts = dict(zip(texts, tokenize(texts, tokenizer, with_words=True), strict=True))
        cut = sum(len(ids) > self.max_question_len for ids in questions)
        if cut:
            most = self.max_question_len
            log.warning("%d of %d questions were longer than %d tokens and were cut to that", cut, len(found), most)

        def encode(pair: tuple[Question, Sequence[int]]) -> EncodedQuestion:
            example, question = pair
            return self._rows(question[: self.max_question_len], contexts[example.context], tokenizer)

        return of_each(encode, zip(found, questions, strict=True))

    def _rows(self, question: Sequence[int], context: Tokens, tokenizer: Any) -> EncodedQuestion:
        room = self.max_length - SPECIAL_TOKENS - len(question)
        if room < 1:
            raise ValueError(
                f"a question of {len(question)} tokens leaves no room for its context in a row of {self.max_length}: "
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
        """[row's tokens, 2] for each row: logits of being the answer's first and its last token, float32."""
        output = model(batch)
        logits = torch.stack([output.start_logits, output.end_logits], -1).float().cpu()
        return [row.numpy() for row in batch.layout.split(logits)]

    def best(self, output: Any, context: slice, count: int) -> tuple[float, list[Span]]:
        """The score of no answer, and a window's `count` best spans, from what `infer` gave for its row."""
        return best_spans(output, context, self.max_answer_len, count)

    def decode(self, encoded: EncodedQuestion, outputs: Sequence[Any], tokenizer: Any) -> Any:
        # neighbours often grow into the same words, so more spans are looked at than asked for: transformers' count
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
        found = list(answers.values())
        if self.judging:
            return self._judged(found, min(impossible))
        if self.handle_impossible_answer:
            found.append({"score": min(impossible), "start": 0, "end": 0, "answer": ""})
        found.sort(key=lambda answer: -answer["score"])
        return found[0] if self.top_k == 1 else found[: self.top_k]

    def _judged(self, answers: Sequence[dict[str, Any]], impossible: float) -> dict[str, Any]:
        """The best answer, and as `no_answer` the log odds of there being none."""
        nothing: dict[str, Any] = {"score": 0.0, "start": 0, "end": 0, "answer": ""}
        best = max([*answers, nothing], key=lambda answer: answer["score"])
        return {**best, "no_answer": self.no_answer_odds(impossible, float(best["score"]))}

    def no_answer_odds(self, impossible: float, best: float) -> float:
        """The logarithm of how much likelier no answer is than the best answer."""
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
        return replace(self, judging=True, max_answer_len=max(self.max_answer_len, SCORED_ANSWER_TOKENS))

    def outcomes(self, predictions: Sequence[Any], examples: Sequence[Any]) -> AnswerOutcomes:
        expected = [[answer.text for answer in found] for found in of_each(read_answers, examples)]
        said = [answer["answer"] for answer in predictions]
        odds = [answer["no_answer"] for answer in predictions]
        # where every question has an answer, none is held back
        threshold = self.no_answer_threshold if not all(expected) else math.inf
        return AnswerOutcomes.of(said, odds, expected, threshold)


def _labelled(encoded: EncodedQuestion, answer: Answer | None) -> list[TrainingItem]:
    """A window with the answer's first and last column, or [CLS] twice where it has not all of it."""
    tokens = None if answer is None else _tokens_of(answer, encoded.context)
    made = []
    for row, (start, stop) in zip(encoded.rows, encoded.windows, strict=True):
        first = last = 0
        if tokens and start <= tokens[0] and tokens[1] < stop:
            first, last = (encoded.begins + token - start for token in tokens)
        made.append(TrainingItem((row,), (first, last, int(answer is None))))
    return made


def _tokens_of(answer: Answer, context: Tokens) -> tuple[int, int]:
    """The first and the last token that the answer has characters of."""
    end = answer.start + len(answer.text)
    touched = [i for i, (start, stop) in enumerate(context.spans) if start < end and stop > answer.start]
    if not touched:
        raise ValueError(f"the answer {answer.text!r} has no token of its context in it")
    return touched[0], touched[-1]


def _add(answers: dict[str, dict[str, Any]], context: str, start: int, end: int, span: Span) -> None:
    """Count a span to the answer that reads like it, or make it a new one."""
    text = context[start:end]
    if text.lower() in answers:
        answers[text.lower()]["score"] += span.score
    else:
        answers[text.lower()] = {"score": span.score, "start": start, "end": end, "answer": text}


def _whole_words(tokens: Tokens) -> list[tuple[int, int]]:
    """For each token the characters of the word that it belongs to."""
    assert tokens.words is not None
    bounds: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(tokens.words, tokens.spans, strict=True):
        bounds[word] = (bounds.get(word, (start, end))[0], end)
    return [bounds[word] for word in tokens.words]


def spread(columns: Mapping[str, Any]) -> Any:
    """A dict in which some values are lists -> a dict for each of their items, the other values repeated.

    A dict without lists is returned as it is; lists of different lengths are a `ValueError`.
    """
    lists = {name: value for name, value in columns.items() if isinstance(value, (list, tuple))}
    if not lists:
        return columns
    lengths = {name: len(value) for name, value in lists.items()}
    if len(set(lengths.values())) > 1:
        shown = " and ".join(f"{count} of {name!r}" for name, count in lengths.items())
        raise ValueError(f"there are {shown}: give equally many, or one for all")
    (count,) = set(lengths.values())
    return [{**columns, **{name: value[i] for name, value in lists.items()}} for i in range(count)]
