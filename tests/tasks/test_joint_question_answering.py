"""Question answering by Google's head, against every span of its beams one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import electra
from electra import pipeline
from tests.parity.twins import SIZES, redraw
from tests.tasks.tiny import LONG_CONTEXT, QUESTIONS, VOCABULARY, assert_same, lively

CONTEXTS = [
    "Ann sat on a mat in New York , and the bigger cat is in Paris .",
    "singing Zürich: don't 日本!",
    LONG_CONTEXT,
]

TOP = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joint")
    fields = {"joint_hidden_size": 13, "beam_size": 6, "max_position_embeddings": 64, "vocab_size": len(VOCABULARY)}
    model = redraw(electra.ElectraForJointQuestionAnswering(electra.ElectraConfig(**{**SIZES, **fields})))
    lively(model).save_pretrained(path)
    electra.ElectraTokenizer(VOCABULARY, model_max_length=64).save_pretrained(path)
    return path


def plainly(folder: Path, question: str, context: str, max_seq_len: int, stride: int, longest: int) -> list[Any]:
    """The best answers, and no answer among them: of each window, by one forward pass, the best TOP of all beams."""
    model = electra.ElectraForJointQuestionAnswering.from_pretrained(folder)
    tokenizer = electra.AutoTokenizer.from_pretrained(folder)
    rows = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=max_seq_len,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    answers: dict[str, dict[str, Any]] = {}
    nothing = []
    for i, ids in enumerate(rows["input_ids"]):
        with torch.inference_mode():
            said = model(torch.tensor([ids]), token_type_ids=torch.tensor([rows["token_type_ids"][i]]))
        impossible = said.impossible_logits[0].sigmoid()
        nothing.append(impossible.item())
        inside = [place for place, part in enumerate(rows.sequence_ids(i)) if part == 1]
        spans = []
        for a, first in enumerate(said.start_top_index[0].tolist()):
            for b, last in enumerate(said.end_top_index[0, a].tolist()):
                if first not in inside or last not in inside or not 0 <= last - first < longest:
                    continue
                score = said.start_top_log_probs[0, a].exp() * said.end_top_log_probs[0, a, b].exp() * (1 - impossible)
                offsets = rows["offset_mapping"][i]
                spans.append((score.item(), offsets[first][0], offsets[last][1]))
        for probability, start, end in sorted(spans, reverse=True)[:TOP]:
            text = context[start:end]
            answer = {"score": 0.0, "start": start, "end": end, "answer": text}
            answers.setdefault(text.lower(), answer)["score"] += probability
    answers[""] = {"score": min(nothing), "start": 0, "end": 0, "answer": ""}
    return sorted(answers.values(), key=lambda answer: -answer["score"])[:TOP]


@pytest.mark.parametrize(("length", "stride", "longest"), [(40, 8, 15), (30, 3, 4)])
def test_answers_are_those_of_the_beams(folder: Path, length: int, stride: int, longest: int) -> None:
    ask = pipeline("question-answering", str(folder), device="cpu", align_to_words=False)
    for question in QUESTIONS:
        for context in CONTEXTS:
            found = ask(
                question=question,
                context=context,
                max_seq_len=length,
                doc_stride=stride,
                max_answer_len=longest,
                top_k=TOP,
                handle_impossible_answer=True,
            )
            expected = plainly(folder, question, context, length, stride, longest)
            assert_same(found, expected, where=question + context)


def test_the_folder_says_which_head_it_has(folder: Path) -> None:
    for task in (None, "question-answering"):
        ask = pipeline(task, str(folder), device="cpu")
        assert isinstance(ask.model, electra.ElectraForJointQuestionAnswering)
        assert ask.task == "question-answering"
    plain = pipeline("question-answering", ask.model, tokenizer=ask.tokenizer)
    assert plain(question=QUESTIONS[0], context=CONTEXTS[0]) == ask(question=QUESTIONS[0], context=CONTEXTS[0])
