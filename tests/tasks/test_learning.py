"""Every task with labelled examples learns from them: what is made small, and that scores follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import electra
from electra.inference.predictor import predict
from electra.metrics.ranking_metrics import list_loss, margin_loss, pair_loss
from electra.models.joint_question_answering_model import ElectraForJointQuestionAnswering
from electra.tasks.catalogue import LABELLED_TASKS
from electra.tasks.joint_question_answering import JointQuestionAnswering
from electra.tasks.labelled_task import LabelledTask
from electra.tasks.multiple_choice import MultipleChoice
from electra.tasks.question_answering import QuestionAnswering
from electra.tasks.task import ExampleError
from electra.tasks.text_ranking import TextRanking
from tests.parity.twins import SIZES, redraw
from tests.tasks.tiny import LONG_CONTEXT, LONGEST, VOCABULARY, WHOLE_WORDS

LENGTH = 64
ANIMALS = [f"{first} cat {last}" for first in ("the", "a") for last in ("sat", "is big", "in paris", "on a mat")]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return electra.ElectraTokenizer(vocab={token: i for i, token in enumerate(VOCABULARY)}, model_max_length=LENGTH)


def model_for(task: LabelledTask[Any], **fields: Any) -> Any:
    values = {**SIZES, "vocab_size": len(VOCABULARY), "max_position_embeddings": LENGTH, **task.config_fields()}
    values |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    values["initializer_range"] = 0.2  # of order one: what tells texts apart comes through
    kind = getattr(electra, task.architecture, ElectraForJointQuestionAnswering)
    torch.manual_seed(0)
    return kind(electra.ElectraConfig(**{**values, **fields}))


def question(word: str, *, answered: bool = True) -> dict[str, Any]:
    context = f"ann sat in {word} and is big"
    answers = [{"text": word, "answer_start": 11}] if answered else []
    return {"question": "in paris" if answered else "a cat", "context": context, "answers": answers}


EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "text-classification": [{"text": text, "label": "sat" in text} for text in ANIMALS],
    "token-classification": [
        {"tokens": text.split(), "tags": ["B-X" if word == "cat" else "O" for word in text.split()]} for text in ANIMALS
    ],
    "question-answering": [question(word, answered=word != "mat") for word in ("new york", "cat", "paris", "mat")],
    "multiple-choice": [
        {"text": "the", "choices": ["on a mat", "cat", "in paris"][:n], "label": 1} for n in (2, 3)
    ] + [{"text": "new", "choices": ["cat", "york"], "label": "B"}],
    "text-ranking": [
        {"query": "new", "texts": ["cat", "york", "mat", "paris"], "labels": [0, 1, 0, 0]},
        {"query": "the", "texts": ["cat", "york"], "labels": [1, 0]},
    ],
}  # fmt: skip


def fit(model: Any, task: LabelledTask[Any], tokenizer: Any, examples: Sequence[Any], steps: int) -> None:
    batch = task.training_batch(task.training_items(examples, tokenizer))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model, batch).backward()
        optimizer.step()
    model.eval()


@pytest.mark.parametrize("kind", LABELLED_TASKS, ids=lambda kind: kind.__name__)
def test_a_task_that_is_learnt_is_scored_well(kind: type[LabelledTask[Any]], tokenizer: Any) -> None:
    examples = EXAMPLES[kind.name]
    task = kind.from_examples(examples, max_length=LENGTH)
    model = model_for(task)
    fit(model, task, tokenizer, examples, steps=30)
    scored = kind.from_config(model.config, max_length=LENGTH).for_scoring()
    outcomes = scored.outcomes(list(predict(model, tokenizer, scored, examples)), examples)
    scores = outcomes.scores()
    assert scores[outcomes.main] == (100 if kind.name == "question-answering" else 1)
    assert len(outcomes) == len(outcomes.correctness()) == len(examples)
    assert outcomes.correctness().tolist() == [1.0] * len(examples)


@pytest.mark.parametrize("objective", ["pointwise", "pairwise", "listwise", "margin-mse"])
def test_every_objective_ranks_what_was_learnt(objective: str, tokenizer: Any) -> None:
    examples = EXAMPLES["text-ranking"]
    if objective == "margin-mse":
        examples = [{**each, "scores": [9.0 * label - 4 for label in each["labels"]]} for each in examples]
    task = TextRanking.from_examples(examples, max_length=LENGTH, objective=objective)
    model = model_for(task)
    fit(model, task, tokenizer, examples, steps=60)
    found = task.score(list(predict(model, tokenizer, task.for_scoring(), examples)), examples)
    assert found == {"mrr@10": 1, "ndcg@10": 1, "map": 1}


# -- losses ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LABELLED_TASKS, ids=lambda kind: kind.__name__)
def test_a_batch_in_parts_has_the_same_loss(kind: type[LabelledTask[Any]], tokenizer: Any) -> None:
    """Weighted with their counts, so that a step's batch may be computed in parts."""
    task = kind.from_examples(EXAMPLES[kind.name], max_length=LENGTH)
    items = task.training_items(EXAMPLES[kind.name], tokenizer)
    model = redraw(model_for(task)).eval()
    batches = [task.training_batch(part) for part in (items, items[:1], items[1:])]
    whole, first, rest = (task.loss(model, batch) * batch.count for batch in batches)
    torch.testing.assert_close(first + rest, whole, rtol=1e-4, atol=1e-4)
    assert all(isinstance(item.rows, tuple) for item in items)


def test_choices_of_one_number_have_the_model_s_own_loss(tokenizer: Any) -> None:
    task = MultipleChoice(max_length=LENGTH)
    examples = [{"text": "ann", "choices": list("abc"), "label": n} for n in (0, 2)]
    batch = task.training_batch(task.training_items(examples, tokenizer))
    model = redraw(model_for(task)).eval()
    expected = model(batch.batch, labels=torch.tensor([0, 2]), num_choices=3).loss
    torch.testing.assert_close(task.loss(model, batch), expected)


def scores_of(model: Any, task: TextRanking, tokenizer: Any, query: str, texts: list[str]) -> Tensor:
    rows = task.encode({"query": query, "texts": texts}, tokenizer).rows
    return torch.stack([model(torch.tensor([row.input_ids]), token_type_ids=torch.tensor([row.token_type_ids])).logits
                        for row in rows])[:, 0]  # fmt: skip


def test_losses_of_rankings_are_their_formulas(tokenizer: Any) -> None:
    example = {"query": "new", "texts": ["york", "cat", "a"], "labels": [1, 0, 0], "scores": [3.0, 5.0, 1.0]}
    losses = {}
    model = redraw(model_for(TextRanking())).eval()
    for objective in ("pointwise", "pairwise", "listwise", "margin-mse"):
        task = TextRanking(max_length=LENGTH, objective=objective)
        batch = task.training_batch(task.training_items([example], tokenizer))
        losses[objective] = task.loss(model, batch).item()
    york, cat, a = scores_of(model, task, tokenizer, "new", example["texts"]).view(-1)
    expected = {
        "pointwise": F.binary_cross_entropy_with_logits(torch.stack([york, cat, a]), torch.tensor([1.0, 0, 0])),
        "pairwise": -(torch.sigmoid(york - cat).log() + torch.sigmoid(york - a).log()) / 2,
        "listwise": -torch.stack([york, cat, a]).log_softmax(0)[0],
        "margin-mse": ((york - cat + 2) ** 2 + (york - a - 2) ** 2) / 2,
    }
    assert losses == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-4)


def test_two_outputs_learn_by_cross_entropy(tokenizer: Any) -> None:
    examples = [{"query": "new", "texts": ["york", "cat"], "labels": [1, 0]}]
    task = TextRanking.from_examples(examples, labels=("no", "yes"), objective="pointwise", max_length=LENGTH)
    model = redraw(model_for(task)).eval()
    batch = task.training_batch(task.training_items(examples, tokenizer))
    logits = scores_of(model, task, tokenizer, "new", ["york", "cat"])
    torch.testing.assert_close(task.loss(model, batch), F.cross_entropy(logits, torch.tensor([1, 0])), rtol=1e-4,
                               atol=1e-5)  # fmt: skip


def test_losses_of_groups_of_different_sizes_have_finite_gradients() -> None:
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], requires_grad=True)
    loss = list_loss(scores, (2, 3), torch.tensor([1.0, 0, 0, 0.5, 0.5]))
    loss.backward()
    first = -torch.tensor([1.0, 2]).log_softmax(0)[0]
    second = -torch.tensor([3.0, 4, 5]).log_softmax(0)[1:].mean()
    assert loss.item() == pytest.approx(((first + second) / 2).item())
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()
    assert pair_loss(torch.tensor([[9.0, -9.0]])).item() < 1e-6
    assert margin_loss(torch.tensor([[3.0, 1.0]]), torch.tensor([2.0])).item() == 0


def test_objectives_follow_from_the_examples() -> None:
    triple = {"query": "a", "texts": ["x", "y"], "labels": [1, 0]}
    alone = {"query": "a", "texts": ["x"], "labels": [1]}
    assert TextRanking.from_examples([triple]).objective == "listwise"
    assert TextRanking.from_examples([triple, alone]).objective == "pointwise"
    graded = {"query": "a", "texts": ["x", "y"], "labels": [3, 0]}
    assert TextRanking.from_examples([graded, {**triple, "labels": [0, 0]}]).objective == "listwise"
    assert TextRanking.from_examples([{**alone, "labels": [3]}]).objective == "pointwise"
    assert TextRanking.from_examples([{**triple, "scores": [1.0, 0.5]}]).objective == "margin-mse"


# -- windows --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [QuestionAnswering, JointQuestionAnswering])
def test_an_answer_is_learnt_in_the_windows_that_have_all_of_it(kind: type[QuestionAnswering], tokenizer: Any) -> None:
    words = LONG_CONTEXT.split()
    start, answer = len(" ".join(words[:28])) + 1, " ".join(words[28:31])
    example = {"question": "a", "context": LONG_CONTEXT, "answers": [{"text": answer, "answer_start": start}]}
    task = kind(max_length=LONGEST, doc_stride=15)
    items = task.training_items([example], tokenizer)
    encoded = task.encode(example, tokenizer)
    having = [begin <= 28 and stop >= 31 for begin, stop in encoded.windows]
    assert 1 < sum(having) < len(having)
    assert any(begin <= 28 < stop < 31 for begin, stop in encoded.windows)  # one ends within the answer
    for item, (begin, _), has_it in zip(items, encoded.windows, having, strict=True):
        first, last, impossible = item.labels
        assert (first, last) == ((28 - begin + 3, 30 - begin + 3) if has_it else (0, 0))
        assert impossible == 0
        if has_it:
            assert tokenizer.decode(item.rows[0].input_ids[first : last + 1]) == answer


def test_an_answer_inside_a_word_is_the_tokens_that_it_touches(tokenizer: Any) -> None:
    example = {"question": "a", "context": "the bigger cat", "answers": {"text": ["ige"], "answer_start": [None]}}
    with pytest.raises(ExampleError, match="the answer 'ige' is not in its context"):
        QuestionAnswering().training_items([example], tokenizer)
    example["answers"] = {"text": ["igge"], "answer_start": [5]}
    [item] = QuestionAnswering().training_items([example], tokenizer)
    assert item.labels == (4, 6, 0)  # [CLS] a [SEP] the big ##g ##er cat


# -- what is refused ------------------------------------------------------------------

QA = {"question": "what", "context": "the sea"}


@pytest.mark.parametrize(
    ("task", "example", "message"),
    [
        (QuestionAnswering(), QA, "has 'answers', a list"),
        (QuestionAnswering(), {**QA, "answers": 3}, "'answers' is a list of answers, not int 3"),
        (QuestionAnswering(), {**QA, "answers": [{"text": "sea", "answer_start": 3}]}, "is at character 4 .* not at 3"),
        (QuestionAnswering(), {**QA, "answers": ["lake"]}, "the answer 'lake' is not in its context"),
        (QuestionAnswering(), {**QA, "answers": [{"text": ""}]}, "an answer is a text that is not empty"),
        (QuestionAnswering(), {**QA, "answers": {"text": ["sea"], "answer_start": []}}, "1 texts and 0 starts"),
        (MultipleChoice(), {"text": "x", "choices": ["a", "b"]}, "a labelled example is a dict with 'label'"),
        (MultipleChoice(), {"text": "x", "choices": ["a", "b"], "label": 2}, "the label 2 is none of the 2 choices"),
        (MultipleChoice(), {"text": "x", "choices": ["a", "b"], "label": "C"}, "the label 'C' is none"),
        (MultipleChoice(), {"text": "x", "choices": ["a", "b"], "label": True}, "the label True is none"),
        (MultipleChoice(), {"text": "x", "choices": ["a " * 99, "b"], "label": 1}, "shorten the text"),
        (TextRanking(), {"query": "x", "texts": ["a"]}, "has 'labels', a number for each text"),
        (TextRanking(), {"query": "x", "texts": ["a"], "labels": [1, 0]}, "each of the 1 texts; this has 2 of them"),
        (TextRanking(), {"query": "x", "texts": ["a"], "labels": [float("nan")]}, "nan: it must be a finite number"),
        (TextRanking(), {"query": "x", "texts": ["a"], "labels": [-1]}, "0 or more"),
        (TextRanking(objective="pointwise"), {"query": "x", "texts": ["a"], "labels": [2]}, "from 0 to 1, not 2"),
        (TextRanking(objective="margin-mse"), {"query": "x", "texts": ["a"], "labels": [1]}, "a teacher's 'scores'"),
    ],
)  # fmt: skip
def test_a_bad_labelled_example_is_named(tokenizer: Any, task: Any, example: Any, message: str) -> None:
    good = {
        "question-answering": {**QA, "answers": ["sea"]},
        "multiple-choice": {"text": "x", "choices": ["a", "b"], "label": "1"},
        "text-ranking": {"query": "x", "texts": ["a", "b"], "labels": [1, 0], "scores": [1, 0]},
    }[task.name]
    task = task.for_tokenizer(tokenizer)
    with pytest.raises(ExampleError, match=message) as caught:
        task.training_items([good, example], tokenizer)
    assert caught.value.index == 1


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(ValueError, match="objective is 'listwize': choose one of pointwise, pairwise"):
        TextRanking(objective="listwize")


def test_the_words_of_the_long_context_are_tokens() -> None:
    assert set(LONG_CONTEXT.split()) <= set(WHOLE_WORDS)
