"""Tag schemes: every spelling and every scheme says the same about the same entities."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from electra.metrics.tag_schemes import recognise_scheme, unrecognised
from electra.tasks.inputs.token_offsets import Tokens
from electra.tasks.outputs.entities import entities
from electra.tasks.token_classification import TokenClassification

WORDS = ["ann", "lee", "met", "bo", "paris", "new", "york", "city"]
ENTITIES = [("PER", 0, 2), ("PER", 3, 4), ("LOC", 4, 5), ("LOC", 5, 8)]
SCHEMES = {
    "IOB2": "B-PER I-PER O B-PER B-LOC B-LOC I-LOC I-LOC",
    "IOB1": "I-PER I-PER O I-PER I-LOC B-LOC I-LOC I-LOC",
    "BIOES": "B-PER E-PER O S-PER S-LOC B-LOC I-LOC E-LOC",
    "BILOU": "B-PER L-PER O U-PER U-LOC B-LOC I-LOC L-LOC",
    "BMES": "B-PER E-PER O S-PER S-LOC B-LOC M-LOC E-LOC",
    "BMEWO with I": "B-PER E-PER O S-PER S-LOC B-LOC I-LOC E-LOC",
    "suffixes": "PER-B PER-I O PER-B LOC-B LOC-B LOC-I LOC-I",
    "underscores": "B_PER I_PER O B_PER B_LOC B_LOC I_LOC I_LOC",
    "colons": "B:PER I:PER O B:PER B:LOC B:LOC I:LOC I:LOC",
    "suffixes of BIOES": "PER_B PER_E O PER_S LOC_S LOC_B LOC_I LOC_E",
    "small prefixes": "b-PER i-PER O b-PER b-LOC b-LOC i-LOC i-LOC",
}


def spans(iob2: list[str]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for i, tag in enumerate(iob2):
        letter, _, kind = tag.partition("-")
        if letter == "B":
            found.append((kind, i, i + 1))
        elif letter == "I":
            assert found[-1][0] == kind
            found[-1] = (kind, found[-1][1], i + 1)
    return found


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_says_the_same(name: str) -> None:
    tags = SCHEMES[name].split()
    scheme = recognise_scheme(set(tags))
    assert scheme is not None
    iob2 = scheme.to_iob2(tags)
    assert spans(iob2) == ENTITIES
    if name != "IOB1":  # there a tag says less than in IOB2
        assert scheme.write(iob2) == tags


def test_a_letter_alone_and_types_with_separators_in_them() -> None:
    for tags, iob2 in [
        (["B", "I", "O", "B"], ["B-entity", "I-entity", "O", "B-entity"]),
        (["b-per", "i-per", "o"], ["B-per", "I-per", "O"]),
        (["B-work-of-art", "I-work-of-art"], ["B-work-of-art", "I-work-of-art"]),
        (["work_of_art_B", "work_of_art_I"], ["B-work_of_art", "I-work_of_art"]),
        (["S-O", "O", "B-O", "E-O"], ["B-O", "O", "B-O", "I-O"]),
        (["I-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"]),
        (["B-X", "E-X", "I-X"], ["B-X", "I-X", "B-X"]),
    ]:
        scheme = recognise_scheme(set(tags))
        assert scheme is not None
        assert scheme.to_iob2(tags) == iob2


@pytest.mark.parametrize(
    "tags",
    [
        ["DT", "NN"],
        ["PER", "LOC", "O"],
        ["I-95", "in"],
        ["X-Y", "O"],
        ["O"],
        [],
        ["B-PER", "i-PER"],
        ["B-X", "L-X", "E-X"],
    ],
)
def test_other_tags_are_of_no_scheme(tags: list[str]) -> None:
    assert recognise_scheme(tags) is None


def test_what_keeps_tags_from_being_of_a_scheme_is_named() -> None:
    assert unrecognised({"B-PER", "I-PER", "O", "MISC"}) == ["MISC"]
    assert unrecognised({"DT", "NN", "O"}) == []
    assert unrecognised({"B-PER", "I-PER", "O"}) == []


def answers(tags: list[str]) -> list[dict[str, Any]]:
    starts = np.cumsum([0, *(len(word) + 1 for word in WORDS)])
    return [{"entity": tag, "score": 1.0, "start": int(start)} for tag, start in zip(tags, starts, strict=False)]


@pytest.mark.parametrize("name", SCHEMES)
def test_entities_are_scored_in_every_scheme(name: str) -> None:
    tags = SCHEMES[name].split()
    task = TokenClassification(labels=tuple(dict.fromkeys(["O", *tags])))
    assert task.score([answers(tags)], [{"tokens": WORDS, "tags": tags}])["f1"] == 1
    broken = ["O", *tags[1:]]  # the first entity lost its first word: 3 of 4 are found, and in IOB2 no other
    scores = task.score([answers(broken)], [{"tokens": WORDS, "tags": tags}])
    assert scores["recall"] == 0.75
    assert scores["f1"] < 1


@pytest.mark.parametrize("name", SCHEMES)
def test_files_may_be_in_another_scheme_than_the_model(name: str) -> None:
    tags, others = SCHEMES[name].split(), SCHEMES["BIOES"].split()
    task = TokenClassification(labels=tuple(dict.fromkeys(["O", *others])))
    if name == "BMES":
        assert [task.labels[i] for i in task.target({"tokens": WORDS, "tags": tags})] == others
    assert [task.labels[i] for i in task.target({"tokens": WORDS, "tags": tags})] == others


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
@pytest.mark.parametrize("name", SCHEMES)
def test_models_of_every_scheme_are_aggregated(name: str, strategy: str) -> None:
    tags = SCHEMES[name].split()
    labels = list(dict.fromkeys(["O", *tags]))
    found = aggregated(tags, labels, strategy)
    if name == "IOB1":  # as transformers reads it
        assert [each["entity_group"] for each in found] == ["PER", "PER", "LOC", "LOC"]
    assert [(each["entity_group"], each["word"]) for each in found] == [
        (kind, " ".join(WORDS[first:last])) for kind, first, last in ENTITIES
    ]


def aggregated(tags: list[str], labels: list[str], strategy: str, ignored: tuple[str, ...] = ("O",)) -> list[Any]:
    text = " ".join(WORDS)
    starts = np.cumsum([0, *(len(word) + 1 for word in WORDS)])
    places = tuple((int(start), int(start) + len(word)) for word, start in zip(WORDS, starts, strict=False))
    tokens = Tokens(text, tuple(range(len(WORDS))), places)
    tokenizer = SimpleNamespace(
        convert_ids_to_tokens=lambda ids: [WORDS[i] for i in ids],
        convert_tokens_to_string=" ".join,
        unk_token_id=-1,
    )
    scores = np.eye(len(labels))[[labels.index(tag) for tag in tags]]
    return entities(tokens, scores, labels, strategy, tokenizer, ignored=ignored)


def test_a_type_that_is_called_o_does_not_vanish() -> None:
    tags = ["B-O", "I-O", "O", "B-PER", "O", "O", "O", "O"]
    found = aggregated(tags, ["O", "B-O", "I-O", "B-PER"], "simple")
    assert [each["entity_group"] for each in found] == ["O", "PER"]
    found = aggregated(tags, ["O", "B-O", "I-O", "B-PER"], "simple", ignored=("O", "PER"))
    assert [each["entity_group"] for each in found] == ["O"]


def test_labels_that_fit_no_scheme_are_said_and_their_f1_is_that_of_words(caplog: pytest.LogCaptureFixture) -> None:
    task = TokenClassification(labels=("O", "B-PER", "I-PER", "MISC"))
    with caplog.at_level(logging.WARNING, logger="electra"):
        scores = task.score([answers(["MISC", "O"])], [{"tokens": WORDS[:2], "tags": ["MISC", "O"]}])
    assert "MISC fit no tag scheme" in caplog.text
    assert "f1" not in scores
    task = TokenClassification(labels=("O", "PER"))
    scores = task.score([answers(["PER", "O"])], [{"tokens": WORDS[:2], "tags": ["PER", "O"]}])
    assert scores["word_f1"] == 1
    assert "f1" not in scores
