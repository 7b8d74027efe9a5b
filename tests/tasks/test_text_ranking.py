"""Ranking against transformers' network on rows that its tokenizer made."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from electra import ElectraConfig, pipeline
from electra.tasks.text_ranking import TextRanking
from tests.tasks.tiny import LONG_TEXT, assert_same, make_folder

QUERY = "is the cat in Paris?"
DOCUMENTS = ["Ann sat on the mat.", "The big cat is in Paris", "", LONG_TEXT, "singing Zürich", "cat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    @cache
    def make(labels: int) -> Path:
        path = tmp_path_factory.mktemp(f"labels-{labels}")
        return make_folder(path, "ElectraForSequenceClassification", num_labels=labels)

    return make


def logits(folder: Path, query: str, texts: list[str]) -> torch.Tensor:
    """[texts, K]"""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rows = tokenizer([query] * len(texts), texts, truncation=True, padding=True, return_tensors="pt")
    model = transformers.ElectraForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**rows).logits


def ranked(scores: torch.Tensor) -> list[dict[str, Any]]:
    order = scores.argsort(descending=True).tolist()
    return [{"corpus_id": i, "score": scores[i].item()} for i in order]


def test_one_label_is_a_sigmoid_unless_told_otherwise(folder: Callable[[int], Path]) -> None:
    raw = logits(folder(1), QUERY, DOCUMENTS)[:, 0]
    rank = pipeline("text-ranking", folder(1), device="cpu")
    assert_same(rank(QUERY, DOCUMENTS), ranked(raw.sigmoid()))
    assert_same(rank(QUERY, DOCUMENTS, function_to_apply="none"), ranked(raw))
    assert_same(rank(query=QUERY, texts=DOCUMENTS, top_k=2), ranked(raw.sigmoid())[:2])
    found = rank({"query": QUERY, "texts": DOCUMENTS}, return_documents=True)
    expected = [{**each, "text": DOCUMENTS[each["corpus_id"]]} for each in ranked(raw.sigmoid())]
    assert_same(found, expected)


def test_truncation_is_the_callers_choice(folder: Callable[[int], Path]) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder(1))
    row = tokenizer("cat", LONG_TEXT, truncation="only_second", return_tensors="pt")
    assert row["input_ids"].shape == (1, 24)
    model = transformers.ElectraForSequenceClassification.from_pretrained(folder(1)).eval()
    with torch.inference_mode():
        expected = model(**row).logits.sigmoid().item()
    rank = pipeline("text-ranking", folder(1), device="cpu", truncation="only_second")
    assert_same(rank("cat", [LONG_TEXT]), [{"corpus_id": 0, "score": expected}])


def test_many_queries(folder: Callable[[int], Path]) -> None:
    rank = pipeline("text-ranking", folder(1), device="cpu", batch_size=2)
    examples = [{"query": QUERY, "texts": DOCUMENTS[:n]} for n in (3, 1, 5)]
    assert_same(rank(examples), [rank(example) for example in examples])
    assert_same(list(rank(iter(examples))), rank(examples))


def test_several_labels_rank_by_one_of_them(folder: Callable[[int], Path]) -> None:
    raw = logits(folder(2), QUERY, DOCUMENTS)
    rank = pipeline("text-ranking", folder(2), device="cpu")
    assert_same(rank(QUERY, DOCUMENTS), ranked(raw.softmax(-1)[:, 1]))
    assert_same(rank(QUERY, DOCUMENTS, label=0), ranked(raw.softmax(-1)[:, 0]))
    sigmoid = {"label": "LABEL_0", "function_to_apply": "sigmoid"}
    assert_same(rank(QUERY, DOCUMENTS, **sigmoid), ranked(raw.sigmoid()[:, 0]))
    with pytest.raises(ValueError, match="has 3 labels: name the one to rank by with label=…"):
        pipeline("text-ranking", folder(3), device="cpu")
    assert_same(
        pipeline("text-ranking", folder(3), device="cpu", label=2)(QUERY, DOCUMENTS),
        ranked(logits(folder(3), QUERY, DOCUMENTS).softmax(-1)[:, 2]),
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "sigmoid"),
        ({"num_labels": 2}, "softmax"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5"}}, "none"),
        ({"sentence_transformers": {"version": "5"}}, "sigmoid"),
        (
            {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}, "num_labels": 2},
            "sigmoid",
        ),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "none"),
        ({"sbert_ce_default_activation_function": None}, "sigmoid"),
        (
            {
                "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Softmax"},
                "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity",
            },
            "softmax",
        ),
    ],
    ids=repr,
)
def test_the_configuration_names_the_activation(fields: dict[str, Any], expected: str) -> None:
    assert TextRanking.from_config(ElectraConfig(**{"num_labels": 1, **fields})).function() == expected


@pytest.mark.parametrize("name", ["torch.nn.modules.activation.Hardtanh", "mine.Sigmoid", "Sigmoid"])
def test_an_unknown_activation_is_refused_unless_another_is_given(name: str) -> None:
    config = ElectraConfig(num_labels=1, sentence_transformers={"activation_fn": name})
    with pytest.raises(ValueError, match=f"activation in config.json is '{name}': choose one of Identity, Sigmoid"):
        TextRanking.from_config(config)
    assert TextRanking.from_config(config, function_to_apply="sigmoid").function() == "sigmoid"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((QUERY, []), {}, "'texts' has 0 of the at least 1"),
        ((QUERY, "text"), {}, "'texts' must be a list of strings"),
        ((QUERY, ["a", None]), {}, "'texts' must be a list of strings"),
        (("", ["a"]), {}, "the query is empty"),
        ((QUERY,), {}, "expected a dict with 'query', a string, and 'texts', got str"),
        (({"texts": ["a"]},), {}, "expected a dict with 'query'"),
        (([{"query": "q", "texts": ["a"]}, {"query": "q"}],), {}, "example 1: 'texts' must be a list of strings"),
        ((QUERY, ["a"]), {"top_k": 0}, "top_k is 0"),
        (
            (QUERY, [LONG_TEXT]),
            {"truncation": False},
            "have 6 and 105 tokens, and a row has room for 21.* than 'False'",
        ),
        ((QUERY, [LONG_TEXT]), {"truncation": "middle"}, "truncation='middle': choose True"),
        ((QUERY, ["a"]), {"function_to_apply": "relu"}, "function_to_apply is 'relu': choose one of default, sigmoid"),
        ((QUERY, ["a"]), {"label": "yes"}, "label is 'yes'. Choose one of LABEL_0"),
        ((QUERY, ["a"]), {"label": 1}, "label is 1. Choose one of LABEL_0"),
    ],
)
def test_bad_calls_are_refused(
    folder: Callable[[int], Path], arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline("text-ranking", folder(1), device="cpu")(*arguments, **options)
