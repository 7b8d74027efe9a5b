"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # the networks of the tests are tiny: a second thread only waits
os.environ["HF_HUB_OFFLINE"] = "1"  # huggingface_hub reads it when it is imported


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of datasets and reference numbers: $ELECTRA_SHARED, by default ../shared."""
    folder = Path(os.environ.get("ELECTRA_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder}: set ELECTRA_SHARED to the folder that has it")
    return folder


@pytest.fixture(autouse=True)
def _without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
