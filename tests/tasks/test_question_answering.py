"""Question answering against a plain twin: transformers' tokenizer and network, and every span one by one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

import electra
from electra import pipeline
from electra.tasks.inputs.sliding_windows import strided
from electra.tasks.outputs.spans import best_spans
from electra.tasks.question_answering import QuestionAnswering
from tests.tasks.tiny import LONG_CONTEXT, QUESTIONS, VOCABULARY, assert_same, fake, make_folder

POSITIONS = 64
CONTEXTS = [
    "Ann sat on a mat in New York , and the bigger cat is in Paris .",
    "singing Zürich: don't 日本!",
    LONG_CONTEXT,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qa")
    return make_folder(path, "ElectraForQuestionAnswering", max_position_embeddings=POSITIONS)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    return pipeline("question-answering", folder, device="cpu")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> tuple[Any, Any]:
    model = transformers.ElectraForQuestionAnswering.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def plain_answers(
    theirs: tuple[Any, Any],
    question: str,
    context: str,
    *,
    top_k: int = 1,
    max_seq_len: int = POSITIONS,
    doc_stride: int = POSITIONS // 2,
    max_answer_len: int = 15,
    handle_impossible_answer: bool = False,
    align_to_words: bool = True,
) -> list[dict[str, Any]]:
    model, tokenizer = theirs
    rows = tokenizer(
        question,
        context,
        truncation="only_second",
        max_length=max_seq_len,
        stride=doc_stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    answers: list[dict[str, Any]] = []
    nothing = []
    for i, ids in enumerate(rows["input_ids"]):
        with torch.inference_mode():
            types = torch.tensor([rows["token_type_ids"][i]])
            output = model(input_ids=torch.tensor([ids]), token_type_ids=types)
        places = [p for p, sequence in enumerate(rows.sequence_ids(i)) if sequence == 1]
        start = output.start_logits[0, [0, *places]].softmax(0)
        end = output.end_logits[0, [0, *places]].softmax(0)
        nothing.append(float(start[0] * end[0]))
        spans = [
            (float(start[1 + a] * end[1 + b]), places[a], places[b])
            for a in range(len(places))
            for b in range(a, min(a + max_answer_len, len(places)))
        ]
        count = 2 * top_k + 10 if align_to_words else top_k
        for score, first, last in sorted(spans, reverse=True)[:count]:
            first_char, last_char = rows["offset_mapping"][i][first][0], rows["offset_mapping"][i][last][1]
            if align_to_words:
                first_char = rows.word_to_chars(i, rows.token_to_word(i, first), 1).start
                last_char = rows.word_to_chars(i, rows.token_to_word(i, last), 1).end
            text = context[first_char:last_char]
            same = [answer for answer in answers if answer["answer"].lower() == text.lower()]
            if same:
                same[0]["score"] += score
            else:
                answers.append({"score": score, "start": first_char, "end": last_char, "answer": text})
    if handle_impossible_answer:
        answers.append({"score": min(nothing), "start": 0, "end": 0, "answer": ""})
    return sorted(answers, key=lambda answer: answer["score"], reverse=True)[:top_k]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"top_k": 5},
        {"top_k": 40, "handle_impossible_answer": True},
        {"max_answer_len": 1, "top_k": 3},
        {"max_answer_len": 99, "top_k": 3, "align_to_words": False},
        {"max_seq_len": 30, "doc_stride": 3, "top_k": 3},
        {"max_seq_len": 30, "doc_stride": 0, "top_k": 3},
    ],
    ids=repr,
)
def test_answers_equal_those_of_every_span_one_by_one(ours: Any, theirs: Any, options: dict[str, Any]) -> None:
    contexts = CONTEXTS if "max_seq_len" not in options else [LONG_CONTEXT]
    questions = [{"question": question, "context": context} for question in QUESTIONS for context in contexts]
    found = ours(questions, **options)
    for question, answers in zip(questions, found, strict=True):
        expected = plain_answers(theirs, **question, **options)
        assert_same(answers if options.get("top_k", 1) > 1 else [answers], expected, where=str(question))
        assert all(question["context"][a["start"] : a["end"]] == a["answer"] for a in expected)


def test_every_way_to_ask(ours: Any) -> None:
    one, other = QUESTIONS[:2]
    first, second = CONTEXTS[:2]
    expected = [ours(question=one, context=first), ours({"question": other, "context": first, "id": 7})]
    assert expected[0] == ours(one, first) == ours([{"question": one, "context": first}])
    assert expected[0] == ours(question=[one], context=first)  # as in transformers, a list of one is that one
    dicts = [{"question": one, "context": first}, {"question": other, "context": first}]
    for answers in (
        ours(dicts),
        ours(question=[one, other], context=first),
        ours(question=[one, other], context=[first, first]),
        list(ours(each for each in dicts)),
    ):
        assert_same(answers, expected)
    assert_same(ours(question=one, context=[first, second]), [expected[0], ours(one, second)])


def saying(scores: Any) -> Any:
    """A model whose start and end logits are `scores(ids)`, each [T]."""

    def run(batch: Any) -> Any:
        start, end = scores(batch.input_ids)
        return SimpleNamespace(start_logits=start, end_logits=end)

    return fake(run)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return electra.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=POSITIONS)


def answerer(model: Any, tokenizer: Any, **options: Any) -> Any:
    task = QuestionAnswering(max_length=POSITIONS).with_options(**options)
    return electra.pipelines.Pipeline(task, model, tokenizer)


def pointing_at(*words: str) -> Any:
    wanted = torch.tensor([VOCABULARY.index(word) for word in words])
    return saying(lambda ids: (torch.isin(ids, wanted) * 20.0, torch.isin(ids, wanted) * 20.0))


def test_the_question_and_the_special_tokens_are_no_answer(tokenizer: Any) -> None:
    ask = answerer(pointing_at("paris", "[SEP]", "[CLS]"), tokenizer)
    assert ask("is paris in paris", "the cat is in Paris and [CLS] sat")["answer"] == "Paris"


def test_no_answer_is_the_least_sure_window(tokenizer: Any) -> None:
    nothing = VOCABULARY.index("[CLS]")
    ask = answerer(saying(lambda ids: ((ids == nothing) * 20.0,) * 2), tokenizer, handle_impossible_answer=True)
    found = ask("where", "the cat sat")
    assert found == {"score": pytest.approx(1, abs=1e-3), "start": 0, "end": 0, "answer": ""}
    # one window of several has an answer, so "" is none, however sure of it the others are
    mixed = saying(lambda ids: (20.0 * (ids == nothing) + 22.0 * (ids == VOCABULARY.index("york")),) * 2)
    long = "the cat sat on a mat " * 20 + "york"
    assert answerer(mixed, tokenizer, handle_impossible_answer=True)("where", long)["answer"] == "york"


def test_a_word_that_a_window_cuts_is_whole_in_the_answer(tokenizer: Any) -> None:
    """transformers 4.57 answers with the piece: it knows a word's ends in the window alone."""
    # [CLS] a [SEP] + 5 tokens + [SEP]: the first window ends between "big" and "##er"
    ask = answerer(pointing_at("big"), tokenizer, max_seq_len=9, doc_stride=0)
    found = ask("a", "the cat sat on bigger mat")
    assert (found["answer"], found["start"], found["end"]) == ("bigger", 15, 21)


def test_a_long_question_is_cut_and_may_leave_less_than_the_stride(tokenizer: Any, caplog: Any) -> None:
    """transformers 4.57 never cuts it, and dies in a panic where the stride exceeds what it leaves (#18411)."""
    nothing, paris = VOCABULARY.index("[CLS]"), VOCABULARY.index("paris")
    ask = answerer(saying(lambda ids: (10.0 * (ids == nothing) + 20.0 * (ids == paris),) * 2), tokenizer)
    context = "the cat sat on a mat " * 9 + "in paris"
    for words in (20, 29, 50, 58):  # of 64, 3 are special; the stride is 32
        assert ask("cat " * words, context)["answer"] == "paris"
    assert ask("cat " * 30, context, doc_stride=63)["answer"] == "paris"
    assert ask("cat " * 99, context, max_question_len=10)["answer"] == "paris"
    assert "1 of 1 questions were longer than 10 tokens and were truncated" in caplog.text


def test_a_short_context_has_fewer_answers_than_asked_for(tokenizer: Any) -> None:
    found = answerer(pointing_at("cat"), tokenizer, top_k=10)("what", "the cat")
    assert [answer["answer"] for answer in found] == ["cat", "the cat", "the"]
    found = answerer(pointing_at("cat"), tokenizer, top_k=2)([{"question": "a", "context": "b"}] * 2)
    assert [len(answers) for answers in found] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("q",), {}, "example 0: expected a dict|expected a dict with 'question'"),
        (({"question": "q"},), {}, "expected a dict with 'context', a string, and 'question', got {'question': str}"),
        (({"question": "q", "context": None},), {}, "'context', a string"),
        (({"question": "", "context": "c"},), {}, "the question is empty"),
        (({"question": "q", "context": " \n"},), {}, "the context is empty"),
        (({"question": "q", "context": "\u0001"},), {}, "the context has no word in it"),
        (({"question": "\u0001", "context": "c"},), {}, "the question has no word in it"),
        (([{"question": "q", "context": "c"}, {"context": "c"}],), {}, "example 1: expected a dict with 'question'"),
        ((), {"question": "q"}, "expected a dict with 'context'"),
        ((), {"question": ["q", "r"], "context": ["c"]}, "2 of 'question' and 1 of 'context': give equally many"),
        (("q", "c"), {"question": "q"}, "got 'question' twice"),
        (("q", "c", "d"), {}, "called with an example or many, or question and context, not with 3 arguments"),
        ((), {}, "got no input"),
        (("q", "c"), {"top_k": 0}, "top_k is 0: it must be a whole number, 1 or more"),
        (("q", "c"), {"max_answer_len": 0}, "max_answer_len is 0"),
        (("q", "c"), {"max_question_len": 0}, "max_question_len is 0"),
        (("q", "c"), {"max_seq_len": POSITIONS + 1}, "the model reads at most 64 tokens"),
        (("q", "c"), {"max_seq_len": 20, "doc_stride": 20}, "doc_stride is 20: it must be from 0 to 19"),
        (("q", "c"), {"doc_stride": -1}, "doc_stride is -1"),
        (
            ("a " * 30, "c"),
            {"max_seq_len": 33},
            "30 tokens leaves no room .* smaller max_question_len or a larger max_seq",
        ),
        (("q", "c"), {"topk": 3}, "Did you mean top_k"),
    ],
)
def test_bad_questions_are_refused(ours: Any, arguments: tuple[Any, ...], options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours(*arguments, **options)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 30), st.data())
def test_windows_are_those_of_the_tokenizers_library(tokens: int, capacity: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, capacity - 1))
    library = LIBRARY.encode("a " * tokens)
    library.truncate(capacity, stride=overlap)
    words = [each.offsets for each in (library, *library.overflowing)]
    assert strided(tokens, capacity, overlap) == tuple((w[0][0] // 2, w[-1][0] // 2 + 1) for w in words)


LIBRARY = electra.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)})._backend
LIBRARY.post_processor = None


@settings(deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 7), st.integers(1, 60))
def test_best_spans_are_the_best_of_all(data: st.DataObject, tokens: int, longest: int, count: int) -> None:
    def drawn() -> Iterator[float]:
        return iter(data.draw(st.lists(st.floats(-9, 9), min_size=tokens + 3, max_size=tokens + 3, unique=True)))

    logits = np.array(list(zip(drawn(), drawn(), strict=True)), dtype=np.float32)
    nothing, spans = best_spans(logits, slice(2, 2 + tokens), longest, count)
    start, end = (np.exp(logits[[0, *range(2, 2 + tokens)], i].astype(float)) for i in (0, 1))
    total = start.sum() * end.sum()
    every = {
        (a, b): start[1 + a] * end[1 + b] / total for a in range(tokens) for b in range(a, min(tokens, a + longest))
    }
    assert nothing == pytest.approx(start[0] * end[0] / total, rel=1e-5)
    assert len(spans) == min(count, len(every))
    assert [s.score for s in spans] == pytest.approx(sorted(every.values(), reverse=True)[:count], rel=1e-5)
    assert all(s.score == pytest.approx(every[s.first, s.last], rel=1e-5) for s in spans)
