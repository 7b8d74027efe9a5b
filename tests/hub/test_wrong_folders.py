"""A folder that does not hold what is asked for: every mismatch is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from electra.models import (
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraForSequenceClassification,
    ElectraModel,
)
from tests.hub.saved import edit


def test_a_generator_as_discriminator(generator: Path, caplog: pytest.LogCaptureFixture) -> None:
    ElectraForPreTraining.from_pretrained(generator)
    assert len(caplog.records) == 1
    assert "The checkpoint is a generator; ElectraForPreTraining is for a discriminator" in caplog.text
    assert "Not used from the checkpoint: generator_lm_head.*, generator_predictions.*" in caplog.text


def test_a_discriminator_as_generator(discriminator: Path, caplog: pytest.LogCaptureFixture) -> None:
    ElectraForMaskedLM.from_pretrained(discriminator)
    assert "The checkpoint is a discriminator; ElectraForMaskedLM is for a generator" in caplog.text


def test_missing_tensors_of_the_encoder_are_listed(classifier: Path) -> None:
    edit(classifier, drop="layer.1.attention.self.query")
    message = r"lacks 2 tensors of the encoder .* electra\.encoder\.layer\.1\.attention\.self\.query\.bias, .*weight\."
    with pytest.raises(ValueError, match=message):
        ElectraForSequenceClassification.from_pretrained(classifier)
    with pytest.raises(ValueError, match=r"lacks 2 tensors .* encoder\.layer\.1\.attention\.self\.query\.bias"):
        ElectraModel.from_pretrained(classifier)


def test_a_configuration_with_more_layers_than_the_weights(classifier: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks 16 tensors.*config\.json describes another network"):
        ElectraModel.from_pretrained(classifier, num_hidden_layers=3)


def test_a_configuration_with_fewer_layers_than_the_weights(classifier: Path, caplog: pytest.LogCaptureFixture) -> None:
    ElectraForSequenceClassification.from_pretrained(classifier, num_hidden_layers=1)
    assert "16 tensors of the checkpoint's encoder have no place" in caplog.text
    caplog.clear()
    ElectraModel.from_pretrained(classifier, num_hidden_layers=1)
    assert "16 tensors of the checkpoint's encoder have no place" in caplog.text


def test_tensors_that_no_class_knows(classifier: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(classifier, **{"foo.weight": torch.ones(1)})
    ElectraForSequenceClassification.from_pretrained(classifier)
    assert "not used from the checkpoint: foo.weight." in caplog.text


def test_weights_of_another_kind_of_model(classifier: Path) -> None:
    save_file({"bert.encoder.x": torch.ones(2)}, classifier / "model.safetensors")
    with pytest.raises(ValueError, match=r"not a checkpoint that ElectraModel can load.*It holds bert\.encoder\.x"):
        ElectraModel.from_pretrained(classifier)


def test_a_configuration_of_another_kind_of_model(classifier: Path) -> None:
    (classifier / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match=r"config\.json.*'bert'"):
        ElectraModel.from_pretrained(classifier)


def test_whole_numbers_where_weights_should_be(classifier: Path) -> None:
    edit(classifier, **{"classifier.dense.bias": torch.ones(16, dtype=torch.int8)})
    with pytest.raises(ValueError, match=r"classifier\.dense\.bias in .*model\.safetensors holds torch\.int8"):
        ElectraForSequenceClassification.from_pretrained(classifier)


def test_truncated_weights(classifier: Path) -> None:
    os.truncate(classifier / "model.safetensors", (classifier / "model.safetensors").stat().st_size - 100)
    with pytest.raises(ValueError, match=r"model\.safetensors .* is damaged or incomplete: .* is the first tensor"):
        ElectraModel.from_pretrained(classifier)


def test_a_folder_without_weights(classifier: Path) -> None:
    (classifier / "model.safetensors").unlink()
    with pytest.raises(OSError, match=r"has none of model\.safetensors"):
        ElectraModel.from_pretrained(classifier)
