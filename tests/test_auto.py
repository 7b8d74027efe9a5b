"""Each Auto name gives the class that transformers gives; another kind of model is an error that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import electra
from electra import auto
from electra.config import ElectraConfig

FIELDS: dict[str, Any] = {
    "vocab_size": 9,
    "embedding_size": 8,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 8,
}
NAMES = [
    "AutoModel",
    "AutoModelForTextEncoding",
    "AutoModelForPreTraining",
    "AutoModelForMaskedLM",
    "AutoModelForCausalLM",
    "AutoModelForSequenceClassification",
    "AutoModelForMultipleChoice",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    electra.ElectraForPreTraining(ElectraConfig(**FIELDS)).save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_the_class_is_that_of_transformers(name: str, folder: Path) -> None:
    expected = getattr(transformers, name)._model_mapping[transformers.ElectraConfig].__name__
    ours = getattr(auto, name)
    loaded = ours.from_pretrained(folder, hidden_dropout_prob=0.25)
    assert type(loaded) is getattr(electra, expected)
    assert not loaded.training
    assert loaded.config.hidden_dropout_prob == 0.25
    built = ours.from_config(ElectraConfig(**FIELDS))
    assert type(built) is getattr(electra, expected)
    assert built.training
    assert getattr(electra, name) is ours, "public"


def test_from_config_options() -> None:
    config = ElectraConfig(**FIELDS)
    model = auto.AutoModel.from_config(config, dtype=torch.bfloat16, attn_implementation="eager")
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"
    assert config._attn_implementation == "sdpa", "the caller's configuration is left alone"
    assert config.dtype is None


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"dtype": "float16"}, {}),
        ({"dtype": "float16"}, {"dtype": torch.float32}),
        ({}, {"dtype": "bfloat16"}),
        ({}, {"torch_dtype": torch.float16}),
    ],
    ids=repr,
)
def test_from_config_takes_the_number_type_of_transformers(fields: dict[str, Any], options: dict[str, Any]) -> None:
    theirs = transformers.AutoModel.from_config(transformers.ElectraConfig(**FIELDS, **fields), **options)
    ours = auto.AutoModel.from_config(ElectraConfig(**FIELDS, **fields), **options)
    assert ours.dtype is theirs.dtype
    assert ours.config.dtype is theirs.config.dtype


def test_the_loading_info_comes_through(folder: Path) -> None:
    _, info = auto.AutoModel.from_pretrained(folder, output_loading_info=True)
    assert {name.split(".")[0] for name in info["unexpected_keys"]} == {"discriminator_predictions"}


def test_config(folder: Path) -> None:
    config = auto.AutoConfig.from_pretrained(folder, num_labels=3, trust_remote_code=True)
    assert type(config) is ElectraConfig
    assert config.num_labels == 3
    assert auto.AutoConfig.from_pretrained(folder / "config.json").hidden_size == 8
    assert auto.AutoConfig.for_model("electra", hidden_size=16).hidden_size == 16


def test_tokenizer(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello"]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = auto.AutoTokenizer.from_pretrained(folder, use_fast=True)
    assert type(tokenizer) is electra.ElectraTokenizer
    assert tokenizer("hello")["input_ids"] == [2, 5, 3]
    (folder / "config.json").unlink()
    assert auto.AutoTokenizer.from_pretrained(folder)("hello")["input_ids"] == [2, 5, 3]


@pytest.mark.parametrize("name", ["AutoConfig", "AutoTokenizer", *NAMES])
def test_another_kind_of_model(name: str, folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "roberta"}')
    with pytest.raises(ValueError, match=r"config\.json.*'roberta'.*'electra'"):
        getattr(auto, name).from_pretrained(folder)


def test_a_configuration_of_another_kind_of_model() -> None:
    with pytest.raises(ValueError, match="that of a 'bert' model"):
        auto.AutoModel.from_config(transformers.BertConfig())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'bert'"):
        auto.AutoConfig.for_model("bert")


@pytest.mark.parametrize("name", ["AutoConfig", "AutoTokenizer", *NAMES])
def test_a_missing_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no folder"):
        getattr(auto, name).from_pretrained(str(tmp_path / "nowhere"))


def test_they_are_not_built() -> None:
    with pytest.raises(TypeError, match=r"use AutoModel\.from_pretrained"):
        auto.AutoModel()
