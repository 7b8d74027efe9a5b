"""Options of pipelines and of their calls: types, names of other versions, second texts, devices, progress."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from electra import pipeline
from electra.tasks.catalogue import find_task
from tests.tasks.tiny import LONG_TEXT, TAGS, TEXTS, make_folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    tagged = {"id2label": TAGS, "label2id": {name: i for i, name in TAGS.items()}}

    @cache
    def folder(name: str) -> Path:
        kind, fields = {
            "three": ("ElectraForSequenceClassification", {"num_labels": 3}),
            "tags": ("ElectraForTokenClassification", tagged),
        }[name]
        return make_folder(tmp_path_factory.mktemp(name), kind, **fields)

    return folder


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("token-classification", {"stride": "2"}, "stride is '2': it must be a whole number or None"),
        ("token-classification", {"ignore_labels": 3}, "ignore_labels is 3: it must be a string or a list of strings"),
        (
            "token-classification",
            {"is_split_into_words": "no"},
            "is_split_into_words is 'no': it must be True or False",
        ),
        ("replaced-token-detection", {"threshold": "0.5"}, "threshold is '0.5': it must be a finite number"),
        ("replaced-token-detection", {"threshold": float("nan")}, "threshold is nan: it must be a finite number"),
        ("fill-mask", {"targets": 1}, "targets is 1: it must be a string, a list of strings or None"),
        ("fill-mask", {"top_k": 2.0}, r"top_k is 2\.0: it must be a whole number"),
        ("fill-mask", {"top_k": True}, "top_k is True: it must be a whole number"),
        ("question-answering", {"doc_stride": "8"}, "doc_stride is '8': it must be a whole number or None"),
        ("question-answering", {"align_to_words": 1}, "align_to_words is 1: it must be True or False"),
        ("text-classification", {"top_k": "worst"}, "top_k is 'worst': it must be a whole number, 'best' or None"),
        ("text-classification", {"function_to_apply": 3}, "function_to_apply is 3: it must be a string or None"),
        ("feature-extraction", {"return_tensors": "pt"}, "return_tensors is 'pt': it must be True or False"),
        ("multiple-choice", {"top_k": "1"}, "top_k is '1': it must be a whole number or None"),
        ("text-ranking", {"return_documents": "yes"}, "return_documents is 'yes': it must be True or False"),
        ("zero-shot-classification", {"multi_label": "yes"}, "multi_label is 'yes': it must be True or False"),
    ],
)
def test_options_of_another_type_are_refused_by_their_annotation(
    task: str, options: dict[str, Any], message: str
) -> None:
    kind = find_task(task)
    with pytest.raises(ValueError, match=message):
        kind.with_options(kind(), **options)


def test_a_label_to_ignore_is_no_pattern(folders: Any) -> None:
    answer = pipeline("ner", folders("tags"), device="cpu")
    text = TEXTS[0]
    everything = answer(text, ignore_labels=[])
    assert answer(text, ignore_labels="O-B-PER") == everything  # it was taken for O and B-PER
    label = everything[0]["entity"]
    assert answer(text, ignore_labels=label) == answer(text, ignore_labels=[label]) != everything


def test_a_second_text_by_name(folders: Any) -> None:
    answer = pipeline("text-classification", folders("three"), device="cpu")
    pair = {"text": TEXTS[0], "text_pair": TEXTS[1]}
    assert answer(TEXTS[0], text_pair=TEXTS[1]) == [answer(pair)]
    assert answer([TEXTS[0], TEXTS[1]], text_pair=[TEXTS[1], TEXTS[0]]) == answer(
        [pair, {"text": TEXTS[1], "text_pair": TEXTS[0]}]
    )
    assert answer(TEXTS[0], text_pair=TEXTS[1], top_k=2) == answer(pair, top_k=2)
    with pytest.raises(ValueError, match="there are 2 of 'text' and 1 of 'text_pair'"):
        answer(["a", "b"], text_pair=["c"])
    with pytest.raises(ValueError, match="text_pair is given beside a dict"):
        answer(pair, text_pair="c")


def test_a_numbered_device_without_an_accelerator_is_the_cpu(
    folders: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert pipeline("text-classification", folders("three"), device=0).device == torch.device("cpu")
    assert "device is 0, and this machine has no accelerator: computing on the CPU" in caplog.text


def test_arguments_of_other_versions_get_advice(folders: Any) -> None:
    for name, advice in (("use_auth_token", "it is called token now"), ("load_in_4bit", "use dtype='bfloat16'")):
        with pytest.raises(ValueError, match=rf"pipeline\(\) has no argument {name}: .*{advice}"):
            pipeline("text-classification", folders("three"), **{name: True})
        pipeline("text-classification", folders("three"), device="cpu", **{name: None})


def test_options_of_the_tokenizer_in_feature_extraction(folders: Any) -> None:
    extract = pipeline("feature-extraction", folders("three"), device="cpu")
    assert len(extract(LONG_TEXT, tokenize_kwargs={"truncation": True, "max_length": 8, "padding": True})[0]) == 8
    with pytest.raises(ValueError, match="padding is 'max_length': answers have the text's own tokens only"):
        extract(LONG_TEXT, tokenize_kwargs={"padding": "max_length"})
    with pytest.raises(ValueError, match=r"no option 'maxlength'\. Did you mean max_length"):
        extract("a", tokenize_kwargs={"maxlength": 8})


def test_progress_is_shown_if_asked_for(folders: Any, capsys: pytest.CaptureFixture[str]) -> None:
    answer = pipeline("text-classification", folders("three"), device="cpu")
    silent = answer(TEXTS)
    assert capsys.readouterr().err == ""
    assert answer(TEXTS, progress=True) == silent
    assert "examples" in capsys.readouterr().err
