"""What `electra convert` refuses, and then nothing is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import electra
from electra import (
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForMultipleChoice,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
)
from electra.commands.convert import convert
from electra.google.convert_config import ConvertConfig
from tests.google.google_folders import checkpoint, refused
from tests.parity.google import SHAPES, drawn, write_checkpoint


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"to": "onnx"}, "to is 'onnx': choose one of pytorch, tensorflow"),
        ({"task": "ner"}, "task is 'ner': choose one of text-classification, token-classification"),
        ({"attention_heads": 0}, "attention_heads is 0"),
        ({"to": "tensorflow", "vocab": "v"}, "vocab applies to a TensorFlow checkpoint as the source"),
    ],
)
def test_options_that_are_not_allowed(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        ConvertConfig(Path("a"), Path("b"), **options)


def test_a_changed_bit_names_the_variable(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    file = source / "model.ckpt-7.data-00000-of-00001"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    refused(source, tmp_path / "to", "damaged: the values of the variable 'global_step'")
    data[-1] ^= 1
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    refused(source, tmp_path / "to", r"damaged: the values of the variable 'electra/\S+' \(bytes")


def test_cut_and_missing_files_name_a_variable(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    file = source / "model.ckpt-7.data-00000-of-00001"
    file.write_bytes(file.read_bytes()[:-1])
    refused(source, tmp_path / "to", "cut off: the variable 'global_step' ends at byte")
    file.unlink()
    refused(source, tmp_path / "to", "the variable '.*' is in .* which is not there", FileNotFoundError)
    index = source / "model.ckpt-7.index"
    index.write_bytes(index.read_bytes()[:-5])
    refused(source, tmp_path / "to", "its end is missing")


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    values = drawn(SHAPES["pair"])
    del values["electra/encoder/layer_1/output/LayerNorm/gamma"]
    write_checkpoint(tmp_path / "from", values)
    refused(tmp_path / "from", tmp_path / "to", "lacks 1 variables .*: electra/encoder/layer_1/output/LayerNorm/gamma")


def test_a_variable_of_another_shape_is_named(tmp_path: Path) -> None:
    values = drawn(SHAPES["pair"])
    values["electra/encoder/layer_1/output/dense/kernel"] = np.zeros((3, 16), np.float32)
    write_checkpoint(tmp_path / "from", values)
    match = r"'electra/encoder/layer_1/output/dense/kernel' makes .* of shape \[16, 3\], and \[16, 20\] goes with"
    refused(tmp_path / "from", tmp_path / "to", match)


def test_heads_that_do_not_divide_the_width(tmp_path: Path) -> None:
    match = "3 attention heads do not divide the hidden size, 16"
    refused(checkpoint(tmp_path / "from"), tmp_path / "to", match, attention_heads=3)


def test_an_output_that_is_there_is_left_alone(tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "from")
    (tmp_path / "to").mkdir()
    convert(ConvertConfig(source, tmp_path / "to"))  # an empty folder will do
    refused(source, tmp_path / "to", "is there already: give a new or an empty folder")
    (tmp_path / "file").write_text("x")
    refused(source, tmp_path / "file", "is a file: give a new or an empty folder")


def test_sources_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "to", "no file that ends in .index", FileNotFoundError)
    refused(tmp_path / "empty", tmp_path / "to", "is no model folder", FileNotFoundError, to="tensorflow")
    ElectraConfig().save_pretrained(tmp_path / "unnamed")
    refused(tmp_path / "unnamed", tmp_path / "to", "is a model folder, which from_pretrained reads as it is")
    refused(tmp_path / "unnamed", tmp_path / "to", "does not say, under architectures", to="tensorflow")


TINY = {"vocab_size": 30, "num_hidden_layers": 1, "embedding_size": 8, "hidden_size": 16, "num_attention_heads": 1}


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (ElectraForSequenceClassification, "its classifier has two layers"),
        (ElectraForMultipleChoice, "ElectraForMultipleChoice has no counterpart in Google's code"),
        (electra.ElectraForCausalLM, "ElectraForCausalLM has no counterpart in Google's code"),
    ],
)
def test_heads_that_google_does_not_have(tmp_path: Path, kind: Any, match: str) -> None:
    kind(ElectraConfig(**TINY)).save_pretrained(tmp_path / "mine")
    refused(tmp_path / "mine", tmp_path / "to", match, to="tensorflow")


def test_a_model_without_its_head_is_refused(tmp_path: Path) -> None:
    electra.ElectraModel(ElectraConfig(**TINY)).save_pretrained(tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    (tmp_path / "mine" / "config.json").write_text(json.dumps({**config, "architectures": ["ElectraForPreTraining"]}))
    refused(tmp_path / "mine", tmp_path / "to", r"lacks discriminator_predictions\.", to="tensorflow")


def test_two_networks_that_google_cannot_have_together(tmp_path: Path) -> None:
    ElectraForPreTraining(ElectraConfig(**TINY)).save_pretrained(tmp_path / "pair" / "discriminator")
    ElectraForMaskedLM(ElectraConfig(**TINY)).save_pretrained(tmp_path / "pair" / "generator")
    refused(tmp_path / "pair", tmp_path / "to", "other embeddings than the discriminator", to="tensorflow")


def test_an_output_layer_of_its_own_is_refused(tmp_path: Path) -> None:
    ElectraForMaskedLM(ElectraConfig(tie_word_embeddings=False, **TINY)).save_pretrained(tmp_path / "mine")
    refused(tmp_path / "mine", tmp_path / "to", "its output layer is not its word embeddings", to="tensorflow")
