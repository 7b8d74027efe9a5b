"""Folders of saved networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from electra.models import ElectraForMaskedLM, ElectraForPreTraining, ElectraForSequenceClassification
from tests.hub.saved import network


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    network(ElectraForSequenceClassification, num_labels=3).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def discriminator(tmp_path: Path) -> Path:
    network(ElectraForPreTraining).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    network(ElectraForMaskedLM).save_pretrained(tmp_path / "model")
    return tmp_path / "model"
