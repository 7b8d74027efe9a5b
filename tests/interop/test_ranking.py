"""Ranking against sentence-transformers' CrossEncoder: the same folder, the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from electra import pipeline
from tests.tasks.test_text_ranking import DOCUMENTS, QUERY
from tests.tasks.tiny import assert_same, make_folder

pytestmark = pytest.mark.interop


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
    ids=["undeclared", "declared", "legacy"],
)
def test_rank_equals_sentence_transformers(tmp_path: Path, fields: dict[str, Any]) -> None:
    from sentence_transformers import CrossEncoder

    folder = make_folder(tmp_path, "ElectraForSequenceClassification", num_labels=1, **fields)
    theirs = CrossEncoder(str(folder), device="cpu")
    ours = pipeline("text-ranking", folder, device="cpu")
    for options in ({}, {"top_k": 3}, {"return_documents": True}):
        assert_same(ours(QUERY, DOCUMENTS, **options), theirs.rank(QUERY, DOCUMENTS, **options), where=str(options))


def test_scores_of_several_labels_equal_sentence_transformers(tmp_path: Path) -> None:
    """It ranks by one label only, so that the second of two is compared with what it predicts."""
    from sentence_transformers import CrossEncoder

    folder = make_folder(tmp_path, "ElectraForSequenceClassification", num_labels=2)
    pairs = [(QUERY, document) for document in DOCUMENTS]
    scores = CrossEncoder(str(folder), device="cpu").predict(pairs, apply_softmax=True)[:, 1].tolist()
    found = pipeline("text-ranking", folder, device="cpu")(QUERY, DOCUMENTS)
    assert [answer["score"] for answer in found] == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
    assert [scores[answer["corpus_id"]] for answer in found] == pytest.approx(sorted(scores, reverse=True))
