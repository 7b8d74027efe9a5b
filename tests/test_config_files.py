"""config.json as people's programs leave it: read as it was meant, or refused with the file and the field."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from electra import AutoTokenizer, ElectraConfig, ElectraForSequenceClassification
from electra.commands.inspect import describe
from electra.config.config_fields import FIELD_NAMES
from tests.hub.saved import FIELDS, network

# no field takes any of these but the text of those that hold text
WRONG: tuple[Any, ...] = (
    *([], {}, [[1]], {"a": 1}),
    *("x", "9" * 5000, "\ud800"),
    *(-1, 1.5, True, float("nan"), float("inf"), 10**60),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    network(ElectraForSequenceClassification).save_pretrained(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="utf-8")


def write_fields(folder: Path, **fields: Any) -> None:
    write(folder, json.dumps({"model_type": "electra", **FIELDS, **fields}))


def refusal(folder: Path) -> str:
    """Why config.json is refused; "" if it is taken."""
    try:
        ElectraConfig.from_pretrained(folder)
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", FIELD_NAMES)
def test_every_field_of_every_wrong_type(name: str, tmp_path: Path) -> None:
    messages = []
    for value in WRONG:
        write_fields(tmp_path, **{name: value})
        messages.append(refusal(tmp_path))
    refused = [message for message in messages if message]
    for message in refused:
        assert message.startswith(f"{tmp_path / 'config.json'}: ")
        assert name in message
        assert len(message) < 1500
    assert len(refused) >= (0 if name == "name_or_path" else 4)


@pytest.mark.parametrize("name", [name for name in FIELD_NAMES if name not in ("name_or_path", "label2id")])
def test_the_sentence_is_the_same_in_every_verb(name: str, folder: Path) -> None:
    write_fields(folder, **{name: {"a": [None]}})
    messages = set()
    for read in (ElectraConfig.from_pretrained, ElectraForSequenceClassification.from_pretrained, describe):
        with pytest.raises(ValueError, match=name) as refused:
            read(str(folder))
        messages.add(str(refused.value))
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is not valid JSON"),
        ('{"note": ' + "[" * 500 + "]" * 500 + "}", "note is nested more than 100 deep"),
        ('{"vocab_size": ' + "9" * 5000 + "}", "vocab_size holds a number of more than 1000 digits"),
        ('{"vocab_size": ' + "9" * 900 + "}", "vocab_size is a number of about 90\\d digits"),
        ('{"id2label": {"' + "9" * 5000 + '": "a"}}', "id2label has the number"),
        ('{"to_dict": 1}', "'to_dict' is no field of a configuration, but the name of a method"),
        ('{"use_return_dict": true}', "'use_return_dict' is no field"),
        ('{"__class__": "x"}', "'__class__' is no field"),
        ('{"model_type": ["electra"]}', "only 'electra' models"),
        ('{"summary_first_dropout": "x"}', "summary_first_dropout is 'x': it must be a finite number"),
        ("null", "holds a JSON NoneType"),
        ("", "is not valid JSON"),
        (
            '{"hidden_size": 1099511627776, "num_attention_heads": 1}',
            "hidden_size is 1099511627776: it must be smaller",
        ),
        ('{"vocab_size": 1099511627776}', "vocab_size is 1099511627776: it must be smaller"),
        ('{"num_hidden_layers": 100000}', "num_hidden_layers is 100000: it must be a whole number from 1 to 4096"),
        ('{"hidden_dropout_prob": ' + "9" * 400 + "}", "hidden_dropout_prob is a number of about 40\\d digits"),
        ('{"layer_norm_eps": Infinity}', "layer_norm_eps is inf"),
        ('{"layer_norm_eps": NaN}', "layer_norm_eps is nan"),
    ],
)
def test_strange_files(text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, text)
    with pytest.raises(ValueError, match=message) as refused:
        ElectraConfig.from_pretrained(tmp_path)
    assert "config.json" in str(refused.value)


@pytest.mark.parametrize(
    "names",
    [
        {"0": ["a"], "1": "b"},
        {"0": None, "1": "b"},
        {"0": {"a": 1}, "1": "b"},
        {"1": "a", "2": "b"},
        {"0": "a", "2": "b"},
        {"zero": "a", "1": "b"},
        {"0": "a", "1": "a"},
        {"0": "a", "-1": "b"},
        {"0": "a", "1.0": "b"},
        {"0": "a", "١": "b"},
        {"0": "a\ud800", "1": "b"},
        ["a", "b"],
        {},
        "ab",
        7,
    ],
)
def test_labels_that_are_refused(names: Any, tmp_path: Path) -> None:
    write_fields(tmp_path, id2label=names)
    with pytest.raises(ValueError, match=r"config\.json: id2label"):
        ElectraConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("numbers", [{"a": "x"}, {"a": 1}, {"a": 0, "b": 0}, {"a": None}, ["a"], {"a": 1.5}, {}])
def test_numbers_of_labels_that_are_refused(numbers: Any, tmp_path: Path) -> None:
    write_fields(tmp_path, label2id=numbers)
    with pytest.raises(ValueError, match=r"config\.json: (label2id|id2label)"):
        ElectraConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "fields",
    [
        {"label2id": {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}},  # of an earlier model
        {"label2id": {"NEG": 0, "POS": 1}},  # foreign
        {"label2id": {"no": 1, "yes": 0}},  # the other way round
        {"label2id": {"no": "0"}},
        {"label2id": "none"},
        {"num_labels": 7},
    ],
)
def test_id2label_decides_and_it_is_said(fields: dict[str, Any], tmp_path: Path, caplog: Any) -> None:
    write_fields(tmp_path, id2label={"0": "no", "1": "yes"}, **fields)
    with caplog.at_level(logging.WARNING, "electra"):
        config = ElectraConfig.from_pretrained(tmp_path)
    assert (config.id2label, config.label2id) == ({0: "no", 1: "yes"}, {"no": 0, "yes": 1})
    [record] = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / 'config.json'}: {next(iter(fields))} ")
    assert record.getMessage().endswith("id2label decides")


def test_a_folder_with_stale_labels_loads(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    write(folder, json.dumps({**values, "label2id": {"a": 0, "b": 1, "c": 2}}))
    assert ElectraForSequenceClassification.from_pretrained(folder).config.label2id == {"LABEL_0": 0, "LABEL_1": 1}
    assert AutoTokenizer.__name__  # the auto classes read the same configuration


def test_labels_that_are_numbers_or_truth_values_are_their_text(tmp_path: Path) -> None:
    write_fields(tmp_path, id2label={"1": 1, "0": 0})
    assert ElectraConfig.from_pretrained(tmp_path).id2label == {0: "0", 1: "1"}
    write_fields(tmp_path, id2label={"0": False, "1": True})
    assert ElectraConfig.from_pretrained(tmp_path).id2label == {0: "False", 1: "True"}


def test_a_flag_that_is_none_has_its_default() -> None:
    config = ElectraConfig(output_attentions=None, use_cache=None)
    assert (config.output_attentions, config.use_cache) == (False, True)


def test_a_number_that_is_too_large_for_torch_is_a_sentence() -> None:
    with pytest.raises(ValueError, match="hidden_size is a number of about"):
        ElectraConfig(hidden_size=10**5000)
    with pytest.raises(ValueError, match="at most"):
        ElectraConfig(num_labels=2**40)


def test_a_wrong_field_leaves_a_configuration_as_it_was() -> None:
    config = ElectraConfig()
    with pytest.raises(ValueError, match="hidden_size is '128'"):
        config.update({"hidden_size": "128"})
    assert (config.hidden_size, config.dtype) == (256, None)
    config.dtype = "float16"
    config.validate()
    assert config.dtype is torch.float16


def test_whole_numbers_of_numpy_are_python_s() -> None:
    config = ElectraConfig(hidden_size=np.int64(128), num_labels=np.int32(3))
    assert type(config.hidden_size) is int
    assert json.loads(config.to_json_string(use_diff=False))["hidden_size"] == 128
    assert config.num_labels == 3
