"""Zero-shot classification against transformers' pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import transformers

from electra import ElectraConfig, pipeline
from electra.tasks.zero_shot_classification import ZeroShotClassification
from tests.tasks.tiny import LONG_TEXT, assert_same, make_folder, quiet_transformers

NAMES = {
    "usual": ("contradiction", "neutral", "entailment"),
    "first": ("Entailment", "neutral", "contradiction"),
    "middle": ("contradiction", "ENTAIL", "neutral"),
    "two": ("not_entailment", "entailment"),
    "numbers": ("LABEL_0", "LABEL_1", "LABEL_2"),
}
TEMPLATE = "a {} cat"  # short, so that a label and a text fit into the 24 tokens of the model
Both = Callable[[str], tuple[Any, Any]]


def fields(names: tuple[str, ...]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    @cache
    def make(name: str) -> Path:
        return make_folder(tmp_path_factory.mktemp(name), "ElectraForSequenceClassification", **fields(NAMES[name]))

    return make


@pytest.fixture(scope="module")
def both(folder: Callable[[str], Path]) -> Iterator[Both]:
    @cache
    def make(name: str) -> tuple[Any, Any]:
        task = "zero-shot-classification"
        told = {"entailment_label": "LABEL_2"} if name == "numbers" else {}
        theirs = transformers.pipeline(task, str(folder(name)), device="cpu")
        return pipeline(task, folder(name), device="cpu", **told), theirs

    with quiet_transformers():
        yield make


@pytest.mark.parametrize("name", ["usual", "first", "middle", "two"])
@pytest.mark.parametrize("multi_label", [False, True])
def test_answers_equal_transformers(both: Both, name: str, multi_label: bool) -> None:
    ours, theirs = both(name)
    options = {"hypothesis_template": TEMPLATE, "multi_label": multi_label}
    labels = ["Paris", "new york", "bigger", "don't"]
    for texts in ("Ann sat", ["Ann sat"], ["Ann sat", "the cat", LONG_TEXT]):
        for chosen in (labels, "Paris, new york,, a ", ["Paris"]):
            found = ours(texts, candidate_labels=chosen, **options)
            assert_same(found, theirs(texts, candidate_labels=chosen, **options), where=f"{texts} {chosen}")
    assert_same(ours("Ann", labels, **options), theirs("Ann", labels, **options))
    named = {"sequences": "Ann", "candidate_labels": labels, **options}
    assert_same(ours(**named), theirs(**named))
    answers = [ours(text, labels, **options)["labels"][0] for text in ("Ann", "the cat sat", "Paris", "a", "mat", "6")]
    assert len(set(answers)) > 1 or multi_label, "the text is to matter"


def test_a_stream_with_many_labels_is_not_read_far_ahead(folder: Callable[[str], Path]) -> None:
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for _ in range(40):
            read += 1
            yield "the cat sat"

    options = {"hypothesis_template": TEMPLATE, "candidate_labels": ["cat"] * 200}
    ours = pipeline("zero-shot-classification", folder("usual"), device="cpu", batch_tokens=64, **options)
    assert max(read - given for given, _ in enumerate(ours(texts()), start=1)) <= 2


def test_options_at_construction_and_the_usual_template(folder: Callable[[str], Path]) -> None:
    with quiet_transformers():
        theirs = transformers.pipeline("zero-shot-classification", str(folder("usual")), device="cpu")
    options = {"candidate_labels": ["cat", "mat"]}
    ours = pipeline("zero-shot-classification", folder("usual"), device="cpu", **options)
    assert_same(ours("Ann"), theirs("Ann", **options))
    assert_same(ours({"text": "Ann"}), theirs("Ann", **options))
    assert_same(list(ours(text for text in ("Ann", "Paris"))), theirs(["Ann", "Paris"], **options))


def test_contradiction_is_the_label_of_that_name() -> None:
    """transformers takes the first label for it, whatever that is called, unless it is entailment."""
    config = ElectraConfig(**fields(("neutral", "entailment", "contradiction")))
    assert ZeroShotClassification.from_config(config).outputs() == (1, 2)
    for name, expected in (("usual", (2, 0)), ("first", (0, 2)), ("middle", (1, 0)), ("two", (1, 0))):
        config = ElectraConfig(**fields(NAMES[name]))
        assert ZeroShotClassification.from_config(config).outputs() == expected


def test_a_model_that_names_no_entailment_is_refused_unless_told(folder: Callable[[str], Path], both: Both) -> None:
    """transformers warns and takes the last label, which is contradiction in half of such models."""
    with pytest.raises(ValueError, match="labels are 'LABEL_0', 'LABEL_1', 'LABEL_2': none begins with 'entail'"):
        pipeline("zero-shot-classification", folder("numbers"), device="cpu")
    told, theirs = both("numbers")
    assert_same(told("Ann", ["a", "b"]), theirs("Ann", ["a", "b"]))
    with pytest.raises(ValueError, match="none is 'LABEL_3'"):
        told("Ann", ["a", "b"], entailment_label="LABEL_3")
    with pytest.raises(ValueError, match="with two labels or more"):
        ZeroShotClassification.from_config(ElectraConfig(**fields(("entailment",))))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a", {}, "candidate_labels is empty: give labels"),
        ("a", {"candidate_labels": []}, "candidate_labels is empty"),
        ("a", {"candidate_labels": " , "}, "candidate_labels is empty"),
        ("a", {"candidate_labels": ["b", 3]}, "must be a string or a list of strings"),
        ("", {"candidate_labels": "b"}, "the text is empty"),
        (["a", ""], {"candidate_labels": "b"}, "example 1: the text is empty"),
        ({"text": "a", "text_pair": "b"}, {"candidate_labels": "b"}, "not a pair"),
        (
            "a",
            {"candidate_labels": "b", "hypothesis_template": "it is"},
            "template is 'it is': it must contain {} once",
        ),
        (
            "a",
            {"candidate_labels": "b", "hypothesis_template": "{label}"},
            "contain {} once, in place of the label",
        ),
        ("a", {"candidate_labels": "b", "hypothesis_template": "{} {}"}, "must contain {} once"),
        ("a", {"candidate_labels": "b", "hypothesis_template": "{"}, "must contain {} once"),
        ("a", {"candidate_labels": "b", "hypothesis_template": "{:d}"}, "must contain {} once"),
        ("a", {"candidate_labels": "b", "hypothesis_template": "{:{}}"}, "must contain {} once"),
        ("a", {"candidate_labels": "b", "hypothesis_template": None}, "hypothesis_template is None"),
        ("a", {"candidate_labels": "b " * 30}, "and a row has room for 21: shorten the text that is not to be cut"),
        ("a", {"candidate_labels": "b", "mutli_label": True}, "Did you mean multi_label"),
    ],
)
def test_bad_calls_are_refused(both: Both, text: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        both("usual")[0](text, **options)
